"""Does one model give the same logits from every ternary format, and do formats with many scales give those of their decoding?

The bytes come from tests/support/ternary_formats.py, which was written from the drawings of docs/formats.md alone.
"""
import sys

import numpy as np
import pytest
from conftest import ROOT

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "support")]
import gguf_file  # noqa: E402
import ternary_formats  # noqa: E402

LAYERS, WIDTH, FF, HEADS, KV_HEADS, VOCAB = 2, 256, 512, 4, 2, 40
IDS = [3, 39, 0, 17, 17, 8]
KV = WIDTH // HEADS * KV_HEADS
PARTS = {"attn_q": (WIDTH, WIDTH), "attn_k": (KV, WIDTH), "attn_v": (KV, WIDTH), "attn_output": (WIDTH, WIDTH),
         "ffn_gate": (FF, WIDTH), "ffn_up": (FF, WIDTH), "ffn_down": (WIDTH, FF)}
TILINGS = {"TL1": (64, 64, 32), "TL2": (64, 96, 32)}
BLOCK = {"TQ1_0": 256, "TQ2_0": 256, "Q2_0": 64, "Q2_0_G128": 128, "PQ2_0": 128, "PTQ1_0": 128}
METADATA = [("general.architecture", "llama"), ("llama.block_count", LAYERS), ("llama.context_length", 64),
            ("llama.embedding_length", WIDTH), ("llama.feed_forward_length", FF), ("llama.attention.head_count", HEADS),
            ("llama.attention.head_count_kv", KV_HEADS), ("llama.rope.dimension_count", WIDTH // HEADS),
            ("llama.attention.layer_norm_rms_epsilon", 1e-5), ("llama.vocab_size", VOCAB)]


def stored(name, shape, kind, data):
    array = np.frombuffer(data, np.uint8)
    return gguf_file.Tensor(name, shape, kind, lambda: [array])


def scales_for(random, shape, per):
    """Numbers that half precision holds: "tensor", "row", or a number of weights."""
    rows = 1 if per == "tensor" else shape[0]
    each = shape[1] // per if isinstance(per, int) else 1
    return random.uniform(0.02, 0.1, (rows, each)).astype(np.float16).astype(np.float32)


def write_model(folder, kind, per, as_floats=False, table=False, beside=None):
    """The model of one seed with its projections in `kind`, or in F32 with the same weights; with `table` the embedding too.

    `beside` is a factor: each projection gets a companion NAME_scale of its scale times that."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(5)
    tensors = []

    def add(name, shape):
        codes, scales = random.integers(0, 3, shape).astype(np.uint8), scales_for(random, shape, per)
        if as_floats:
            weights = (codes.astype(np.float32) - 1) * np.repeat(scales, shape[1] // scales.shape[1], axis=1)
            tensors.append(stored(name, shape, "F32", weights.astype(np.float32).tobytes()))
        else:
            tensors.append(stored(name, shape, kind, ternary_formats.encode(kind, codes, scales, TILINGS.get(kind))))
        if beside is not None:
            floats(name + "_scale", (1,), scales[0] * beside)

    def floats(name, shape, values):
        tensors.append(stored(name, shape, "F32", values.astype(np.float32).tobytes()))

    if table:
        add("token_embd.weight", (VOCAB, WIDTH))
    else:
        floats("token_embd.weight", (VOCAB, WIDTH), random.standard_normal((VOCAB, WIDTH)))
    floats("output_norm.weight", (WIDTH,), np.ones(WIDTH))
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            floats(f"blk.{layer}.{norm}.weight", (WIDTH,), np.ones(WIDTH))
        for part, shape in PARTS.items():
            add(f"blk.{layer}.{part}.weight", shape)
    path = folder / f"{kind}{'-floats' if as_floats else ''}.gguf"
    gguf_file.write_gguf(str(path), tensors, METADATA)
    return path


def write_config(folder, kind):
    bm, bk, bmm = TILINGS[kind]
    shapes = sorted(set(PARTS.values()))
    folder.mkdir(exist_ok=True)
    (folder / "kernel_config.ini").write_text("".join(
        f"[Kernels_{i}]\nm = {m}\nk = {k}\nbm = {bm}\nbk = {bk}\nbmm = {bmm}\n\n" for i, (m, k) in enumerate(shapes)))


@pytest.mark.parametrize("kind", [k for k in ternary_formats.IDS if k != "I2_S"])
def test_every_format_of_the_same_codes_gives_the_logits_of_i2_s(bitnet, tmp_path, kind):
    if kind in TILINGS:
        write_config(tmp_path / "other", kind)
    expected = bitnet.npy_bytes(write_model(tmp_path, "I2_S", "tensor"), IDS)
    assert bitnet.npy_bytes(write_model(tmp_path / "other", kind, "tensor"), IDS) == expected


@pytest.mark.parametrize("kind", ["IQ1_BN", "IQ2_BN_R4"])
def test_scales_of_rows_give_the_same_logits_in_every_format_that_has_them(bitnet, tmp_path, kind):
    expected = bitnet.npy_bytes(write_model(tmp_path, "IQ2_BN", "row"), IDS)
    assert bitnet.npy_bytes(write_model(tmp_path, kind, "row"), IDS) == expected
    assert expected != bitnet.npy_bytes(write_model(tmp_path, "I2_S", "tensor"), IDS)


@pytest.mark.parametrize("kind", BLOCK)
def test_scales_of_blocks_give_the_logits_of_the_decoded_floats(bitnet, tmp_path, kind):
    per = BLOCK[kind]
    expected = bitnet.npy_bytes(write_model(tmp_path, kind, per, as_floats=True, table=True), IDS)
    assert bitnet.npy_bytes(write_model(tmp_path, kind, per, table=True), IDS) == expected


@pytest.mark.parametrize("kind", TILINGS)
def test_tiled_formats_are_refused_without_their_configuration(bitnet, tmp_path, kind):
    path = write_model(tmp_path, kind, "tensor")
    code, error = bitnet.refusal("logits", "-m", path, "--ids", "1", "--out", tmp_path / "x.npy")
    assert code == 4
    assert f"tensor 'blk.0.attn_q.weight': {kind} is read and written in the tiles that a kernel_config.ini" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("kind", TILINGS)
def test_a_scale_beside_a_tiled_tensor_must_be_the_one_behind_its_codes(bitnet, tmp_path, kind):
    write_config(tmp_path, kind)
    expected = bitnet.npy_bytes(write_model(tmp_path, kind, "tensor"), IDS)
    assert bitnet.npy_bytes(write_model(tmp_path, kind, "tensor", beside=1), IDS) == expected
    code, error = bitnet.refusal("logits", "-m", write_model(tmp_path, kind, "tensor", beside=2), "--ids", "1", "--out", tmp_path / "x.npy")
    assert code == 4
    assert "tensor 'blk.0.attn_q.weight' has the scale" in error
