"""Do `bitnet logits` and `bitnet inspect` say of a model what is there?"""
import json
import struct
import time

import numpy as np
import pytest
import tiny_model

N_VOCAB = len(tiny_model.tokens())


def logits(bitnet, model, *flags):
    assert bitnet.text("logits", "-m", model, "--out", "o.npy", *flags) == ""
    return np.load(bitnet.home / "o.npy")


def test_logits_are_a_numpy_file_of_every_position(bitnet, model):
    rows = logits(bitnet, model, "--ids", "1,2,3,4,5")
    assert rows.shape == (5, N_VOCAB) and rows.dtype == np.float32 and rows.flags.c_contiguous
    assert np.isfinite(rows).all() and rows.std() > 0
    assert (bitnet.home / "o.npy").read_bytes()[:8] == b"\x93NUMPY\x01\x00"
    assert [path.name for path in bitnet.home.iterdir()] == ["o.npy"]


def test_logits_do_not_depend_on_how_they_are_computed(bitnet, model):
    ids = ["--ids", ",".join(str(i * 37 % N_VOCAB) for i in range(50))]
    expected = logits(bitnet, model, *ids).tobytes()
    for flags in (["--chunk", 1], ["--chunk", 7], ["-t", 1], ["-t", 3], ["--isa", "scalar"], ["--kv", "f32"]):
        assert logits(bitnet, model, *ids, *flags).tobytes() == expected, flags
    assert logits(bitnet, model, *ids, "--kv", "int8").tobytes() != expected


def test_logits_of_text_equal_those_of_its_ids(bitnet, model):
    ids = f"{tiny_model.token_id('<|begin|>')},{tiny_model.token_id('hello')}"
    assert (logits(bitnet, model, "-p", "hello") == logits(bitnet, model, "--ids", ids)).all()


def test_greedy_run_picks_the_largest_logit(bitnet, model):
    answer = json.loads(bitnet.text("run", "-m", model, "--ids", "5,6,7", "-n", 1, "--temp", 0, "--kv", "f32", "--format", "json"))
    assert answer["ids"] == [int(logits(bitnet, model, "--ids", "5,6,7")[-1].argmax())]


def test_logits_replace_a_file_only_when_complete(bitnet, model):
    (bitnet.home / "o.npy").write_text("old")
    bitnet.refusal(2, "logits", "-m", model, "--ids", "1,99999", "--out", "o.npy")
    assert (bitnet.home / "o.npy").read_text() == "old"
    assert "cannot create" in bitnet.refusal(1, "logits", "-m", model, "--ids", "1", "--out", "absent/o.npy")
    assert bitnet.text("logits", "-m", model, "--ids", "1", "--out", "/dev/null") == ""


def test_inspect_reports_the_model(bitnet, model):
    report = json.loads(bitnet.text("inspect", model, "--json"))
    assert report["architecture"] == "bitnet-b1.58" and report["name"] == "tiny" and report["context"] == 4096
    assert report["config"]["n_layer"] == tiny_model.LAYERS and report["config"]["n_vocab"] == N_VOCAB
    assert report["file"]["bytes"] == model.stat().st_size
    assert report["parameters"] == sum(int(np.prod(tensor["shape"])) for tensor in report["tensors"])
    assert 16 <= report["bits_per_weight"] < 17
    head_dim = tiny_model.EMBD // tiny_model.HEADS
    assert report["kv_bytes_per_token"]["f16"] == 2 * 2 * tiny_model.LAYERS * tiny_model.KV_HEADS * head_dim
    assert report["tokenizer"]["size"] == N_VOCAB and report["tokenizer"]["special"]["eos"]["text"] == "<|im_end|>"
    assert report["chat_template"] is True
    assert report["metadata"]["tokenizer.ggml.tokens"]["count"] == N_VOCAB
    assert report["metadata"]["bitnet-b1.58.attention.layer_norm_rms_epsilon"] == 1e-5
    tensor = next(tensor for tensor in report["tensors"] if tensor["name"] == "blk.1.ffn_down.weight")
    assert (tensor["type"], tensor["shape"], tensor["bytes"]) == ("F16", [tiny_model.EMBD, tiny_model.FF], 2 * tiny_model.EMBD * tiny_model.FF)


def test_inspect_reads_as_text(bitnet, model):
    text = bitnet.text("inspect", model)
    for part in ("architecture      bitnet-b1.58", "chat template     yes", "blk.0.attn_q.weight", "128 x 256"):
        assert part in text


def test_inspect_reads_a_vocabulary_alone(bitnet, models):
    report = json.loads(bitnet.text("inspect", "-m", models / "vocabulary.gguf", "--json"))
    assert report["tensors"] == [] and report["tokenizer"]["size"] == N_VOCAB
    assert "no tensors" in bitnet.text("inspect", models / "vocabulary.gguf")


def damaged(data):
    """Several ways to break a file, each with a word that its refusal must hold."""
    key = b"bitnet-b1.58.block_count"
    at = data.index(key) + len(key) + 4
    yield "magic", b"GGUX" + data[4:], "begin with GGUF"
    yield "version", data[:4] + struct.pack("<I", 99) + data[8:], "version"
    yield "tensor count", data[:8] + struct.pack("<Q", 1 << 60) + data[16:], "tensor"
    yield "entry count", data[:16] + struct.pack("<Q", 1 << 60) + data[24:], "metadata"
    yield "layers", data[:at] + struct.pack("<I", 0xFFFFFFFF) + data[at + 4:], "block_count"
    yield "cut", data[:-64], "byte"
    yield "empty", b"", "empty"


def test_inspect_names_what_is_broken_at_once(bitnet, model, tmp_path):
    for name, data, word in damaged(model.read_bytes()):
        (tmp_path / "broken.gguf").write_bytes(data)
        start = time.monotonic()
        line = bitnet.refusal(4, "inspect", "broken.gguf")
        assert word in line, f"{name}: {line}"
        assert time.monotonic() - start < 2, name


@pytest.mark.parametrize("place", [".", "/dev/null"])
def test_inspect_refuses_what_is_no_file(bitnet, place):
    assert bitnet("inspect", place).returncode in (1, 4)
