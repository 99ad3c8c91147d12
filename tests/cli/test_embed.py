"""Does `bitnet embed` give each text its vector, however the texts come, and refuse what it cannot do?"""
import json

import numpy as np
import pytest
import tiny_model

TEXTS = ["hello", "hello world", "a longer text, whose bytes are all tokens of their own"]


def vectors(bitnet, *arguments, **options):
    lines = [json.loads(line) for line in bitnet.text("embed", *arguments, **options).splitlines()]
    assert [line["index"] for line in lines] == list(range(len(lines)))
    return np.array([line["embedding"] for line in lines], np.float32)


def test_each_text_gets_a_line_with_a_vector_of_length_one(bitnet, model):
    lines = [json.loads(line) for line in bitnet.text("embed", "-m", model, *TEXTS).splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert lines[0]["tokens"] == 2  # <|begin|> hello
    for line in lines:
        assert len(line["embedding"]) == tiny_model.EMBD
        assert np.linalg.norm(line["embedding"]) == pytest.approx(1, abs=1e-6)


def test_texts_do_not_touch_each_other(bitnet, model):
    alone = np.concatenate([vectors(bitnet, "-m", model, text) for text in TEXTS])
    for flags in ([], ["--chunk", 3], ["-t", 3], ["--isa", "scalar"]):
        assert (vectors(bitnet, "-m", model, *TEXTS, *flags) == alone).all(), flags


def test_forty_texts_in_one_call(bitnet, model):
    texts = [f"text number {i}" * (i % 5 + 1) for i in range(40)]
    (bitnet.home / "in.txt").write_text("".join(text + "\n" for text in texts))
    found = vectors(bitnet, "-m", model, "-f", "in.txt", "--chunk", 50)
    assert found.shape == (40, tiny_model.EMBD)
    for i in (0, 17, 39):
        assert (found[i] == vectors(bitnet, "-m", model, texts[i])[0]).all()


def test_files_of_lines_and_of_json(bitnet, model):
    expected = vectors(bitnet, "-m", model, *TEXTS)
    (bitnet.home / "in.txt").write_text("\n".join(TEXTS) + "\n")
    (bitnet.home / "in.jsonl").write_text("\n".join([json.dumps(TEXTS[0]), json.dumps({"text": TEXTS[1], "id": 7}), json.dumps(TEXTS[2])]))
    assert (vectors(bitnet, "-m", model, "-f", "in.txt") == expected).all()
    assert (vectors(bitnet, "-m", model, "-f", "in.jsonl") == expected).all()
    assert (vectors(bitnet, "-m", model, "-f", "-", stdin="\r\n".join(TEXTS).encode()) == expected).all()


def test_npy_holds_the_same_numbers(bitnet, model):
    assert bitnet.text("embed", "-m", model, *TEXTS, "--npy", "o.npy") == ""
    rows = np.load(bitnet.home / "o.npy")
    assert rows.dtype == np.float32 and (rows == vectors(bitnet, "-m", model, *TEXTS)).all()


def test_pooling_and_length(bitnet, model):
    ids = ["--ids", "5,6,7,8"]
    raw = {name: vectors(bitnet, "-m", model, *ids, "--pooling", name, "--no-normalise")[0] for name in ("last", "mean", "cls")}
    assert np.linalg.norm(raw["last"]) > 2  # an RMSNorm's output
    assert (raw["cls"] == vectors(bitnet, "-m", model, "--ids", 5, "--no-normalise")[0]).all()
    prefixes = [vectors(bitnet, "-m", model, "--ids", ",".join("5678"[:n]), "--no-normalise")[0].astype(np.float64) for n in (1, 2, 3, 4)]
    assert np.allclose(raw["mean"], np.mean(prefixes, 0), rtol=0, atol=1e-6)
    assert (raw["last"] == prefixes[3].astype(np.float32)).all()
    assert (vectors(bitnet, "-m", model, *ids)[0] == vectors(bitnet, "-m", model, *ids, "--pooling", "last")[0]).all()


def test_what_cannot_be_done_is_refused(bitnet, models, model):
    assert "text 2 has" in bitnet.refusal(5, "embed", "-m", models / "short.gguf", "x", "y" * 100)
    assert "context holds 64" in bitnet.refusal(5, "embed", "-m", models / "short.gguf", "y" * 100)
    assert "give texts" in bitnet.refusal(2, "embed", "-m", model)
    assert "give texts" in bitnet.refusal(2, "embed", "-m", model, "x", "--ids", "1")
    assert "--ids" in bitnet.refusal(2, "embed", "-m", models / "no_tokenizer.gguf", "x")
    assert "token 1 of text 1 is 99999" in bitnet.refusal(2, "embed", "-m", model, "--ids", "1,99999")
    assert "cannot open" in bitnet.refusal(3, "embed", "-m", model, "-f", "absent.txt")
    (bitnet.home / "empty.txt").write_text("")
    assert "holds no lines" in bitnet.refusal(2, "embed", "-m", model, "-f", "empty.txt")
    (bitnet.home / "bad.jsonl").write_text('"right"\n{"txt": "wrong"}\n')
    assert 'bad.jsonl: line 2: the object has no "text"' in bitnet.refusal(2, "embed", "-m", model, "-f", "bad.jsonl")
    bitnet.refusal(2, "embed", "-m", model, "x", "--pooling", "rank")
