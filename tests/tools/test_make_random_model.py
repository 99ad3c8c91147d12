"""Does tools/make_random_model.py write well-formed files, with the same ternary codes whatever the weight type?"""
import collections
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import make_random_model as maker  # noqa: E402

SIZES = "--layers 2 --embd 256 --ff 512 --heads 4 --kv-heads 2 --vocab 300".split()
NAME, SHAPE = "blk.1.ffn_down.weight", (256, 512)


def made(path, *options):
    assert maker.main(["-o", str(path), *SIZES, *options]) == 0
    return path


def dequantised(kind, seed=1):
    """The matrix NAME as float32: by gguf-py's own decoder where it has one, by the layout's definition for I2_S."""
    data = b"".join(np.ascontiguousarray(c).tobytes() for c in maker.ternary_chunks(seed, NAME, SHAPE, kind))
    raw = np.frombuffer(data, np.uint8)
    if kind != "I2_S":
        return gguf.quants.dequantize(raw.reshape(SHAPE[0], -1), gguf.GGMLQuantizationType[kind]).reshape(SHAPE)
    scale = raw[-32:-28].view("<f4")[0]
    weights = np.empty(SHAPE[0] * SHAPE[1], np.float32)
    for i in range(len(weights)):
        byte = raw[i // 128 * 32 + i % 32]
        weights[i] = (int(byte >> (6 - 2 * (i % 128 // 32)) & 3) - 1) * scale
    return weights.reshape(SHAPE)


@pytest.mark.parametrize("kind", ["TQ1_0", "TQ2_0", "F16"])
def test_every_type_holds_the_same_weights(kind):
    assert np.array_equal(dequantised(kind), dequantised("I2_S"))


def test_a_third_of_the_weights_is_zero_and_the_rest_has_one_magnitude():
    weights = dequantised("TQ2_0")
    assert abs((weights == 0).mean() - 1 / 3) < 0.01
    assert len(np.unique(np.abs(weights))) == 2
    assert weights.max() == pytest.approx(1.2 / np.sqrt(SHAPE[1]), rel=0.11)


def test_seeds_differ_and_repeat():
    assert np.array_equal(dequantised("TQ2_0", seed=3), dequantised("TQ2_0", seed=3))
    assert not np.array_equal(dequantised("TQ2_0", seed=3), dequantised("TQ2_0", seed=4))


def test_the_default_shape_is_the_published_models():
    m = maker.parse(["-o", "unused"])
    tensors = list(maker.model_tensors(m))
    assert collections.Counter(t.kind for t in tensors) == {"I2_S": 210, "F32": 121, "F16": 1}
    sizes = {t.name: t.bytes for t in tensors}
    assert sizes["blk.0.attn_q.weight"] == 1638432
    assert sizes["blk.0.attn_k.weight"] == 409632
    assert sizes["blk.29.ffn_down.weight"] == 4423712
    assert sizes["blk.7.ffn_sub_norm.weight"] == 6912 * 4


def test_a_file_reads_back_with_gguf_py(tmp_path):
    reader = gguf.GGUFReader(made(tmp_path / "m.gguf", "--type", "TQ1_0", "--tokenizer"))
    field = lambda key: reader.fields[key].contents()
    assert field("general.architecture") == "bitnet-b1.58"
    assert field("bitnet-b1.58.attention.head_count_kv") == 2
    tokens = field("tokenizer.ggml.tokens")
    assert len(tokens) == len(set(tokens)) == 300
    assert (tokens[65], tokens[32], tokens[256], tokens[-1]) == ("A", "Ġ", "<filler_0>", "<|end|>")
    tensors = {t.name: t for t in reader.tensors}
    assert len(tensors) == 1 + 2 * 11 + 1
    found = gguf.quants.dequantize(tensors[NAME].data, tensors[NAME].tensor_type)
    assert np.array_equal(found.reshape(SHAPE), dequantised("I2_S"))


def test_the_llama_cpp_form_has_its_architecture_and_types(tmp_path):
    reader = gguf.GGUFReader(made(tmp_path / "m.gguf", "--llama-cpp", "--embd-type", "Q6_K"))
    assert reader.fields["general.architecture"].contents() == "bitnet"
    types = {t.name: t.tensor_type.name for t in reader.tensors}
    assert types["token_embd.weight"] == "Q6_K" and types[NAME] == "TQ2_0" and types["blk.0.attn_sub_norm.weight"] == "F32"
    embedding = next(t for t in reader.tensors if t.name == "token_embd.weight")
    deviation = gguf.quants.dequantize(embedding.data, embedding.tensor_type).std()
    assert deviation == pytest.approx(3 / 16, rel=0.1)


def test_the_llama_architecture_has_no_sub_norms(tmp_path):
    reader = gguf.GGUFReader(made(tmp_path / "m.gguf", "--arch", "llama", "--type", "F16"))
    assert not [t.name for t in reader.tensors if "sub_norm" in t.name]


@pytest.mark.parametrize("shape, width, heads, norms_of_a_layer", [("embedding-0.6b", 1024, 2048, 11), ("embedding-270m", 640, 1024, 13)])
def test_embedding_shapes_have_a_norm_before_each_projection(shape, width, heads, norms_of_a_layer):
    m = maker.parse(["-o", "unused", "--shape", shape])
    shapes = {t.name: t.shape for t in maker.model_tensors(m)}
    layer = {name: size for name, size in shapes.items() if name.startswith("blk.3.")}
    assert sum("norm" in name for name in layer) == norms_of_a_layer
    assert layer["blk.3.attn_q.weight"] == (heads, width) and layer["blk.3.attn_output_norm_in.weight"] == (heads,)
    assert dict(maker.metadata(m))[m.arch + ".attention.key_length"] == heads // m.heads


def test_the_same_options_give_the_same_bytes(tmp_path):
    one, two = (made(tmp_path / name).read_bytes() for name in ("one.gguf", "two.gguf"))
    assert one == two and sorted(p.name for p in tmp_path.iterdir()) == ["one.gguf", "two.gguf"]


@pytest.mark.parametrize(
    "options, complaint",
    [("--embd 200", "multiples of 128"), ("--ff 384 --type TQ2_0", "multiples of 256"), ("--heads 3", "--heads 3"),
     ("--kv-heads 3", "--kv-heads 3"), ("--layers 0", "at least 1"), ("--vocab 100 --tokenizer", "too small")],
)
def test_impossible_sizes_are_refused(tmp_path, capsys, options, complaint):
    with pytest.raises(SystemExit) as refusal:
        maker.main(["-o", str(tmp_path / "m.gguf"), *SIZES, *options.split()])
    assert refusal.value.code == 2 and complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
