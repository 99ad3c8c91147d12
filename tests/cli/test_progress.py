"""Does long work show its progress to a person and, as JSON, to a program, and nothing to anybody else?"""
import json
import re

from terminal import Terminal

# Slow on purpose, so that there is something to see: one token at a time without vector instructions.
IDS = ",".join(str(i % 250) for i in range(1500))
SLOW = ["--ids", IDS, "--chunk", 1, "--isa", "scalar", "--out", "/dev/null", "-t", 1]


def at_terminal(bitnet, *arguments):
    """What the program wrote to a terminal, and its exit code."""
    terminal = Terminal([bitnet.path, *map(str, arguments)], bitnet.environment(), bitnet.home)
    try:
        code = terminal.exit_code(timeout=120)
        return terminal.seen.decode(), code
    finally:
        terminal.close()


def test_a_bar_at_a_terminal_is_removed_at_the_end(bitnet, model):
    seen, code = at_terminal(bitnet, "logits", "-m", model, *SLOW)
    assert code == 0
    drawn = re.search(r"\rcomputing \[#* *\] +\d+ %  \d+ of 1500 tokens  [\d.]+ tokens/s  ETA \d+:\d\d", seen)
    assert drawn, seen[-300:]
    assert "\n" not in seen and re.search(r"\r +\r$", seen)


def test_nothing_without_a_terminal_or_when_not_wanted(bitnet, model):
    assert bitnet.text("logits", "-m", model, *SLOW) == ""
    assert at_terminal(bitnet, "logits", "-m", model, *SLOW, "--progress", "none") == ("", 0)


def test_json_lines_for_programs(bitnet, model):
    result = bitnet("logits", "-m", model, *SLOW, "--progress", "json")
    assert (result.returncode, result.stdout) == (0, b"")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    computing = [line for line in lines if line["progress"] == "computing"]
    assert {line["unit"] for line in computing} == {"tokens"} and {line["total"] for line in computing} == {1500}
    done = [line["done"] for line in computing]
    assert done == sorted(set(done)) and done[0] == 1 and done[-1] == 1500
    assert computing[0]["rate"] is None and computing[0]["eta_seconds"] is None
    last = computing[-1]
    assert last["eta_seconds"] == 0 and abs(last["rate"] * last["elapsed_seconds"] - 1499) < 4
    assert [line for line in lines if line["progress"] == "loading"][-1]["unit"] == "bytes"


def test_an_unknown_form_is_refused(bitnet, model):
    assert "--progress" in bitnet.refusal(2, "logits", "-m", model, "--ids", "1", "--out", "o", "--progress", "loud")
