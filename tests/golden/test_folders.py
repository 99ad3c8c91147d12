"""Does a HuggingFace folder, in each of its stored forms, give the logits of the same weights in a GGUF file?"""
import gguf
import hf_folder
import numpy as np
import pytest
from conftest import ROOT
from gguf_file import Tensor
from hf_folder import TinyModel

IDS = [3, 95, 0, 17, 17, 8, 40, 41, 42, 60, 2, 2, 90]
FORMS = ["master", "multiplies", "divides"]


@pytest.mark.parametrize("form", FORMS)
def test_the_2b_family(bitnet, tmp_path, form):
    model = TinyModel("bitnet-b1.58")
    folder = model.write_folder(tmp_path / "hf", form)
    assert bitnet.npy_bytes(folder, IDS) == bitnet.npy_bytes(model.write_gguf(tmp_path / "m.gguf", form), IDS)
    assert bitnet.logits(folder, IDS).std() > 0.01


@pytest.mark.parametrize("master", ["bf16", "f16", "f32"])
def test_master_weights_of_each_type(bitnet, tmp_path, master):
    model = TinyModel("bitnet-b1.58", master=master, seed=2)
    folder = model.write_folder(tmp_path / "hf", "master")
    expected = bitnet.npy_bytes(model.write_gguf(tmp_path / "m.gguf"), IDS)
    assert all(bitnet.npy_bytes(folder, IDS, "-t", threads) == expected for threads in (1, 2, 3))


@pytest.mark.parametrize("master", ["f16", "f32"])
def test_the_1bitllm_family_with_rows_that_fill_no_block(bitnet, tmp_path, master):
    """As its 3B: heads of 100, and a feed-forward width that is no multiple of 128."""
    model = TinyModel("bitnet", embd=200, heads=2, kv_heads=2, ff=540, master=master)
    folder = model.write_folder(tmp_path / "hf", "master", model_type="llama", rope_scaling=None)
    assert bitnet.npy_bytes(folder, IDS) == bitnet.npy_bytes(model.write_gguf(tmp_path / "m.gguf"), IDS)


@pytest.mark.parametrize("form", ["multiplies", "divides"])
def test_packed_rows_that_fill_no_block(bitnet, tmp_path, form):
    model = TinyModel("bitnet-b1.58", embd=100, heads=5, kv_heads=1, ff=172, seed=4)
    folder = model.write_folder(tmp_path / "hf", form)
    assert bitnet.npy_bytes(folder, IDS) == bitnet.npy_bytes(model.write_gguf(tmp_path / "m.gguf", form), IDS)


def test_heads_longer_than_the_width_divided_and_a_head_of_its_own(bitnet, tmp_path):
    model = TinyModel("bitnet-b1.58", head_dim=48, tied=False, seed=5)
    folder = model.write_folder(tmp_path / "hf", "multiplies")
    assert bitnet.npy_bytes(folder, IDS) == bitnet.npy_bytes(model.write_gguf(tmp_path / "m.gguf"), IDS)


@pytest.mark.parametrize("form", FORMS)
def test_qwen3_models(bitnet, tmp_path, form):
    model = TinyModel("qwen3", head_dim=48, seed=11)
    folder = model.write_folder(tmp_path / "hf", form)
    assert bitnet.npy_bytes(folder, IDS) == bitnet.npy_bytes(model.write_gguf(tmp_path / "m.gguf", form), IDS)


def test_norms_before_each_projection(bitnet, tmp_path):
    model = TinyModel("qwen3", seed=12, eps=1e-6, input_norms=True)
    quantisation = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online", "use_rms_norm": True}
    folder = model.write_folder(tmp_path / "hf", "master", quantization_config=quantisation)
    assert bitnet.npy_bytes(folder, IDS) == bitnet.npy_bytes(model.write_gguf(tmp_path / "m.gguf"), IDS)


def close(found, expected, bound):
    """Rotation of unpermuted rows adds the same products in another order, so llama folders agree closely, not to the bit."""
    return np.abs(found - expected).mean() <= bound * expected.std() and (found.argmax(1) == expected.argmax(1)).mean() >= 0.9


@pytest.mark.parametrize("form", ["float", "divides", "multiplies"])
def test_ternary_llama_models(bitnet, tmp_path, form):
    model = TinyModel("llama", tied=False, seed=6)
    found = bitnet.logits(model.write_folder(tmp_path / "hf", form), IDS)
    assert close(found, bitnet.logits(model.write_gguf(tmp_path / "m.gguf", form), IDS), 0.002)
    model.permuted = lambda values: values
    other = bitnet.logits(model.write_gguf(tmp_path / "o.gguf", form), IDS)
    assert not close(found, other, 0.002), "the comparison would not notice another rotation"


def test_dense_llama_models(bitnet, tmp_path):
    model = TinyModel("llama", seed=7)
    folder = model.write_folder(tmp_path / "hf", "master", quantization_config=None)
    assert close(bitnet.logits(folder, IDS), bitnet.logits(model.write_gguf(tmp_path / "m.gguf", "dense"), IDS), 1e-5)


def llama3_divisors(head_dim, theta, factor, low, high, trained):
    """Llama 3.1's rule as transformers writes it (_compute_llama3_parameters)."""
    inverse = 1.0 / theta ** (np.arange(0, head_dim, 2) / head_dim)
    waves = 2 * np.pi / inverse
    smooth = (trained / waves - low) / (high - low)
    medium = (1 - smooth) * inverse / factor + smooth * inverse
    scaled = np.where(waves > trained / low, inverse / factor, np.where(waves < trained / high, inverse, medium))
    return (inverse / scaled).astype(np.float32)


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_llama_3_1_rotation(bitnet, tmp_path, key):
    model = TinyModel("llama", embd=128, heads=2, kv_heads=1, seed=8)
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    folder = model.write_folder(tmp_path / "hf", "master", quantization_config=None, **{key: scaling | ({"rope_theta": 1e4} if key == "rope_parameters" else {})})
    divisors = llama3_divisors(64, 1e4, 8, 1, 4, 64)
    assert len(set(divisors)) > 3
    extra = [Tensor("rope_freqs.weight", divisors.shape, "F32", lambda: [divisors])]
    with_divisors = bitnet.logits(model.write_gguf(tmp_path / "m.gguf", "dense", extra), IDS)
    assert close(bitnet.logits(folder, IDS), with_divisors, 1e-5)
    assert not close(bitnet.logits(model.write_gguf(tmp_path / "o.gguf", "dense"), IDS), with_divisors, 1e-5)


def test_linear_rotation(bitnet, tmp_path):
    model = TinyModel("bitnet-b1.58", seed=9)
    plain = bitnet.npy_bytes(model.write_folder(tmp_path / "hf", "multiplies"), IDS)
    for scaling in ({"type": "linear", "factor": 2.0}, {"rope_type": "linear", "factor": 2.0}):
        assert bitnet.npy_bytes(model.write_folder(tmp_path / "hf", "multiplies", rope_scaling=scaling), IDS) != plain
    assert bitnet.npy_bytes(model.write_folder(tmp_path / "hf", "multiplies", rope_scaling={"rope_type": "default"}), IDS) == plain


def test_shards_and_their_files_are_the_model(bitnet, tmp_path):
    folder = TinyModel("bitnet-b1.58").write_folder(tmp_path / "hf", "multiplies")
    expected = bitnet.npy_bytes(folder, IDS)
    assert bitnet.npy_bytes(folder / "model.safetensors", IDS) == expected
    hf_folder.shard(folder, 3)
    assert bitnet.npy_bytes(folder, IDS) == expected
    assert bitnet.npy_bytes(folder / "model-00002-of-00003.safetensors", IDS) == expected


def test_a_split_gguf_file_is_the_model(bitnet, tmp_path):
    """Cut by gguf-py, which writes parts as llama.cpp's gguf-split does."""
    whole = TinyModel("bitnet-b1.58").write_gguf(tmp_path / "whole.gguf")
    reader = gguf.GGUFReader(whole)
    writer = gguf.GGUFWriter(str(tmp_path / "part.gguf"), "bitnet-b1.58", split_max_tensors=10)
    for field in reader.fields.values():
        if field.types and not field.name.startswith("GGUF.") and field.name != "general.architecture":
            value = field.contents()
            writer.add_key_value(field.name, value, field.types[0])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data.reshape(tensor.shape[::-1]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(tmp_path.glob("part-*.gguf"))
    assert len(parts) >= 2
    assert bitnet.npy_bytes(parts[0], IDS) == bitnet.npy_bytes(whole, IDS)


def test_a_large_embedding_stays_in_the_file(bitnet, tmp_path):
    """Above 64 MiB rows are read from the shard when they are wanted, whatever byte they begin at."""
    model = TinyModel("bitnet-b1.58", vocab=140000, embd=256, heads=4, seed=10, layers=1)
    folder = model.write_folder(tmp_path / "hf", "multiplies")
    assert (folder / "model.safetensors").stat().st_size > 64 << 20
    assert bitnet.npy_bytes(folder, IDS[:3]) == bitnet.npy_bytes(model.write_gguf(tmp_path / "m.gguf"), IDS[:3])
    assert bitnet.run_json(folder, "--ids", "3,95", "-n", "3")["ids"] == bitnet.run_json(tmp_path / "m.gguf", "--ids", "3,95", "-n", "3")["ids"]


def test_the_page_on_formats_has_the_packing():
    """The worked bytes of docs/formats.md: 8 rows of one column."""
    codes = np.array([[1, -1, 0, 1, 0, 0, 1, -1]], np.int8).T
    assert hf_folder.pack(codes)[:, 0].tolist() == [0b10010110, 0b00011000]
    assert "`96`, `18`" in (ROOT / "docs" / "formats.md").read_text()
