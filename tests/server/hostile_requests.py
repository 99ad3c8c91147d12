"""What may be sent that is well formed and hostile, or nearly well formed, and which statuses are answers to it.

None: the connection may end without an answer. The kinds are those of robust servers' own suites: framing that two readers take differently, floods,
values out of range, bombs of JSON, grammars and schemas, names that lead elsewhere.
"""
import json

from test_http import BODY, FINE, post


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
    "te_twice": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", rest=b"0\r\n\r\n"), (400, 501)),
    "te_and_length_of_http_1_0": (b"POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nContent-Length: 32\r\n\r\n" + BODY, REFUSED),
    "te_vertical_tab": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Transfer-Encoding: \x0bchunked", rest=b"0\r\n\r\n"), (400, 501)),
    "te_quoted": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b'Transfer-Encoding: "chunked"', rest=b"0\r\n\r\n"), (400, 501)),
    "te_upper_case": (chunked(b"20\r\n" + BODY + b"\r\n").replace(b": chunked", b": CHUNKED"), (200,)),
    "te_gzip_chunked": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Transfer-Encoding: gzip, chunked", rest=b"0\r\n\r\n"), (400, 415, 501)),
    "length_with_blank_within": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 3 2", rest=BODY), REFUSED),
    "length_of_other_digits": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", "Content-Length: \u0663\u0662".encode(), rest=BODY), REFUSED),
    "length_fraction": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 32.0", rest=BODY), REFUSED),
    "length_twice_the_same": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 32", b"content-length: 32", rest=BODY), REFUSED),
    "length_thousand_digits": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length: " + b"1" * 1000, rest=BODY), (400, 413)),
    "length_obsolete_fold": (raw(b"POST /v1/completions HTTP/1.1", b"Content-Type: application/json", b"Content-Length:\r\n 32", rest=BODY), REFUSED),
    "chunk_size_plus": (chunked(b"+2\r\nxx\r\n"), REFUSED), "chunk_size_0x": (chunked(b"0x2\r\nxx\r\n"), REFUSED),
    "chunk_size_wraps": (chunked(b"10000000000000020\r\n" + BODY + b"\r\n"), (400, 413)), "chunk_size_empty": (chunked(b"\r\nxx\r\n"), REFUSED),
    "chunk_size_line_feed": (chunked(b"20\n" + BODY + b"\r\n"), REFUSED), "chunk_size_blank_before": (chunked(b" 20\r\n" + BODY + b"\r\n"), FINE_OR_400),
    "chunk_extension_quoted_line": (chunked(b'20;a="b\r\n' + BODY + b"\r\n"), FINE_OR_400), "chunk_extension_nul": (chunked(b"20;a=\0\r\n" + BODY + b"\r\n"), FINE_OR_400),
    "chunk_ends_early": (chunked(b"21\r\n" + BODY + b"\r\n"), REFUSED), "trailer_of_length": (chunked(b"20\r\n" + BODY + b"\r\n", trailer=b"0\r\nContent-Length: 5\r\n\r\n"), FINE_OR_400),
    "trailer_folded": (chunked(b"20\r\n" + BODY + b"\r\n", trailer=b"0\r\nX: a\r\n b\r\n\r\n"), FINE_OR_400),
    "headers_20000": (raw(b"GET /health HTTP/1.1", *(b"X: 1" for _ in range(20000))), (431,)),
    "header_folded": (raw(b"GET /health HTTP/1.1", b"X: a", b" b"), REFUSED), "header_folded_first": (b"GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n", REFUSED),
    "header_line_feed_only": (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\nY: b\r\n\r\n", REFUSED),
    "header_delete_byte": (raw(b"GET /health HTTP/1.1", b"X: \x7f"), FINE_OR_400), "header_name_with_blank": (raw(b"GET /health HTTP/1.1", b"X Y: 1"), REFUSED),
    "header_name_of_utf8": (raw(b"GET /health HTTP/1.1", "\u00dc: 1".encode()), REFUSED), "cookies_30KiB": (raw(b"GET /health HTTP/1.1", b"Cookie: " + b"a=b; " * 6000), (200, 431)),
    "uri_40KiB": (raw(b"GET /" + b"a" * 40000 + b" HTTP/1.1"), (414,)), "uri_1MiB": (raw(b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1"), (414,)),
    "uri_without_end": (b"GET /" + b"a" * 100000, (414,)), "uri_utf8": (raw("GET /v1/models/\u00fc\u20ac HTTP/1.1".encode()), (200, 400, 404)), "uri_high_bytes": (raw(b"GET /v1/models/\xff\xfe HTTP/1.1"), (200, 400, 404)),
    "uri_absolute_elsewhere": (raw(b"GET http://169.254.169.254/latest/meta-data HTTP/1.1"), (400, 403, 404)), "uri_encoded_slashes": (raw(b"GET /v1/models/..%2f..%2f..%2fetc%2fpasswd HTTP/1.1"), (200, 404)),
    "uri_splits_answers": (raw(b"GET /v1/models/%0d%0aSet-Cookie:%20x HTTP/1.1"), (200, 404)), "uri_empty": (b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n", REFUSED),
    "line_of_tabs": (b"GET\t/health\tHTTP/1.1\r\nHost: localhost\r\n\r\n", REFUSED), "line_with_more": (raw(b"GET /health HTTP/1.1 x"), REFUSED), "lines_before": (b"\r\n\r\n" + FINE, FINE_OR_400),
    "blank_before": (b" " + FINE, REFUSED), "version_lower_case": (raw(b"GET /health http/1.1"), REFUSED), "version_01": (raw(b"GET /health HTTP/01.1"), REFUSED),
    "version_1_10": (raw(b"GET /health HTTP/1.10"), REFUSED), "method_empty": (raw(b" /health HTTP/1.1"), REFUSED), "method_of_nul": (raw(b"G\0T /health HTTP/1.1"), REFUSED),
    "other_protocol_smtp": (b"EHLO example.com\r\n\r\n", REFUSED), "other_protocol_redis": (b"*1\r\n$4\r\nPING\r\n", REFUSED), "other_protocol_ssh": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", REFUSED),
    "zeros_64KiB": (b"\0" * 65536, (400, 414)), "line_feeds_64KiB": (b"\n" * 65536, REFUSED),
    "host_bracket_open": (b"GET /health HTTP/1.1\r\nHost: [evil.example\r\n\r\n", (400, 403)), "host_port_letters": (b"GET /health HTTP/1.1\r\nHost: localhost:evil\r\n\r\n", (200, 400, 403)),
    "host_two_names": (b"GET /health HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n", (400, 403)), "host_of_64KiB": (b"GET /health HTTP/1.1\r\nHost: " + b"a" * 65536 + b"\r\n\r\n", (431,)),
    "method_override": (raw(b"GET /health HTTP/1.1", b"X-HTTP-Method-Override: DELETE", b"X-Original-URL: /metrics"), (200,)), "ranges_1000": (raw(b"GET / HTTP/1.1", b"Range: bytes=" + b"0-1," * 1000 + b"0-1"), (200, 206, 416)),
    "accept_encodings": (raw(b"GET /health HTTP/1.1", b"Accept-Encoding: gzip;q=-1, br;q=1e999, *;q=x"), (200,)), "connection_list": (raw(b"GET /health HTTP/1.1", b"Connection: keep-alive, close, " + b"x, " * 1000), (200, 431)),
    "upgrade_websocket_post": (post(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), (200, 400, 426)),
    "expect_of_a_huge_body": (post(b"Expect: 100-continue\r\n", length=10**9), (413,)), "content_type_twice": (post(b"Content-Type: text/plain\r\n"), (200, 400, 415)), "content_type_8KiB": (post(b"").replace(b"application/json", b"application/json; charset=" + b"u" * 8000), (200, 400, 415)),
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
    "json_blank_only": (post(body=b" \n\t "), REFUSED), "json_trailing_comma": (post(body=b'{"prompt": "a",}'), REFUSED), "json_single_quotes": (post(body=b"{'prompt': 'a'}"), REFUSED), "json_leading_zero": (post(body=b'{"prompt": "a", "max_tokens": 01}'), REFUSED),
    "json_plus": (post(body=b'{"prompt": "a", "max_tokens": +1}'), REFUSED), "json_hex": (post(body=b'{"prompt": "a", "max_tokens": 0x1}'), REFUSED), "json_half_escape": (post(body=b'{"prompt": "\\u12'), REFUSED), "json_raw_newline": (post(body=b'{"prompt": "a\nb"}'), REFUSED),
    "json_half_utf8": (post(body=b'{"prompt": "\xf0\x9f\x98"}'), REFUSED), "json_beyond_unicode": (post(body=b'{"prompt": "\xf4\x90\x80\x80"}'), REFUSED), "json_utf8_surrogate": (post(body=b'{"prompt": "\xed\xa0\x80"}'), REFUSED), "json_key_not_utf8": (post(body=b'{"prompt": "a", "\xff": 1}'), REFUSED),
    "json_minus_zero": (post(body=b'{"prompt": "a", "max_tokens": 1, "seed": -0, "temperature": -0.0}'), FINE_OR_400), "json_tiny_number": (post(body=b'{"prompt": "a", "max_tokens": 1, "temperature": 1e-400}'), FINE_OR_400), "json_digits_100000": (post(body=b'{"prompt": "a", "max_tokens": 1, "temperature": 0.' + b"1" * 100000 + b"}"), FINE_OR_400),
    "json_minus_2_63": (post(body=b'{"prompt": "a", "max_tokens": -9223372036854775809}'), REFUSED), "json_deep_in_a_field": (text(logit_bias=json.loads("[" * 60 + "]" * 60)), REFUSED), "json_deep_unknown": (post(body=b'{"prompt": "a", "x": ' + b'{"x":' * 200000 + b"1" + b"}" * 200000 + b"}"), REFUSED),
    "json_mixed_depth": (post(body=b'[{"a":' * 50000), REFUSED), "json_key_1MiB": (post(body=b'{"prompt": "a", "max_tokens": 1, "' + b"k" * (1 << 20) + b'": 1}'), FINE_OR_400), "json_user_1MiB": (text(user="u" * (1 << 20)), FINE_OR_400),
    "json_tail_of_nul": (post(body=BODY + b"\0"), REFUSED), "json_two_values": (post(body=BODY + BODY), REFUSED), "json_list_of_lists": (post(body=b"[" + b"[]," * 100000 + b"[]]"), REFUSED),
    "json_nan": (post(body=b'{"prompt": "a", "temperature": NaN}'), REFUSED),
    "json_infinity": (post(body=b'{"prompt": "a", "temperature": Infinity}'), REFUSED),
    "json_comment": (post(body=b'{"prompt": "a" /* x */}'), REFUSED),
    "json_nul_in_string": (post(body=b'{"prompt": "a\\u0000b", "max_tokens": 1}'), FINE_OR_400),
    "json_raw_nul": (post(body=b'{"prompt": "a\x00b"}'), REFUSED),
    "json_surrogates": (post(body=b'{"prompt": "\\ud83d\\ude00\\udc00"}'), REFUSED),
    "json_overlong_utf8": (post(body=b'{"prompt": "\xc0\x80"}'), REFUSED),
    "json_long_exponent": (post(body=b'{"prompt": "a", "temperature": 1e' + b"9" * 1000 + b"}"), REFUSED),
    # Fields.
    "max_tokens_negative": (text(max_tokens=-1), FINE_OR_400), "max_tokens_0": (text(max_tokens=0), FINE_OR_400), "max_tokens_text": (text(max_tokens="9"), REFUSED), "max_tokens_fraction": (text(max_tokens=1.5), REFUSED), "max_tokens_1e300": (text(max_tokens=1e300), REFUSED),
    "stream_text": (text(stream="yes"), REFUSED), "stream_options_list": (text(stream=True, stream_options=[]), REFUSED), "stop_17": (text(stop=["x"] * 17), REFUSED), "stop_numbers": (text(stop=[1, 2]), REFUSED), "n_0": (text(n=0), REFUSED), "n_8_of_32": (text(prompt=["a"] * 32, n=8), (200, 400, 429)),
    "prompts_100000": (text(prompt=["a"] * 100000), REFUSED), "ids_150000": (text(prompt=[1] * 150000), REFUSED), "lists_of_ids_empty": (text(prompt=[[]]), REFUSED), "lists_mixed": (text(prompt=["a", 1]), REFUSED), "logprobs_negative": (text(logprobs=-1), REFUSED), "top_logprobs_21": (chat(logprobs=True, top_logprobs=21), REFUSED),
    "logit_bias_unknown_token": (text(logit_bias={"999999999999": 1}), REFUSED), "logit_bias_infinite": (text(logit_bias={"1": 1e308}), FINE_OR_400), "priority_2_40": (text(priority=2**40), REFUSED), "seed_negative": (text(seed=-2**63), FINE_OR_400), "suffix": (text(suffix="b"), REFUSED),
    "top_p_above": (text(top_p=1e9), REFUSED), "top_k_negative": (text(top_k=-2**31), FINE_OR_400), "min_p_2": (text(min_p=2), REFUSED), "repeat_last_n_2_31": (text(repeat_last_n=2**31, repeat_penalty=1.1), FINE_OR_400), "penalty_1e30": (text(presence_penalty=1e30), REFUSED), "dry_2_31": (text(dry_multiplier=1, dry_allowed_length=2**31, dry_base=0), FINE_OR_400),
    "model_path": (chat(model="../../../etc/passwd"), (200, 404)), "model_1MiB": (chat(model="m" * (1 << 20)), (200, 400, 404)), "model_of_nul": (chat(model="a\0b"), (200, 404)), "model_list": (chat(model=[]), REFUSED),
    "content_parts_1000": (chat([{"role": "user", "content": [{"type": "text", "text": "x"}] * 1000}]), FINE_OR_400), "content_nested": (chat([{"role": "user", "content": [[[]]]}]), REFUSED), "content_number": (chat([{"role": "user", "content": 5}]), REFUSED), "messages_object": (body("/v1/chat/completions", messages={}), REFUSED),
    "image_data_uri": (chat([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100000}}]}]), REFUSED), "image_file_url": (chat([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]), REFUSED),
    "tool_of_nothing": (chat(tools=[{}]), REFUSED), "tool_choice_unknown": (chat(tool_choice={"type": "function", "function": {"name": "nowhere"}}), REFUSED), "tool_message_alone": (chat([{"role": "tool", "content": "x", "tool_call_id": "\0"}]), FINE_OR_400),
    "responses_unknown_item": (body("/v1/responses", input=[{"type": "computer_call"}]), REFUSED), "anthropic_without_max_tokens": (body("/v1/messages", messages=[{"role": "user", "content": "x"}]), FINE_OR_400), "ollama_name_path": (body("/api/show", model="../../etc/passwd"), (200, 400, 404)),
    "ollama_pull_url": (body("/api/pull", model="http://169.254.169.254/a"), (400, 403, 404)), "ollama_delete_path": (raw(b"DELETE /api/delete HTTP/1.1", b"Content-Length: 25", rest=b'{"model": "../../x/y/z.a"}'), (400, 403, 404)), "slots_save_path": (raw(b"POST /slots/0?action=save HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 27", rest=b'{"filename": "../../etc/x"}'), (404, 405, 501)),
    "embedding_ids_negative": (body("/v1/embeddings", input=[[-1]]), REFUSED), "embedding_dimensions_2_40": (body("/v1/embeddings", input="a", dimensions=2**40), REFUSED), "embedding_empty": (body("/v1/embeddings", input=""), FINE_OR_400),
    "detokenize_million": (body("/detokenize", tokens=[5] * 150000), FINE_OR_400), "template_2000": (body("/apply-template", messages=[{"role": "user", "content": "{{ x }}{% for %}"}] * 1000), FINE_OR_400),
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
    "gbnf_nul": (text(grammar='root ::= "\0"'), FINE_OR_400), "gbnf_escape_cut": (text(grammar='root ::= "\\x'), REFUSED), "gbnf_range_reversed": (text(grammar="root ::= [z-a]"), FINE_OR_400), "gbnf_rules_10000": (text(grammar="\n".join(f"r{i} ::= r{i + 1}" for i in range(10000)) + "\nroot ::= r0"), REFUSED),
    "gbnf_mutual": (text(grammar='root ::= a | "x"\na ::= b\nb ::= a'), FINE_OR_400), "gbnf_1MiB": (text(grammar="root ::= " + '"a" ' * 250000), REFUSED), "gbnf_nothing": (text(grammar="root ::= root"), FINE_OR_400), "gbnf_counts_reversed": (text(grammar='root ::= "a"{5,2}'), REFUSED),
    "regex_backreference": (text(guided_regex="(a)\\1"), REFUSED), "regex_unclosed": (text(guided_regex="[a-"), REFUSED), "regex_of_classes": (text(guided_regex="[\\w\\d\\s]{1,1000}"), FINE_OR_400), "regex_alternatives_20000": (text(guided_regex="|".join(f"a{i}" for i in range(20000))), FINE_OR_400), "choice_100000": (text(guided_choice=["x"] * 100000), FINE_OR_400),
    "schema_references_in_a_ring": (schema({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}), FINE_OR_400), "schema_all_of_2_20": (schema({"allOf": [{"anyOf": [{"const": i}, {"const": -i}]} for i in range(20)]}), FINE_OR_400), "schema_required_unknown": (schema({"type": "object", "required": ["x"] * 1000}), FINE_OR_400),
    "schema_numbers": (schema({"type": "integer", "minimum": -1e308, "maximum": 1e308}), FINE_OR_400), "schema_items_2_31": (schema({"type": "array", "minItems": 2**31, "items": {"type": "boolean"}}), FINE_OR_400), "schema_negative": (schema({"type": "string", "maxLength": -1}), FINE_OR_400), "schema_unknown_type": (schema({"type": "nonsense"}), REFUSED), "schema_depth_3000": (post(path=b"/v1/chat/completions", body=b'{"messages":[{"role":"user","content":"x"}],"json_schema":' + b'{"items":' * 3000 + b"{}" + b"}" * 3000 + b"}"), REFUSED),
    "schema_depth": (schema(nested(30)), FINE_OR_400), "schema_any_of_deep": (schema(nested(30, "anyOf")), FINE_OR_400),
    "schema_self_reference": (schema({"$ref": "#"}), FINE_OR_400), "schema_remote_reference": (schema({"$ref": "http://169.254.169.254/x"}), REFUSED),
    "schema_pattern_bomb": (schema({"type": "string", "pattern": "^(([a-z]+)*)*$"}), FINE_OR_400), "schema_enum_5000": (schema({"enum": [f"v{i}" for i in range(5000)]}), FINE_OR_400),
    "schema_bounds": (schema({"type": "string", "minLength": 10**9}), FINE_OR_400), "schema_not_object": (schema([1]), REFUSED),
    "tools_200": (chat(tools=[{"type": "function", "function": {"name": f"f{i}", "parameters": {}}} for i in range(200)]), FINE_OR_400),
    # Other routes.
    "metrics_with_body": (raw(b"GET /metrics HTTP/1.1", b"Content-Length: 5", rest=b"hello"), (200,)),
    "load_a_path": (body("/models/load", model="../../etc/passwd"), (400, 403, 404)), "pull_unasked": (body("/api/pull", model="a/b"), (403, 404)),
}
