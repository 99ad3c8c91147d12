"""Does `bitnet kld` say of two models what NumPy says of their logits?"""
import json

import numpy as np
import pytest
import tiny_model
from test_perplexity import BOS, SHORT, estimate, log_softmax, tokens_of, write_text

PERCENTS = [0, 0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 100]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two models of one vocabulary: the second's weights are other ones."""
    folder = tmp_path_factory.mktemp("pair")
    return tiny_model.write(folder / "a.gguf", seed=1), tiny_model.write(folder / "b.gguf", seed=2)


def kld(bitnet, pair, *flags):
    return json.loads(bitnet.text("kld", *pair, "-f", "text.txt", *SHORT, "--json", *flags))


def rows(bitnet, model, ids):
    bitnet.text("logits", "-m", model, "--ids", ",".join(map(str, ids)), "--out", "o.npy")
    return log_softmax(np.load(bitnet.home / "o.npy"))


def mean_and_error(values):
    mean = values.mean()
    return {"value": pytest.approx(mean, abs=1e-9), "error": pytest.approx(np.sqrt(((values**2).mean() - mean**2) / (len(values) - 1)), abs=1e-7)}


def test_it_agrees_with_numpy(bitnet, pair):
    tokens = tokens_of(bitnet, pair[0], write_text(bitnet))
    p_rows, q_rows, targets = [], [], []
    for i in range(len(tokens) // 32):
        chunk = [BOS, *tokens[32 * i + 1:32 * i + 32]]
        for model, found in zip(pair, (p_rows, q_rows)):
            found.append(rows(bitnet, model, chunk)[16:31])
        targets.extend(chunk[17:])
    p, q = np.concatenate(p_rows), np.concatenate(q_rows)
    divergence = (np.exp(p) * (p - q)).sum(1)
    at = np.arange(len(targets)), targets
    delta = np.exp(q[at]) - np.exp(p[at])
    report = kld(bitnet, pair)
    assert report["scored_tokens"] == len(targets) == 15 * report["chunks"]
    assert report["kld"] == mean_and_error(divergence)
    assert report["delta_p"] == mean_and_error(delta)
    assert report["same_top_p"] == mean_and_error((p.argmax(1) == q.argmax(1)).astype(float))
    assert report["log_ratio"] == mean_and_error(p[at] - q[at])
    for name, scores in (("base", p), ("other", q)):
        value, error = estimate(-scores[at])
        assert report[name]["perplexity"] == pytest.approx(value, rel=1e-9)
        assert report[name]["perplexity_error"] == pytest.approx(error, rel=1e-6)
    assert report["ratio"]["value"] == pytest.approx(report["other"]["perplexity"] / report["base"]["perplexity"], rel=1e-9)
    assert report["correlation"] == pytest.approx(np.corrcoef(p[at], q[at])[0, 1], abs=1e-6)
    squares = mean_and_error(delta**2)
    assert report["delta_p_rms"]["value"]**2 == squares["value"]
    assert 2 * report["delta_p_rms"]["value"] * report["delta_p_rms"]["error"] == squares["error"]
    for name, values in (("kld_percentiles", divergence), ("delta_p_percentiles", delta)):
        assert [float(percent) for percent in report[name]] == PERCENTS
        assert list(report[name].values()) == pytest.approx(np.percentile(values, PERCENTS), abs=1e-9)


def test_a_model_does_not_differ_from_itself(bitnet, pair):
    write_text(bitnet)
    report = kld(bitnet, (pair[0], pair[0]))
    assert report["kld"] == {"value": 0.0, "error": 0.0} and report["same_top_p"]["value"] == 1
    assert report["log_ratio"] == {"value": 0.0, "error": 0.0} and report["delta_p_rms"]["value"] == 0
    assert set(report["kld_percentiles"].values()) == {0.0}


def test_it_does_not_depend_on_how_it_is_computed(bitnet, pair):
    write_text(bitnet)
    expected = kld(bitnet, pair, "--stride", 8, "--chunks", 5)
    for flags in (["--chunk", 3], ["-t", 1], ["-t", 3], ["--isa", "scalar"]):
        assert kld(bitnet, pair, "--stride", 8, "--chunks", 5, *flags) == expected, flags


def test_the_readable_form(bitnet, pair):
    write_text(bitnet)
    report, text = kld(bitnet, pair), bitnet.text("kld", *pair, "-f", "text.txt", *SHORT)
    assert f"{report['scored_tokens']} of {report['tokens']} tokens scored" in text
    assert f"{report['kld']['value']:.6f} +- {report['kld']['error']:.6f}" in text
    for row in ("median", "99.9 %", "maximum", "same top token", "RMS delta P"):
        assert row in text
    piped = bitnet.text("kld", *pair, "-f", "-", *SHORT, stdin=(bitnet.home / "text.txt").read_bytes())
    assert piped == text


def refusal(bitnet, *models):
    write_text(bitnet)
    return bitnet.refusal(2, "kld", *models, "-f", "text.txt", *SHORT)


def test_other_vocabularies_are_refused(bitnet, pair, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_model, "MERGES", ["h e", "l l", "he ll", "hell o", "Ġ x"])
    other_token = tiny_model.write(tmp_path / "other_token.gguf")
    assert "token 260 is '\u0120w' in the first and '\u0120x' in the second" in refusal(bitnet, pair[0], other_token)
    monkeypatch.setattr(tiny_model, "MERGES", ["h e"])
    smaller = tiny_model.write(tmp_path / "smaller.gguf")
    assert "the first has a vocabulary of 264 tokens, the second of 260" in refusal(bitnet, pair[0], smaller)


def test_another_way_to_cut_is_refused(bitnet, pair, tmp_path):
    data = bytearray(pair[0].read_bytes())
    key = b"tokenizer.ggml.add_bos_token"
    at = data.index(key) + len(key) + 4  # behind the type
    assert data[at] == 1
    data[at] = 0
    (tmp_path / "no_bos.gguf").write_bytes(data)
    assert "text.txt: the two models cut the text into different tokens" in refusal(bitnet, pair[0], tmp_path / "no_bos.gguf")


def test_the_second_model_needs_no_tokenizer(bitnet, pair, models):
    write_text(bitnet)
    assert kld(bitnet, (models / "tiny.gguf", models / "no_tokenizer.gguf"))["kld"]["value"] == 0
    assert "no tokenizer" in bitnet.refusal(2, "kld", models / "no_tokenizer.gguf", models / "tiny.gguf", "-f", "text.txt", *SHORT)


def test_windows_must_fit_both(bitnet, models):
    write_text(bitnet)
    line = bitnet.refusal(5, "kld", models / "tiny.gguf", models / "short.gguf", "-f", "text.txt", "--ctx", 100)
    assert "a window of 100 tokens does not fit, the model was trained for 64" in line


@pytest.mark.parametrize("arguments, code, fact", [
    (["{a}"], 2, "other is required"), (["{a}", "absent.gguf"], 3, "absent.gguf"), (["{a}", "{b}"], 2, "--file is required"),
    (["{a}", "{b}", "-f", "absent"], 3, "absent: cannot open"), (["{a}", "{b}", "-f", "."], 1, "Is a directory"),
])
def test_wrong_usage_is_refused(bitnet, pair, arguments, code, fact):
    (bitnet.home / "text.txt").write_text("x" * 100)
    filled = [argument.format(a=pair[0], b=pair[1]) for argument in arguments]
    if code == 3 and "-f" not in filled or fact.startswith("other"):
        filled += ["-f", "text.txt"]
    assert fact in bitnet.refusal(code, "kld", *filled)


def test_an_empty_text_is_refused(bitnet, pair):
    (bitnet.home / "text.txt").write_bytes(b"")
    assert "text.txt: the text has 1 tokens" in bitnet.refusal(2, "kld", *pair, "-f", "text.txt", *SHORT)
