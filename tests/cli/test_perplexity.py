"""Is `bitnet perplexity` llama.cpp's, computed independently from `bitnet logits`, whatever the text?"""
import json
import math
import random

import numpy as np
import pytest
import tiny_model

BOS = tiny_model.token_id("<|begin|>")
SHORT = ["--ctx", 32]


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def log_probabilities(bitnet, model, ids):
    """Of ids[1:], by `bitnet logits`."""
    ids = [int(token) for token in ids]
    bitnet.text("logits", "-m", model, "--ids", ",".join(map(str, ids)), "--out", "o.npy")
    return log_softmax(np.load(bitnet.home / "o.npy"))[np.arange(len(ids) - 1), ids[1:]]


def estimate(nll):
    """Perplexity and its error as llama.cpp writes them."""
    mean, squares = nll.mean(), (nll**2).mean()
    return math.exp(mean), math.exp(mean) * math.sqrt((squares - mean**2) / (len(nll) - 1))


def write_text(bitnet, size=400, seed=5):
    words = ["hello", "world", "the", "fox", "he", "ll", "jumps\n", "over.", "ünï", "<|im_end|>"]
    text = " ".join(random.Random(seed).choices(words, k=size // 5))
    (bitnet.home / "text.txt").write_text(text + "\n")
    return text


def tokens_of(bitnet, model, text):
    ids = bitnet.text("tokenize", "-m", model, "--no-special", "--no-parse-special", "--format", "json", text)
    return [BOS, *json.loads(ids)]


def perplexity(bitnet, model, *flags):
    return json.loads(bitnet.text("perplexity", "-m", model, "-f", "text.txt", "--json", *flags))


def test_chunks_are_llama_cpps(bitnet, model):
    tokens = tokens_of(bitnet, model, write_text(bitnet))
    nll, running = [], []
    for i in range(len(tokens) // 32):
        chunk = [BOS, *tokens[32 * i + 1:32 * i + 32]]
        nll.extend(-log_probabilities(bitnet, model, chunk)[16:])  # tokens 17 to 31
        running.append(estimate(np.array(nll))[0])
    report = perplexity(bitnet, model, *SHORT)
    value, error = estimate(np.array(nll))
    assert report["perplexity"] == pytest.approx(value, rel=1e-9) and report["perplexity_error"] == pytest.approx(error, rel=1e-6)
    assert report["running"] == pytest.approx(running, rel=1e-9)
    assert report["nll"] == pytest.approx(math.log(value), abs=1e-5)
    assert report["tokens"] == len(tokens) and report["chunks"] == len(tokens) // 32 >= 5
    assert report["scored_tokens"] == 15 * report["chunks"] and report["bos"] is True


def test_strides_are_llama_cpps(bitnet, model):
    tokens = tokens_of(bitnet, model, write_text(bitnet))
    nll = []
    starts = range(0, len(tokens) - 36, 8)
    for start in starts:
        nll.extend(-log_probabilities(bitnet, model, tokens[start:start + 36])[-8:])
    report = perplexity(bitnet, model, *SHORT, "--stride", 8)
    assert report["chunks"] == len(starts) and report["scored_tokens"] == 8 * len(starts) and report["bos"] is False
    assert report["perplexity"] == pytest.approx(math.exp(np.mean(nll)), rel=1e-9)


def test_it_does_not_depend_on_how_it_is_computed(bitnet, model):
    write_text(bitnet)
    expected = perplexity(bitnet, model, *SHORT)
    for flags in (["--chunk", 1], ["--chunk", 33], ["-t", 1], ["-t", 3], ["--isa", "scalar"]):
        assert perplexity(bitnet, model, *SHORT, *flags) == expected, flags
    assert perplexity(bitnet, model, *SHORT, "--kv", "int8")["perplexity"] != expected["perplexity"]


def test_the_readable_form_shows_the_running_estimate(bitnet, model):
    write_text(bitnet)
    report = perplexity(bitnet, model, *SHORT, "--chunks", 3)
    lines = bitnet.text("perplexity", "-m", model, "-f", "text.txt", *SHORT, "--chunks", 3).splitlines()
    assert lines[0] == ",".join(f"[{i + 1}]{value:.4f}" for i, value in enumerate(report["running"]))
    assert lines[1].startswith(f"perplexity {report['perplexity']:.4f} +- {report['perplexity_error']:.5f}: 45 of ")
    piped = bitnet.text("perplexity", "-m", model, "-f", "-", *SHORT, "--chunks", 3, stdin=(bitnet.home / "text.txt").read_bytes())
    assert piped.splitlines() == lines


def test_progress_is_told_as_json(bitnet, model):
    write_text(bitnet)
    result = bitnet("perplexity", "-m", model, "-f", "text.txt", *SHORT, "--progress", "json", "--json")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    last = [line for line in lines if line["progress"] == "scoring"][-1]
    report = json.loads(result.stdout)
    assert last["done"] == last["total"] == report["chunks"] and last["eta_seconds"] == 0
    assert last["note"] == f"perplexity {report['perplexity']:.4f}"


@pytest.mark.parametrize("content", [b"\x00" * 300, b"\xff\xfe\x80" * 100, b"x" * 200_000, b"a\r\n\x1b[2J" * 60, bytes(range(256))],
                         ids=["zeros", "broken", "one line", "controls", "all bytes"])
def test_any_bytes_are_a_text(bitnet, model, content):
    (bitnet.home / "text.txt").write_bytes(content)
    report = perplexity(bitnet, model, *SHORT, "--chunks", 4)
    assert report["chunks"] == 4 and math.isfinite(report["perplexity"]) and report["tokens"] == 1 + len(content)


@pytest.mark.parametrize("content, fact", [(b"", "has 1 tokens, at least 64 are needed"), (b"x" * 62, "has 63 tokens, at least 64")])
def test_short_texts_are_refused(bitnet, model, content, fact):
    (bitnet.home / "text.txt").write_bytes(content)
    assert fact in bitnet.refusal(2, "perplexity", "-m", model, "-f", "text.txt", *SHORT)


@pytest.mark.parametrize("code, flags, fact", [
    (3, ["-f", "absent.txt"], "absent.txt: cannot open"),
    (1, ["-f", "."], "Is a directory"),
    (2, [], "--file is required"),
    (5, ["-f", "text.txt", "--ctx", 5000], "a window of 5000 tokens does not fit, the model was trained for 4096"),
    (2, ["-f", "text.txt", "--ctx", 2], "ctx is 2"),
    (2, ["-f", "text.txt", "--ctx", -8], "ctx is -8"),
    (2, ["-f", "text.txt", "--ctx", 16, "--stride", 40], "leaves no context"),
    (2, ["-f", "text.txt", "--ctx", 16, "--stride", -1], "stride is -1"),
    (2, ["-f", "text.txt", "--ctx", 16, "--chunks", 0], "chunks is 0"),
])
def test_wrong_usage_is_refused(bitnet, model, code, flags, fact):
    write_text(bitnet)
    assert fact in bitnet.refusal(code, "perplexity", "-m", model, *flags)


def test_a_model_without_tokenizer_cannot_read(bitnet, models):
    write_text(bitnet)
    assert "no tokenizer" in bitnet.refusal(2, "perplexity", "-m", models / "no_tokenizer.gguf", "-f", "text.txt", *SHORT)
