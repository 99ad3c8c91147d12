"""Does the server live through what broke others? Raw bytes over sockets: no 5xx but 501 and 503, no hang, nothing lost in the end.

Beside test_http.py, which tests what HTTP itself forbids: here are requests that are well formed and hostile, floods, and clients that stall or leave.
The kinds follow published failures of inference servers: unbounded queues, lengths and recursion, orphaned generation, smuggled requests.
"""
import json
import os
import re
import socket
import threading
import time

import pytest
from test_http import BODY, FINE, post
from test_life import send, wait_for

LIMIT = 10  # seconds for any answer
SLOW = float(os.environ.get("BITNET_ABUSE_SLOWDOWN", "1"))  # of a build with sanitizers


@pytest.fixture(scope="module")
def victim(start):
    server = start("--parallel", 4, "--max-queue", 8, "--kv-memory", 64, "--request-timeout", 60)
    server.baseline = None
    exchange(server, FINE)
    yield server
    # Everything was let go, and the process is the one that was started.
    wait_for(lambda: server.metric("bitnet_sequences_running") + server.metric("bitnet_sequences_waiting") == 0, "idle", 20 * SLOW)
    wait_for(lambda: server.metric("bitnet_connections") <= 1, "all connections were closed", 20 * SLOW)
    descriptors, memory = server.baseline
    assert server.process.poll() is None
    wait_for(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) <= descriptors + 2, "descriptors were let go", 20 * SLOW)
    assert resident(server) < memory + (64 << 20)


def resident(server):
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def exchange(server, data, timeout=None):
    """All that comes back until the server closes or has said nothing for a moment behind a whole answer."""
    if getattr(server, "baseline", 0) is None:
        server.baseline = (len(os.listdir(f"/proc/{server.process.pid}/fd")), resident(server))
    end = time.monotonic() + (timeout or LIMIT * SLOW)
    got = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT * SLOW) as connection:
        def feed():
            try:
                connection.sendall(data)
            except OSError:
                pass  # refused half-way
        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            while time.monotonic() < end:
                connection.settimeout(max(0.01, end - time.monotonic()))
                part = connection.recv(1 << 16)
                if not part:
                    break
                got += part
                if whole(got):
                    break
            else:
                raise AssertionError(f"no end within {LIMIT} s: {got[-200:]}")
        except ConnectionError:
            pass
        except TimeoutError:
            raise AssertionError(f"no answer within {LIMIT} s: {got[-200:]}")
        finally:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            feeder.join()
    return got


def whole(got):
    head, separator, body = got.partition(b"\r\n\r\n")
    if not separator or got.startswith(b"HTTP/1.1 100"):
        return False
    length = re.search(rb"Content-Length: (\d+)", head, re.IGNORECASE)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def status_of(got):
    return int(got.split(b" ", 2)[1]) if got else None


def check(server, got, allowed):
    status = status_of(got)
    assert status is None or status < 500 or status in (501, 503), got[:300]
    assert status in allowed, got[:300]
    assert status_of(exchange(server, FINE)) == 200 and server.process.poll() is None


def body(path="/v1/completions", **fields):
    return post(body=json.dumps(fields).encode(), path=path.encode())


def text(**fields):
    return body(**({"prompt": "a", "max_tokens": 2} | fields))


def chat(messages=None, **fields):
    return body("/v1/chat/completions", **({"messages": messages or [{"role": "user", "content": "x"}], "max_tokens": 2} | fields))


def schema(inner, **fields):
    return chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": inner}}, **fields)


def nested(depth, key="properties"):
    out = {"type": "string"}
    for _ in range(depth):
        out = {"type": "object", key: {"a": out}} if key == "properties" else {"anyOf": [out]}
    return out


def raw(line, *headers, rest=b""):
    return b"\r\n".join([line, b"Host: localhost", *headers, b"", rest])


def chunked(*chunks, trailer=b"0\r\n\r\n"):
    head = raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    return head + b"".join(chunks) + trailer


FINE_OR_400, REFUSED = (200, 400), (400,)
CASES = {
    # HTTP: what proxies and servers read differently.
    "te_identity": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Transfer-Encoding: identity", b"Content-Length: 32", rest=BODY), (200, 400, 501)),
    "te_chunked_twice": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Transfer-Encoding: chunked, chunked", rest=b"0\r\n\r\n"), (400, 501)),
    "te_obfuscated": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Transfer-Encoding : chunked", rest=b"0\r\n\r\n"), REFUSED),
    "te_unknown": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Transfer-Encoding: xchunked", rest=b"0\r\n\r\n"), (400, 501)),
    "length_with_plus": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length: +32", rest=BODY), REFUSED),
    "length_hex": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 0x20", rest=BODY), REFUSED),
    "length_list": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 32, 32", rest=BODY), REFUSED),
    "length_empty": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length: ", rest=BODY), REFUSED),
    "length_2_64": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 18446744073709551616", rest=BODY), (400, 413)),
    "length_2_63": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 9223372036854775807", rest=BODY), (413,)),
    "chunk_negative": (chunked(b"-2\r\nxx\r\n"), REFUSED),
    "chunk_huge_size_digits": (chunked(b"0" * 2000 + b"5\r\nxxxxx\r\n"), (400, 413)),
    "chunk_extension_64KiB": (chunked(b"5;" + b"a" * 65536 + b"\r\nxxxxx\r\n"), (400, 413, 431)),
    "chunk_without_crlf": (chunked(b"5\r\nxxxxxyy"), REFUSED),
    "chunks_of_one_byte": (chunked(*(b"1\r\n%c\r\n" % c for c in BODY)), (200,)),
    "chunks_8MiB": (chunked(*(b"100000\r\n" + b" " * (1 << 20) + b"\r\n" for _ in range(8))), (413,)),
    "trailers_many": (chunked(b"20\r\n" + BODY + b"\r\n", trailer=b"0\r\n" + b"X: y\r\n" * 20000 + b"\r\n"), (200, 400, 413, 431, None)),
    "headers_101": (raw(b"GET /health HTTP/1.1", *(b"X-%d: 1" % i for i in range(101))), (431,)),
    "headers_90": (raw(b"GET /health HTTP/1.1", *(b"X-%d: 1" % i for i in range(90))), (200,)),
    "header_1MiB": (raw(b"GET /health HTTP/1.1", b"X: " + b"a" * (1 << 20)), (431,)),
    "header_name_64KiB": (raw(b"GET /health HTTP/1.1", b"a" * 65536 + b": 1"), (431, 400)),
    "header_high_bytes": (raw(b"GET /health HTTP/1.1", b"X: \x80\xff\xfe"), FINE_OR_400),
    "header_bare_cr": (raw(b"GET /health HTTP/1.1", b"X: a\rY: b"), REFUSED),
    "header_no_colon": (raw(b"GET /health HTTP/1.1", b"nonsense"), REFUSED),
    "header_empty_name": (raw(b"GET /health HTTP/1.1", b": value"), REFUSED),
    "method_1KiB": (b"A" * 1024 + b" /health HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 405)),
    "method_lower_case": (raw(b"get /health HTTP/1.1"), (400, 405)),
    "connect": (raw(b"CONNECT evil.example:443 HTTP/1.1"), (400, 405)),
    "trace": (raw(b"TRACE /health HTTP/1.1"), (400, 405)),
    "put": (raw(b"PUT /v1/completions HTTP/1.1", b"Content-Length: 0"), (405,)),
    "options_star": (raw(b"OPTIONS * HTTP/1.1"), REFUSED),
    "uri_7KiB_query": (raw(b"GET /health?" + b"a" * 7000 + b" HTTP/1.1"), (200,)),
    "uri_percent_garbage": (raw(b"GET /v1/models/%zz%00%ff HTTP/1.1"), (404, 200)),
    "uri_dot_segments": (raw(b"GET /page/../../../../etc/passwd HTTP/1.1"), (404,)),
    "uri_encoded_dots": (raw(b"GET /page/%2e%2e/%2e%2e/etc/passwd HTTP/1.1"), (404,)),
    "uri_backslash": (raw(b"GET /page\\..\\index.html HTTP/1.1"), (404, 400)),
    "uri_double_slash": (raw(b"GET //v1/models HTTP/1.1"), (404, 400)),
    "uri_fragment": (raw(b"GET /health#x HTTP/1.1"), (404, 400, 200)),
    "uri_control": (raw(b"GET /hea\x01lth HTTP/1.1"), REFUSED),
    "version_2": (raw(b"GET /health HTTP/2.0"), REFUSED),
    "http2_preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 64, REFUSED),
    "tls_hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)), (400, None)),
    "upgrade_h2c": (raw(b"GET /health HTTP/1.1", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"), (200,)),
    "upgrade_websocket": (raw(b"GET /v1/chat/completions HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x"), (405,)),
    "expect_nonsense": (post(b"Expect: the-moon\r\n"), (200, 417)),
    "host_with_user": (b"GET /health HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n", (403, 400)),
    "host_suffix": (b"GET /health HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", (403,)),
    "host_dns_rebinding": (b"GET /v1/models HTTP/1.1\r\nHost: attacker.example:8080\r\n\r\n", (403,)),
    "content_type_multipart": (post().replace(b"application/json", b"multipart/form-data; boundary=x"), (415,)),
    "content_type_form": (post().replace(b"application/json", b"application/x-www-form-urlencoded"), (415,)),
    "charset_utf16": (post(body='{"prompt": "a"}'.encode("utf-16")), REFUSED),
    "bom": (post(body=b"\xef\xbb\xbf" + BODY), FINE_OR_400),
    "gzip_bomb": (post(b"Content-Encoding: gzip\r\n", body=b"\x1f\x8b" + b"\0" * 1000), (415,)),
    "body_4MiB_plus_1": (post(body=b" " * ((4 << 20) + 1)), (413,)),
    "body_4MiB_of_blanks": (post(body=b" " * (4 << 20)), REFUSED),
    # JSON.
    "json_depth_65": (post(body=b'{"x":' + b"[" * 65 + b"]" * 65 + b"}"), REFUSED),
    "json_depth_60": (post(body=b'{"prompt":"a","max_tokens":1,"x":' + b"[" * 60 + b"]" * 60 + b"}"), (200,)),
    "json_unclosed": (post(body=b'{"prompt": "' + b"a" * 100000), REFUSED),
    "json_million_commas": (post(body=b"[" + b"," * 1000000 + b"]"), REFUSED),
    "json_nan": (post(body=b'{"prompt": "a", "temperature": NaN}'), REFUSED),
    "json_infinity": (post(body=b'{"prompt": "a", "temperature": Infinity}'), REFUSED),
    "json_comment": (post(body=b'{"prompt": "a" /* x */}'), REFUSED),
    "json_nul_in_string": (post(body=b'{"prompt": "a\\u0000b", "max_tokens": 1}'), FINE_OR_400),
    "json_raw_nul": (post(body=b'{"prompt": "a\x00b"}'), REFUSED),
    "json_surrogates": (post(body=b'{"prompt": "\\ud83d\\ude00\\udc00"}'), REFUSED),
    "json_overlong_utf8": (post(body=b'{"prompt": "\xc0\x80"}'), REFUSED),
    "json_long_exponent": (post(body=b'{"prompt": "a", "temperature": 1e' + b"9" * 1000 + b"}"), REFUSED),
    # Fields.
    "prompt_empty": (text(prompt=""), FINE_OR_400),
    "prompt_empty_list": (text(prompt=[]), REFUSED),
    "prompt_900k_one_word": (text(prompt="a" * 900000), REFUSED),
    "prompt_900k_blanks": (text(prompt=" " * 900000), REFUSED),
    "prompt_2M_newlines": (text(prompt="\n" * 2000000), REFUSED),
    "prompt_combining": (text(prompt="e" + "\u0301" * 300000), REFUSED),
    "prompt_special_tokens": (text(prompt="<|im_start|>" * 100 + "<|begin|>"), FINE_OR_400),
    "prompt_ids_negative": (text(prompt=[-1]), REFUSED), "prompt_ids_huge": (text(prompt=[2**63 - 1]), REFUSED), "prompt_ids_float": (text(prompt=[1.5]), REFUSED),
    "n_values": (text(n=1000000), REFUSED), "n_negative": (text(n=-1), REFUSED), "best_of": (text(best_of=10**6), REFUSED),
    "max_tokens_2_31": (text(max_tokens=2**31, stop="a"), FINE_OR_400), "max_tokens_2_63": (text(max_tokens=2**63), REFUSED),
    "n_discard_and_private_knobs": (body("/completion", prompt="a", n_predict=2, n_discard=-1, n_keep=-5, id_slot=-7, cache_prompt="x"), FINE_OR_400),
    "logprobs_huge": (text(logprobs=10**6), REFUSED), "logit_bias_20000": (text(logit_bias={str(i): 1 for i in range(2000)}), REFUSED),
    "stop_empty_strings": (text(stop=["", ""]), FINE_OR_400), "stop_1MiB": (text(stop="x" * (1 << 20)), REFUSED),
    "temperature_negative": (text(temperature=-1), REFUSED), "temperature_tiny": (text(temperature=1e-300), FINE_OR_400), "top_p_0": (text(top_p=0), FINE_OR_400),
    "seed_2_64": (text(seed=2**64), REFUSED), "dry_and_mirostat": (text(dry_multiplier=1, mirostat=2, xtc_probability=1, xtc_threshold=0, repeat_penalty=2), FINE_OR_400),
    "messages_empty": (body("/v1/chat/completions", messages=[]), REFUSED), "messages_2000": (chat([{"role": "user", "content": "x"}] * 2000), REFUSED),
    "role_unknown": (chat([{"role": "root", "content": "x"}]), REFUSED), "content_null": (chat([{"role": "user", "content": None}]), FINE_OR_400),
    "chat_template_injection": (chat(chat_template="{{ 1/0 }}", chat_template_kwargs={"x": "{{ y }}"}), FINE_OR_400),
    "image_url_ssrf": (chat([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}]}]), REFUSED),
    "embedding_of_2049": (body("/v1/embeddings", input=["a"] * 2049), REFUSED), "embedding_too_long": (body("/v1/embeddings", input="a b " * 5000), REFUSED),
    "tokenize_1MiB": (body("/tokenize", content="ab " * 350000), FINE_OR_400), "detokenize_negative": (body("/detokenize", tokens=[-1, 2**40]), REFUSED),
    # Grammars and schemas.
    "gbnf_60k_groups": (text(grammar="root ::= " + "(" * 60000 + '"a"' + ")" * 60000), REFUSED), "gbnf_left_recursion": (text(grammar='root ::= root "a" | "b"'), FINE_OR_400),
    "gbnf_empty_loop": (text(grammar='root ::= ("")*'), FINE_OR_400), "gbnf_repetition": (text(grammar='root ::= "a"{1000000000}'), REFUSED),
    "gbnf_nested_repetition": (text(grammar='root ::= ((("a"{999}){999}){999}){999}'), FINE_OR_400), "gbnf_undefined": (text(grammar="root ::= nowhere"), REFUSED),
    "regex_catastrophic": (text(guided_regex="(a+)+(a+)+(a+)+b"), FINE_OR_400), "regex_groups": (text(guided_regex="(" * 20000 + "a" + ")" * 20000), REFUSED),
    "regex_counts": (text(guided_regex="(a{1000}){1000}"), FINE_OR_400), "regex_lookbehind": (text(guided_regex="(?<=a)b"), REFUSED),
    "schema_depth": (schema(nested(30)), FINE_OR_400), "schema_any_of_deep": (schema(nested(30, "anyOf")), FINE_OR_400),
    "schema_self_reference": (schema({"$ref": "#"}), FINE_OR_400), "schema_remote_reference": (schema({"$ref": "http://169.254.169.254/x"}), REFUSED),
    "schema_pattern_bomb": (schema({"type": "string", "pattern": "^(([a-z]+)*)*$"}), FINE_OR_400), "schema_enum_5000": (schema({"enum": [f"v{i}" for i in range(5000)]}), FINE_OR_400),
    "schema_bounds": (schema({"type": "string", "minLength": 10**9}), FINE_OR_400), "schema_not_object": (schema([1]), REFUSED),
    "tools_200": (chat(tools=[{"type": "function", "function": {"name": f"f{i}", "parameters": {}}} for i in range(200)]), FINE_OR_400),
    # Other routes.
    "metrics_with_body": (raw(b"GET /metrics HTTP/1.1", b"Content-Length: 5", rest=b"hello"), (200,)),
    "load_a_path": (body("/models/load", model="../../etc/passwd"), (400, 403, 404)), "pull_unasked": (body("/api/pull", model="a/b"), (403, 404)),
}


def test_there_are_about_a_hundred():
    assert len(CASES) >= 100


@pytest.mark.parametrize("case", CASES)
def test_case(victim, case):
    data, allowed = CASES[case]
    check(victim, exchange(victim, data), allowed)


@pytest.mark.parametrize("flags", [["--api-key", "k"]])
def test_keys_guard_every_spelling(start, flags):
    server = start(*flags)
    for path in ("/v1/models", "/v1/models/", "//v1/models", "/v1/models?x", "/V1/models", "/v1/./models", "/health/../v1/models", "/v1/models%20", "/metrics", "/tokenize",
                 "/slots", "/props", "/v1/models#health", "/healthz/../metrics", "/page/../metrics"):
        for extra in (b"", b"X-Original-URL: /health\r\n", b"X-Forwarded-Host: localhost\r\n", b"Authorization: Bearer \r\n", b"Authorization: Bearer k \x00\r\n", b"Authorization: Basic k\r\n"):
            got = exchange(server, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n" + extra + b"\r\n")
            assert status_of(got) in (400, 401, 404, 405), (path, extra, got[:100])


def leave(victim, when, **fields):
    """A client that goes away at some point of its request."""
    connection = send(victim, prompt="word " * 300, max_tokens=500, ignore_eos=True, **fields)
    if when == "stream":
        connection.recv(200)
    if when == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@pytest.mark.parametrize("when", ["queue", "stream", "reset"])
def test_clients_that_leave(victim, when):
    for _ in range(12):
        leave(victim, when, stream=when != "queue")
    wait_for(lambda: victim.metric("bitnet_sequences_running") + victim.metric("bitnet_sequences_waiting") == 0, "freed", LIMIT * SLOW)
    # Those whose prompt was still being read take a place for a moment after that.
    wait_for(lambda: status_of(exchange(victim, text())) == 200, "answered", LIMIT * SLOW)
    check(victim, exchange(victim, text()), (200,))


def test_a_burst_of_64_is_answered_or_refused_at_once(victim):
    # With a time to wait: what is shed says when to come back.
    answers = [None] * 64

    def ask(i):
        answers[i] = exchange(victim, text(prompt="word " * 50, max_tokens=100, ignore_eos=True), timeout=60 * SLOW)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [status_of(answer) for answer in answers]
    assert set(statuses) <= {200, 429} and statuses.count(200) >= 4
    assert all(b"Retry-After" in answer for answer in answers if status_of(answer) == 429)


def test_a_reader_that_reads_nothing(victim):
    stalled = [send(victim, prompt="a", max_tokens=2000, ignore_eos=True, stream=True, logprobs=5) for _ in range(4)]
    for _ in range(5):
        check(victim, exchange(victim, text(), timeout=30 * SLOW), (200, 429))
    for connection in stalled:
        connection.close()


def test_a_thousand_pipelined_requests(victim):
    with socket.create_connection(("127.0.0.1", victim.port), timeout=LIMIT * SLOW) as connection:
        threading.Thread(target=connection.sendall, args=(FINE * 999 + FINE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),)).start()
        got = b""
        while part := connection.recv(1 << 16):
            got += part
    assert got.count(b"HTTP/1.1 200") == 1000
    check(victim, exchange(victim, FINE), (200,))


def test_many_unlike_schemas_leave_nothing(victim):
    count = 300 if SLOW > 1 else 2000
    connection = victim.connect()

    def ask(i):
        fields = {"prompt": "a", "max_tokens": 1, "json_schema": {"type": "object", "properties": {f"k{i}": {"type": "string", "maxLength": i}}, "required": [f"k{i}"]}}
        connection.request("POST", "/v1/completions", json.dumps(fields), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        if answer.headers.get("Connection") == "close":
            connection.close()

    for i in range(count // 4):
        ask(i)
    before = resident(victim)
    for i in range(count // 4, count):
        ask(i)
    connection.close()
    assert resident(victim) < before + (24 << 20) * SLOW


def test_connections_beyond_the_limit(start):
    server = start("--max-connections", 20, "--max-connections-per-address", 10)
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT) for _ in range(10)]
    for connection in held:
        connection.sendall(b"GET ")
    got = exchange(server, FINE)
    assert status_of(got) == 503
    for connection in held:
        connection.close()
    wait_for(lambda: status_of(exchange(server, FINE)) == 200, "there is room again", LIMIT * SLOW)


def test_slow_headers_are_ended(start):
    server = start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        begun = time.monotonic()
        connection.sendall(b"GET /health HTTP/1.1\r\n")

        def drip():
            try:
                while True:
                    connection.sendall(b"X: y\r\n")
                    time.sleep(0.5)
            except OSError:
                pass
        threading.Thread(target=drip, daemon=True).start()
        got = connection.recv(1000)
        assert status_of(got) == 408 and 8 < time.monotonic() - begun < 14
