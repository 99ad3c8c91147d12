"""Does the server live through what broke others? Raw bytes over sockets: no 5xx but 501 and 503, no hang, nothing lost in the end.

Beside test_http.py, which tests what HTTP itself forbids: here are requests that are well formed and hostile, floods, and clients that stall or leave.
The kinds follow published failures of inference servers: unbounded queues, lengths and recursion, orphaned generation, smuggled requests.
"""
import contextlib
import json
import os
import re
import resource
import socket
import threading
import time

import pytest
from hostile_requests import CASES, chunked, text
from test_http import FINE, post
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
    # A sanitizer's allocator keeps more of what was freed; that nothing leaked it says at the end.
    assert resident(server) < memory + (64 << 20) * (2 if SLOW > 1 else 1)
    assert server.stop() == 0


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


def test_there_are_about_a_hundred():
    assert len(CASES) >= 250


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
    (reset if when == "reset" else socket.socket.close)(connection)


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


def read_all(connection):
    """Until the other side has closed, or said nothing for a moment."""
    got = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while part := connection.recv(1 << 16):
            got += part
    return got


def open_to(server, data=b"", timeout=LIMIT * SLOW, address="127.0.0.1"):
    connection = socket.create_connection((address, server.port), timeout=timeout)
    connection.sendall(data)
    return connection


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@pytest.mark.parametrize("data", [
    post(b"Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n" + FINE), post(b"Transfer-Encoding: xchunked\r\n", body=FINE), post(b"Content-Length: 0\r\n", body=FINE),
    FINE[:-2] + b"Content-Length: %d\r\n\r\n" % len(FINE) + FINE, FINE[:-2] + b"X: a\n\n" + FINE, post(b"Content-Encoding: gzip\r\n", body=FINE), post(path=b"/nothing", body=FINE),
    FINE[:-2] + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(FINE) + FINE + b"\r\n0\r\n\r\n", post(body=FINE)], ids=range(9))
def test_what_is_hidden_in_a_body_is_no_request(victim, data):
    with open_to(victim, data, timeout=0.5 * SLOW) as connection:
        assert read_all(connection).count(b"HTTP/1.1 ") == 1
    check(victim, exchange(victim, FINE), (200,))


def test_answers_to_pipelined_requests_keep_their_order(victim):
    wanted = [(text(prompt=f"a {i}"), 200) if i % 3 == 0 else (FINE, 200) if i % 3 == 1 else (post(body=b"{"), 400) for i in range(30)]
    with open_to(victim, b"".join(data for data, _ in wanted), timeout=2 * SLOW) as connection:
        got = read_all(connection)
    assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", got)] == [status for _, status in wanted]


def test_clients_that_close_their_side_alone_are_answered(victim):
    long = text(prompt="word " * 300, max_tokens=1500, ignore_eos=True)
    for data, statuses in ((FINE, [b"200"]), (FINE + FINE, [b"200", b"200"]), (post(body=b"{"), [b"400"]), (long, [b"400"]), (long[:-5], []), (b"GET /hea", [])):
        with open_to(victim, data) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert re.findall(rb"HTTP/1.1 (\d+)", read_all(connection)) == statuses, data[:60]


def test_a_client_that_leaves_behind_its_next_request_frees_its_place(victim):
    before = victim.metric("bitnet_cancelled_total")
    for _ in range(8):
        open_to(victim, text(prompt="word " * 300, max_tokens=1500, ignore_eos=True) + FINE * 20).close()
    # First that one began at all: the server may not yet have looked at what lies in its sockets.
    wait_for(lambda: victim.metric("bitnet_cancelled_total") > before, "cancelled", LIMIT * SLOW)
    wait_for(lambda: victim.metric("bitnet_sequences_running") + victim.metric("bitnet_sequences_waiting") == 0, "freed", LIMIT * SLOW)


def test_connections_that_are_reset_anywhere(victim):
    whole = text(prompt="word " * 100, max_tokens=300, ignore_eos=True, stream=True)
    for i in range(200):
        reset(open_to(victim, (b"", FINE, whole, whole[:-1], whole[:40], b"\xff" * i)[i % 6]))
    for _ in range(500):
        open_to(victim).close()
    wait_for(lambda: victim.metric("bitnet_sequences_running") + victim.metric("bitnet_sequences_waiting") == 0, "freed", LIMIT * SLOW)
    check(victim, exchange(victim, text()), (200,))


def test_a_reader_of_single_bytes_gets_all(victim):
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.settimeout(LIMIT * SLOW)
        connection.connect(("127.0.0.1", victim.port))
        connection.sendall(text(max_tokens=50, ignore_eos=True, stream=True, logprobs=5).replace(b"Host:", b"Connection: close\r\nHost:"))
        got = b""
        while byte := connection.recv(1):
            got += byte
            if len(got) % 2000 == 0:
                assert status_of(exchange(victim, FINE)) == 200
    assert got.endswith(b"[DONE]\n\n\r\n0\r\n\r\n")


def own_address():
    """Of this machine in its network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback's")
        return probe.getsockname()[0]


def test_connections_beyond_the_limit(start):
    server = start("--max-connections", 20)
    held = [open_to(server, b"GET ") for _ in range(20)]
    crowd = [open_to(server) for _ in range(15)]
    for connection in crowd:
        connection.sendall(text(prompt="word " * 1000))
        got = read_all(connection)
        assert status_of(got) == 503 and b"Retry-After: 1" in got
        connection.close()
    for connection in held:
        connection.close()
    wait_for(lambda: status_of(exchange(server, FINE)) == 200, "there is room again", LIMIT * SLOW)


def test_connections_of_one_address(start):
    address = own_address()
    server = start("--host", "0.0.0.0", "--max-connections-per-address", 10)
    held = [open_to(server, b"GET ", address=address) for _ in range(10)]
    with open_to(server, FINE, address=address) as connection:
        assert status_of(read_all(connection)) == 503
    held += [open_to(server, b"GET ") for _ in range(30)]  # of this machine, where proxies are
    assert status_of(exchange(server, FINE)) == 200
    for connection in held:
        connection.close()


def test_hundreds_of_idle_connections(start):
    """More of them than descriptors that it was started with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        server = start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 1024)), hard))
    idle = [open_to(server, FINE if i % 2 else b"") for i in range(400)]
    begun = time.monotonic()
    for _ in range(10):
        assert status_of(exchange(server, text())) == 200
    assert time.monotonic() - begun < 10 * SLOW
    assert all(status_of(connection.recv(1000)) == 200 for connection in idle[1::2])
    for connection in idle:
        connection.close()


SILENT = {"nothing": (b"", []), "half_a_line": (b"GET /heal", [b"408"]), "half_a_header": (b"GET /health HTTP/1.1\r\nHost: loc", [b"408"]), "no_body": (post(b"", b"", 500), [b"408"]),
          "half_a_body": (post(length=500), [b"408"]), "expects": (post(b"Expect: 100-continue\r\n", b"", 32), [b"100", b"408"]), "half_a_chunk": (chunked(b"20\r\n{"), [b"408"]), "slow": (FINE[:-2], [b"408"])}


def test_silence_is_ended(start):
    server = start()
    begun = time.monotonic()
    connections = {name: open_to(server, data, timeout=30) for name, (data, _) in SILENT.items()}

    def drip():
        with contextlib.suppress(OSError):
            while True:
                connections["slow"].sendall(b"X: y\r\n")
                time.sleep(0.5)
    threading.Thread(target=drip, daemon=True).start()
    for name, (_, statuses) in SILENT.items():
        assert re.findall(rb"HTTP/1.1 (\d+)", read_all(connections[name])) == statuses, name
        assert 8 < time.monotonic() - begun < 14 + 2 * SLOW, name
    assert status_of(exchange(server, FINE)) == 200
