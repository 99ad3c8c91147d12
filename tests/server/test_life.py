"""Does the server end requests whose client left, refuse what it has no room for, and stop without losing an answer?"""
import json
import os
import socket
import threading
import time


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def send(server, **fields):
    """A socket on which a completion was asked for."""
    body = json.dumps(fields).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
                       str(len(body)).encode() + b"\r\n\r\n" + body)
    return connection


def test_a_client_that_leaves_frees_its_place(start):
    server = start("--parallel", 2, "--no-prefix-cache")
    fields = {"prompt": "a", "max_tokens": 2000, "ignore_eos": True}
    leaving = [send(server, stream=stream, **fields) for stream in (True, False, True, False, True, True)]  # two run, others wait
    wait_for(lambda: server.metric("bitnet_sequences_running") == 2, "two run")
    for connection in leaving:
        connection.close()
    wait_for(lambda: server.metric("bitnet_sequences_running") + server.metric("bitnet_sequences_waiting") == 0, "all were freed")
    assert server.metric("bitnet_kv_pages_used") == 0
    assert server.metric("bitnet_cancelled_total") >= 5


def test_a_full_queue_is_refused_at_once(start):
    server = start("--parallel", 1, "--max-queue", 1)
    busy = [send(server, prompt="a", max_tokens=2000, ignore_eos=True, stream=True) for _ in range(2)]
    wait_for(lambda: server.metric("bitnet_sequences_waiting") == 1, "one waits")
    start_time = time.monotonic()
    status, headers, text = server.ask("POST", "/v1/completions", {"prompt": "a"})
    assert status == 429 and time.monotonic() - start_time < 5
    assert json.loads(text)["error"]["code"] == "queue_full"
    assert int(headers["Retry-After"]) >= 1 and int(headers["retry-after-ms"]) >= 1000
    for connection in busy:
        connection.close()
    wait_for(lambda: server.metric("bitnet_sequences_waiting") == 0, "the queue is empty")
    server.post("/v1/completions", prompt="a", max_tokens=1)


def test_sigterm_lets_running_requests_finish(start):
    server = start("--parallel", 4)
    fields = [{"prompt": f"text {i}", "max_tokens": 1500 + i, "seed": i, "ignore_eos": True} for i in range(8)]
    expected = [server.post("/v1/completions", **f)["choices"][0]["text"] for f in fields]
    texts = [None] * len(fields)

    def ask(i):
        texts[i] = "".join(e["choices"][0]["text"] for e in server.stream("/v1/completions", **fields[i]))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(fields))]
    for thread in threads:
        thread.start()
    wait_for(lambda: server.metric("bitnet_sequences_running") + server.metric("bitnet_sequences_waiting") >= 4, "they run")
    code = server.stop()
    for thread in threads:
        thread.join()
    # What was not yet accepted when the signal came may be refused, never cut.
    assert code == 0
    assert [t for t in texts if t is not None] == [e for t, e in zip(texts, expected) if t is not None]
    assert sum(t is not None for t in texts) >= 4


def test_the_deadline_ends_an_answer_with_what_there_is(start):
    server = start("--request-timeout", 1)
    answer = server.post("/v1/completions", prompt="a", max_tokens=2000, ignore_eos=True)
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "length" and 0 < answer["usage"]["completion_tokens"] <= 2000


def test_memory_and_descriptors_do_not_grow(start):
    server = start("--parallel", 4, "--no-prefix-cache")
    descriptors = lambda: len(os.listdir(f"/proc/{server.process.pid}/fd"))

    def resident():
        with open(f"/proc/{server.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def burst():
        for i in range(60):
            server.ask("POST", "/v1/completions", {"prompt": "a b c", "max_tokens": 3})
            send(server, prompt="a", max_tokens=500, stream=True).close()
        wait_for(lambda: server.metric("bitnet_sequences_running") + server.metric("bitnet_sequences_waiting") == 0, "idle")
        wait_for(lambda: server.metric("bitnet_connections") == 1, "closed")

    start_time = time.monotonic()
    burst()
    assert time.monotonic() - start_time < 10, "connections whose client left are kept"
    open_before, memory_before = descriptors(), resident()
    burst()
    assert descriptors() <= open_before + 1
    assert resident() < memory_before + (8 << 20)


def test_a_unix_socket(start, model, tmp_path):
    import subprocess
    from conftest import PROGRAM
    path = tmp_path / "b.sock"
    process = subprocess.Popen([PROGRAM, "serve", "-m", model, "--unix-socket", path, "-t", "1"], stderr=subprocess.PIPE)
    try:
        assert f"unix:{path}" in process.stderr.readline().decode()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: whatever\r\nConnection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        process.terminate()
        assert process.wait(20) == 0 and not path.exists()
    finally:
        process.kill()
