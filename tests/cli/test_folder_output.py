"""Does a HuggingFace folder hold the model's codes, scales, config and tokenizer, and do transformers compute the same from it?"""
import json
import os
import struct
import subprocess
import sys

import gguf
import numpy as np
import pytest
import shaped_model
import tiny_model

DTYPES = {"F32": np.float32, "F16": np.float16, "U8": np.uint8, "BF16": np.uint16}
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def safetensors(path):
    """Checks the format's rules on the way: aligned, in order, without holes."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    assert length % 8 == 0 and header.pop("__metadata__") == {"format": "pt"}
    tensors, end = {}, 0
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        dtype = np.dtype(DTYPES[entry["dtype"]])
        assert start == end and start % dtype.itemsize == 0
        tensors[name] = np.frombuffer(data[8 + length + start:8 + length + stop], dtype).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            tensors[name] = (tensors[name].astype(np.uint32) << 16).view(np.float32)
        end = stop
    assert 8 + length + end == len(data)
    return tensors


def unpacked(packed):
    return np.concatenate([(packed >> (2 * i)) & 3 for i in range(4)]).astype(np.int8) - 1


@pytest.fixture
def source(tmp_path):
    return shaped_model.write(tmp_path / "source.gguf", scale=np.float32(0.0512345), kind="I2_S")


def test_folder_has_the_codes_scales_and_names(bitnet, source):
    report = json.loads(bitnet.text("convert", source, "-o", "folder", "--type", "hf", "--json"))
    folder = bitnet.home / "folder"
    assert sorted(path.name for path in folder.iterdir()) == sorted(report["files"])
    tensors = safetensors(folder / "model.safetensors")
    bitnet.text("convert", source, "-o", "f32.gguf", "--type", "F32")
    plain = {t.name: t.data for t in gguf.GGUFReader(bitnet.home / "f32.gguf").tensors}
    for layer in range(tiny_model.LAYERS):
        for name, short in NAMES.items():
            codes = unpacked(tensors[f"model.layers.{layer}.{name}.weight"])
            scale = tensors[f"model.layers.{layer}.{name}.weight_scale"]
            assert scale.shape == (1,) and scale.dtype == np.float32 and scale[0] == np.float32(0.0512345)
            assert (codes * scale == plain[f"blk.{layer}.{short}.weight"]).all(), name
    assert (tensors["model.embed_tokens.weight"] == plain["token_embd.weight"]).all()
    assert len(tensors) == 2 + tiny_model.LAYERS * (4 + 2 * len(NAMES))


def test_config_says_what_the_published_model_says(bitnet, source):
    bitnet.text("convert", source, "-o", "folder", "--type", "hf")
    config = json.loads((bitnet.home / "folder" / "config.json").read_text())
    assert config["architectures"] == ["BitNetForCausalLM"] and config["model_type"] == "bitnet" and config["hidden_act"] == "relu2"
    assert (config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]) == (256, 512, tiny_model.LAYERS)
    assert config["tie_word_embeddings"] is True and config["rope_theta"] == 10000 and config["rms_norm_eps"] == pytest.approx(1e-5)
    assert config["quantization_config"]["linear_class"] == "autobitlinear"
    assert config["quantization_config"]["quantization_mode"] == "offline"
    assert config["bos_token_id"] == tiny_model.token_id("<|begin|>")
    generation = json.loads((bitnet.home / "folder" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == tiny_model.token_id("<|im_end|>")
    tokenizer = json.loads((bitnet.home / "folder" / "tokenizer_config.json").read_text())
    assert tokenizer["chat_template"] == tiny_model.CHAT_TEMPLATE and tokenizer["eos_token"] == "<|im_end|>"


def test_tokenizer_json_gives_the_same_ids(bitnet, source):
    bitnet.text("convert", source, "-o", "folder", "--type", "hf")
    text = "hello  world 123 it's\n\thello<|im_start|>héllo ☃ <|im_end|>"
    ids = [bitnet.text("tokenize", "-m", path, text) for path in (source, "folder/tokenizer.json")]
    assert ids[0] == ids[1]


def test_large_models_are_sharded_with_an_index(bitnet, source):
    bitnet.text("convert", source, "-o", "one", "--type", "hf")
    bitnet.text("convert", source, "-o", "many", "--type", "hf", "--split-size", "200000")
    many = bitnet.home / "many"
    shards = sorted(many.glob("*.safetensors"))
    assert len(shards) > 2 and shards[0].name == f"model-00001-of-{len(shards):05}.safetensors"
    index = json.loads((many / "model.safetensors.index.json").read_text())
    whole, seen = safetensors(bitnet.home / "one" / "model.safetensors"), {}
    for shard in shards:
        for name, values in safetensors(shard).items():
            assert index["weight_map"][name] == shard.name and (values == whole[name]).all()
            seen[name] = values
    assert seen.keys() == whole.keys() and index["metadata"]["total_size"] == sum(v.nbytes if v.dtype != np.float32 else v.nbytes for v in seen.values())


def test_queries_and_keys_of_llama_go_back_to_their_order(bitnet, tmp_path):
    source = shaped_model.write(tmp_path / "llama.gguf", architecture="llama")
    bitnet.text("convert", source, "-o", "folder", "--type", "hf")
    config = json.loads((bitnet.home / "folder" / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"] and "hidden_act" in config
    tensors = safetensors(bitnet.home / "folder" / "model.safetensors")
    stored = {t.name: np.sign(t.data).astype(np.int8) for t in gguf.GGUFReader(source).tensors}
    for name, short, heads in (("q", "attn_q", tiny_model.HEADS), ("k", "attn_k", tiny_model.KV_HEADS)):
        codes = unpacked(tensors[f"model.layers.1.self_attn.{name}_proj.weight"])
        # What llama.cpp's converter does to a HuggingFace matrix.
        rows = codes.reshape(heads, 2, codes.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(codes.shape)
        assert (rows == stored[f"blk.1.{short}.weight"]).all()
    assert (unpacked(tensors["model.layers.1.self_attn.v_proj.weight"]) == stored["blk.1.attn_v.weight"]).all()


def test_a_taken_folder_is_kept(bitnet, source):
    folder = bitnet.home / "folder"
    folder.mkdir()
    bitnet.text("convert", source, "-o", "folder", "--type", "hf")
    assert "--force" in bitnet.refusal(2, "convert", source, "-o", "folder", "--type", "hf")
    before = (folder / "model.safetensors").stat().st_ino
    bitnet.text("convert", source, "-o", "folder/", "--type", "hf", "--force")
    assert (folder / "model.safetensors").stat().st_ino != before
    (folder / "thesis.txt").write_text("mine")
    assert "'thesis.txt', which is no part of a model" in bitnet.refusal(2, "convert", source, "-o", "folder", "--type", "hf", "--force")
    assert (folder / "thesis.txt").read_text() == "mine"
    assert sorted(path.name for path in bitnet.home.iterdir()) == ["folder", "source.gguf"]


def test_what_a_folder_cannot_hold_is_refused_by_name(bitnet, source, tmp_path):
    assert "--type hf writes a folder" in bitnet.refusal(2, "convert", source, "-o", "x.gguf", "--type", "hf")
    no_tokenizer = shaped_model.write(tmp_path / "n.gguf", tokenizer=False)
    report = json.loads(bitnet.text("convert", no_tokenizer, "-o", "n", "--type", "hf", "--json"))
    assert sorted(report["files"]) == ["config.json", "model.safetensors"]


TRANSFORMERS = """
import sys, numpy, torch, transformers
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1]).to(torch.float32)
ids = torch.tensor([[int(i) for i in sys.argv[2].split(",")]])
with torch.no_grad():
    numpy.save(sys.argv[3], model(ids).logits[0].float().numpy())
"""


def transformers_python():
    python = os.environ.get("BITNET_TRANSFORMERS_PYTHON", sys.executable)
    found = subprocess.run([python, "-c", "import transformers, torch, accelerate"], capture_output=True)
    if found.returncode != 0:
        pytest.skip("no transformers, torch and accelerate here; BITNET_TRANSFORMERS_PYTHON names a Python that has them")
    return python


def test_transformers_computes_the_same(bitnet, tmp_path):
    python = transformers_python()
    for architecture in ("bitnet-b1.58", "llama"):
        source = shaped_model.write(tmp_path / f"{architecture}.gguf", kind="I2_S", architecture=architecture)
        bitnet.text("convert", source, "-o", architecture, "--type", "hf")
        ids = ",".join(str(i * 37 % len(tiny_model.tokens())) for i in range(40))
        subprocess.run([python, "-c", TRANSFORMERS, str(bitnet.home / architecture), ids, str(bitnet.home / "t.npy")], check=True,
                       capture_output=True, timeout=900, env=os.environ | {"HF_HUB_OFFLINE": "1"})
        bitnet.text("logits", "-m", source, "--ids", ids, "--out", "o.npy")
        ours, theirs = np.load(bitnet.home / "o.npy"), np.load(bitnet.home / "t.npy")
        # One last-bit difference flips an int8 rounding and travels on: statistics, not single values.
        assert np.abs(ours - theirs).mean() <= 0.02 * ours.std(), architecture
        assert (ours.argmax(1) == theirs.argmax(1)).mean() >= 0.95, architecture


def logits(bitnet, model):
    bitnet.text("logits", "-m", model, "--out", "o.npy", "--ids", "5,9,17,3,200,44,5,5,101")
    return (bitnet.home / "o.npy").read_bytes()


def test_a_folder_and_its_gguf_file_give_the_same_logits_to_the_bit(bitnet, source):
    expected = logits(bitnet, source)
    bitnet.text("convert", source, "-o", "folder", "--type", "hf")
    assert logits(bitnet, "folder") == expected
    for kind in ("I2_S", "TQ2_0", "F16"):
        bitnet.text("convert", "folder", "-o", f"{kind}.gguf", "--type", kind)
        assert logits(bitnet, f"{kind}.gguf") == expected, kind
        assert json.loads(bitnet.text("verify", f"{kind}.gguf", "folder", "--exact", "--json"))["same"], kind
        assert json.loads(bitnet.text("verify", "folder", source, "--exact", "--json"))["same"], kind


def test_a_tokenizer_comes_back_from_a_folder(bitnet, source):
    bitnet.text("convert", source, "-o", "folder", "--type", "hf")
    bitnet.text("convert", "folder", "-o", "back.gguf")
    bitnet.text("convert", source, "-o", "before.gguf", "--type", "F32")  # gguf-py knows no I2_S
    bitnet.text("convert", "back.gguf", "-o", "after.gguf", "--type", "F32")
    before, after = (gguf.GGUFReader(bitnet.home / path).fields for path in ("before.gguf", "after.gguf"))
    for key in ("tokens", "token_type", "merges", "bos_token_id", "eos_token_id", "add_bos_token", "model"):
        assert before[f"tokenizer.ggml.{key}"].contents() == after[f"tokenizer.ggml.{key}"].contents(), key
    assert after["tokenizer.chat_template"].contents() == tiny_model.CHAT_TEMPLATE
    assert before["bitnet-b1.58.rope.freq_base"].contents() == after["bitnet-b1.58.rope.freq_base"].contents()
    text = "hello  world 123 it's<|im_start|>héllo"
    assert bitnet.text("tokenize", "-m", source, text) == bitnet.text("tokenize", "-m", "back.gguf", text)


def test_llama_goes_through_a_folder_and_back(bitnet, tmp_path):
    source = shaped_model.write(tmp_path / "llama.gguf", architecture="llama", kind="I2_S")
    bitnet.text("convert", source, "-o", "folder", "--type", "hf")
    bitnet.text("convert", "folder", "-o", "back.gguf")
    assert json.loads(bitnet.text("verify", source, "back.gguf", "--exact", "--json"))["same"]
    assert json.loads(bitnet.text("verify", source, "folder", "--exact", "--json"))["same"]
    assert logits(bitnet, "back.gguf") == logits(bitnet, source)


def test_master_weights_of_a_folder_become_ternary(bitnet, tmp_path):
    """Full precision whose config says online: ternary when it is loaded, and the same when it is converted."""
    dense = shaped_model.write(tmp_path / "dense.gguf", kind="dense")
    bitnet.text("convert", dense, "-o", "master", "--type", "hf")
    config = json.loads((bitnet.home / "master" / "config.json").read_text())
    assert "quantization_config" not in config
    config["quantization_config"] = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}
    (bitnet.home / "master" / "config.json").write_text(json.dumps(config))
    expected = logits(bitnet, "master")
    assert expected != logits(bitnet, dense)
    for kind in ("I2_S", "TQ1_0"):
        bitnet.text("convert", "master", "-o", f"{kind}.gguf", "--type", kind)
        assert logits(bitnet, f"{kind}.gguf") == expected
    bitnet.text("quantize", dense, "-o", "q.gguf", "--type", "I2_S")
    assert json.loads(bitnet.text("verify", "q.gguf", "master", "--exact", "--json"))["same"]
