"""What the server's load tests share: servers, and raw streaming requests over loopback with asyncio."""
import asyncio
import dataclasses
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = os.environ.get("BITNET_BIN", str(ROOT / "build" / "release" / "bin" / "bitnet"))


class Server:
    """`bitnet serve` with these flags, on a free port."""

    def __init__(self, *flags):
        command = [PROGRAM, "serve", "--port", "0", "--log-level", "info", "--log-format", "text", *map(str, flags)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        found = re.search(r" on \S+:(\d+)", line)
        assert found, line
        self.port = int(found[1])
        # Requests are logged; nobody reads that here, which must not matter.

    def resident(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(90)


@dataclasses.dataclass
class Answer:
    """What became of one request; times in seconds from when it was sent."""
    status: int = 0
    text: str = ""
    tokens: int = 0
    first: float | None = None  # the first piece of text
    end: float = 0
    complete: bool = False  # the stream ended as it should
    retry_after: bool = False


def prompt_fields(i, tokens, words=24):
    """A request unlike the others, and always the same one."""
    return {"prompt": f"Tale {i}: " + "once there was a king and " * (words // 6), "max_tokens": tokens, "seed": i, "ignore_eos": True, "temperature": 0.8}


def pieces(event):
    choice = event["choices"][0] if event["choices"] else {}
    return choice.get("text") or (choice.get("delta") or {}).get("content") or ""


async def complete(port, fields, path="/v1/completions", stream=True):
    """One request on a connection of its own. Checks the frame of the stream: every event whole, of one answer, [DONE] last."""
    answer, begun = Answer(), time.monotonic()
    body = json.dumps(fields | {"stream": stream} | ({"stream_options": {"include_usage": True}} if stream else {})).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    try:
        writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        answer.status = int(head.split()[1])
        answer.retry_after = "retry-after:" in head.lower()
        if answer.status != 200:
            await reader.read()
        elif "chunked" in head.lower():
            await read_events(reader, answer, begun)
        else:
            await read_lines(reader, answer, begun)
    finally:
        answer.end = time.monotonic() - begun
        writer.close()
    return answer


def take(line, answer, begun, names):
    if answer.complete or not line.startswith("data: "):
        assert line.startswith(":") or not answer.complete, f"something behind the end: {line!r}"
        return
    if line == "data: [DONE]":
        answer.complete = True
        return
    event = json.loads(line[6:])
    names.add(event["id"])
    assert len(names) == 1, f"events of several answers in one stream: {names}"
    piece = pieces(event)
    if piece and answer.first is None:
        answer.first = time.monotonic() - begun
    answer.text += piece
    if event.get("usage"):
        answer.tokens = event["usage"]["completion_tokens"]


async def read_events(reader, answer, begun):
    waiting, names = "", set()
    while True:
        size = int(await reader.readline(), 16)
        data = await reader.readexactly(size + 2)
        if size == 0:
            break
        waiting += data[:-2].decode()
        *events, waiting = waiting.split("\n\n")
        for event in events:
            for line in event.splitlines():
                take(line, answer, begun, names)
    assert waiting == ""


async def read_lines(reader, answer, begun):
    """A stream that ends with its connection, as of servers that do not chunk."""
    names = set()
    while line := await reader.readline():
        if text := line.decode().strip():
            take(text, answer, begun, names)


async def get(port, path="/health"):
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    data = await reader.read()
    writer.close()
    return time.monotonic() - begun, data.decode()


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")
