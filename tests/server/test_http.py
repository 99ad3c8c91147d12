"""Does the server bear what the network sends: wrong bytes, large ones, slow ones, none?"""
import json
import re
import socket
import time

import pytest
from conftest import ROOT

FINE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b'{"prompt": "a", "max_tokens": 1}'


def exchange(server, data, answered=True, timeout=20):
    """All bytes that come back. A client that says that it will send no more counts as gone, so that is said at once only where no
    answer is expected."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        connection.sendall(data)
        got = connection.recv(65536) if answered else b""
        try:
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                got += part
        except OSError:
            pass  # the server closed first
        return got


def post(extra=b"", body=BODY, length=None, path=b"/v1/completions"):
    size = len(body) if length is None else length
    return (b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + extra +
            b"Content-Length: " + str(size).encode() + b"\r\n\r\n" + body)


# What is sent, and the status lines that are allowed; empty: the connection just ends.
CASES = {
    "garbage": (b"\x00\xff\x16\x03\x01 hello\r\n\r\n", [400]),
    "no version": (b"GET /health\r\n\r\n", [400]),
    "bad version": (b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n", [400]),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", [400]),
    "two hosts": (b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", [400]),
    "foreign host": (b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", [403]),
    "absolute target": (b"GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
    "long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", [414]),
    "huge header": (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70000 + b"\r\n\r\n", [431]),
    "many headers": (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: 1\r\n" * 8000 + b"\r\n", [431]),
    "space before colon": (b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n", [400]),
    "folded header": (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\tb\r\n\r\n", [400]),
    "bare line feeds": (b"GET /health HTTP/1.1\nHost: localhost\n\n", [400]),
    "nul in header": (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", [400]),
    "unknown method": (b"BREW /health HTTP/1.1\r\nHost: localhost\r\n\r\n", [400, 405]),
    "wrong method": (b"DELETE /health HTTP/1.1\r\nHost: localhost\r\n\r\n", [405]),
    "unknown path": (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", [404]),
    "traversal": (b"GET /v1/models/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", [404]),
    "encoded nul": (b"GET /v1/models/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", [404]),
    "two lengths": (post(b"Content-Length: 5\r\n"), [400]),
    "length and chunked": (post(b"Transfer-Encoding: chunked\r\n"), [400]),
    "negative length": (post(length=-1), [400]),
    "huge length": (post(length=10**15), [413]),
    "overflowing length": (post(length=10**30), [400]),
    "body too short": (post(length=500), []),
    "no body": (post(body=b"", length=0), [400]),
    "wrong content type": (post().replace(b"application/json", b"text/plain"), [415]),
    "no content type": (post().replace(b"Content-Type: application/json\r\n", b""), [415]),
    "gzip body": (post(b"Content-Encoding: gzip\r\n"), [415]),
    "not json": (post(body=b"{nope}"), [400]),
    "json with a tail": (post(body=BODY + b" x"), [400]),
    "json array": (post(body=b"[]"), [400]),
    "json number": (post(body=b"5"), [400]),
    "deep json": (post(body=b"[" * 100000 + b"]" * 100000), [400]),
    "deep object": (post(body=b'{"a":' * 5000 + b"1" + b"}" * 5000), [400]),
    "not utf-8": (post(body=b'{"prompt": "\xff\xfe"}'), [400]),
    "lone surrogate": (post(body=b'{"prompt": "\\ud800"}'), [400]),
    "number too large": (post(body=b'{"prompt": "a", "max_tokens": 1e999}'), [400]),
    "long number": (post(body=b'{"prompt": "a", "max_tokens": ' + b"9" * 5000 + b"}"), [400]),
    "many values": (post(body=b'{"prompt": [' + b"1," * 300000 + b"1]}"), [400]),
    "many keys": (post(body=json.dumps({f"k{i}": 1 for i in range(200000)}).encode()), [400]),
    "many objects of many keys": (post(body=json.dumps([{f"k{i}": 1 for i in range(2000)}] * 99).encode()), [400]),
    "duplicate keys": (post(body=b'{"prompt": "a", "max_tokens": 1, "max_tokens": 1}'), [200, 400]),
    "bad chunk": (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nxx\r\n0\r\n\r\n", [400]),
    "huge chunk": (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffff\r\nxx", [400, 413]),
    "chunked body": (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" + BODY + b"\r\n0\r\n\r\n", [200]),
    "expect": (post(b"Expect: 100-continue\r\n"), [100]),
    "head": (b"HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n", [200]),
    "old version": (b"GET /health HTTP/1.0\r\n\r\n", [200]),
    "preflight of a stranger": (b"OPTIONS /v1/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n", [403]),
    "nothing": (b"", []),
    "half a request": (b"GET /heal", []),
}


@pytest.mark.parametrize("case", CASES)
def test_answers_or_ends(server, case):
    data, statuses = CASES[case]
    got = exchange(server, data, answered=bool(statuses))
    if not got:
        assert not statuses, "no answer"
    else:
        assert int(got.split(b" ", 2)[1]) in statuses, got[:200]
    assert exchange(server, FINE).startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(server):
    got = exchange(server, post() + FINE + b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", got) == [b"200", b"200", b"404"]


def test_every_error_is_json_with_an_id(server):
    for path, body in (("/nothing", None), ("/v1/completions", "{")):
        status, headers, text = server.ask("POST" if body else "GET", path, body, {"X-Request-Id": "mine-1"})
        assert status >= 400 and headers["X-Request-Id"] == "mine-1"
        assert set(json.loads(text)["error"]) == {"message", "type", "param", "code"}
    assert server.ask("GET", "/health", headers={"X-Request-Id": "bad id\t" + "x" * 300})[1]["X-Request-Id"] != "bad id"


def test_keys(start, model):
    server = start("--api-key", "first", "--api-key", "second")
    ask = lambda headers: server.ask("GET", "/v1/models", headers=headers)[0]
    assert ask({}) == 401 and ask({"Authorization": "Bearer wrong"}) == 401 and ask({"Authorization": "first"}) == 401
    assert ask({"Authorization": "Bearer first"}) == 200 and ask({"Authorization": "bearer second"}) == 200
    assert ask({"X-Api-Key": "second"}) == 200
    assert server.ask("GET", "/health")[0] == 200


def test_pages_of_allowed_origins_may_ask(start):
    server = start("--cors-origin", "http://page.example")
    preflight = {"Origin": "http://page.example", "Access-Control-Request-Method": "POST"}
    status, headers, _ = server.ask("OPTIONS", "/v1/completions", headers=preflight)
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, "http://page.example")
    assert headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type, X-Api-Key, X-Request-Id"
    assert server.ask("GET", "/health", headers={"Origin": "http://page.example"})[1]["Access-Control-Allow-Origin"] == "http://page.example"
    assert "Access-Control-Allow-Origin" not in server.ask("GET", "/health", headers={"Origin": "http://other.example"})[1]


def test_preflights_are_told_what_they_ask_for_within_bounds(start):
    server = start("--cors-origin", "http://page.example")

    def allowed(asked, origin="http://page.example"):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
        status, headers, _ = server.ask("OPTIONS", "/v1/chat/completions", headers=headers)
        assert (status, "Access-Control-Allow-Headers" in headers) == ((204, True) if origin == "http://page.example" else (403, False))
        assert origin != "http://page.example" or "Access-Control-Request-Headers" in headers["Vary"]
        return headers.get("Access-Control-Allow-Headers")

    sdk = ["anthropic-beta", "anthropic-dangerous-direct-browser-access", "anthropic-version", "authorization", "content-type", "traceparent", "x-api-key",
           "x-stainless-arch", "x-stainless-retry-count"]
    assert allowed(",".join(sdk)) == allowed(" ,\t".join(sdk)) == ", ".join(sdk)
    usual = allowed("")
    assert usual == "Authorization, Content-Type, X-Api-Key, X-Request-Id"
    for wrong in ("a b", "a,,b", "a:b", "x" * 65, ",".join(f"x-{i}" for i in range(500)), "*", "a;q=1", "<script>"):
        assert allowed(wrong) == usual, wrong
    assert allowed("x-api-key", origin="http://other.example") is None
    assert "x-request-id" in server.ask("GET", "/health", headers={"Origin": "http://page.example"})[1]["Access-Control-Expose-Headers"].lower()


def test_slow_connections_do_not_slow_others(server):
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for connection in slow:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: loc")
    start = time.monotonic()
    for _ in range(20):
        assert server.ask("GET", "/health", timeout=10)[0] == 200
    assert time.monotonic() - start < 10
    for connection in slow:
        connection.close()


def test_the_page_needs_no_key_and_asks_nobody_else(start):
    server = start("--api-key", "secret")
    total = 0
    for path in ["/", *(f"/page/{p.name}" for p in (ROOT / "src/server/page").iterdir() if p.name != "index.html")]:
        status, headers, text = server.ask("GET", path)
        assert status == 200, path
        total += len(text)
        assert headers["X-Content-Type-Options"] == "nosniff" and "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert server.ask("GET", path, headers={"If-None-Match": headers["ETag"]})[0::2] == (304, "")
        assert server.ask("HEAD", path)[0::2] == (200, "")
        assert not re.findall(r"""(?:src|href)=["'](?!/page/|#)|url\(|@import|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(""", text), path
    assert total < 200_000
    assert server.ask("GET", "/page/../server.cc")[0] == 404 and server.ask("POST", "/", {})[0] in (404, 405)
