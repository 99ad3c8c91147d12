"""What the tests of the server share: a server on a free port of loopback, and a small client for it."""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cli"))
import tiny_model  # noqa: E402

PROGRAM = Path(os.environ.get("BITNET_BIN", ROOT / "build" / "release" / "bin" / "bitnet"))


class Server:
    """`bitnet serve` until the end of the test."""

    def __init__(self, model, home, *flags):
        self.errors = open(home / "serve.log", "w+b")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BITNET_")} | {"HOME": str(home)}
        self.process = subprocess.Popen([PROGRAM, "serve", "-m", model, "--port", "0", "-t", "2", *map(str, flags)],
                                        stderr=subprocess.PIPE, env=environment, cwd=home)
        line = self.process.stderr.readline().decode()
        found = re.search(r" on (\S+):(\d+)\b", line)
        assert found, line
        self.port = int(found[2])

    def connect(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, timeout=60):
        """Status, headers and text of one request on a connection of its own."""
        connection = self.connect(timeout)
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        sent = {"Content-Type": "application/json"} if data is not None else {}
        connection.request(method, path, data, sent | (headers or {}))
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def post(self, path, **fields):
        status, _, text = self.ask("POST", path, fields)
        assert status == 200, text
        return json.loads(text)

    def refusal(self, status, path, body, **options):
        """The error object of a request that must be refused."""
        got, _, text = self.ask("POST", path, body, **options)
        assert got == status, text
        error = json.loads(text)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error

    def stream(self, path, **fields):
        """The data of all events of a stream, which must end with [DONE]."""
        status, headers, text = self.ask("POST", path, fields | {"stream": True})
        assert status == 200, text
        assert headers["Content-Type"] == "text/event-stream"
        events = [part.removeprefix("data: ") for part in text.split("\n\n") if part and not part.startswith(":")]
        assert events[-1] == "[DONE]"
        return [json.loads(event) for event in events[:-1]]

    def metric(self, name):
        _, _, text = self.ask("GET", "/metrics")
        return float(re.search(rf"^{name} (.*)$", text, re.MULTILINE)[1])

    def stop(self, timeout=60):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_model.write(path, n_ctx=2048)
    return path


@pytest.fixture(scope="module")
def start(model, tmp_path_factory):
    """Starts servers; all end with the module."""
    servers = []

    def started(*flags, file=model):
        servers.append(Server(file, tmp_path_factory.mktemp("home"), *flags))
        return servers[-1]

    yield started
    for server in servers:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="module")
def server(start):
    return start("--parallel", 4)
