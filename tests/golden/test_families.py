"""Does each family's tiny model give the logits and embeddings that `transformers` gives (recorded by tools/make_family_vectors.py)?"""
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "support")]
import family_models  # noqa: E402
import hf_folder  # noqa: E402

VECTORS = Path(__file__).with_name("families")
STRICT_BOUND = 1e-3      # where no value is near a rounding tie, or nothing is rounded
ORDINARY_BOUND = 0.02    # of the logits' standard deviation: one last-bit difference may flip an int8 rounding and travel on
TOP1_SHARE = 0.95
BONSAI_BLOCKS = {"Q2_0": 64, "Q2_0_G128": 128, "PQ2_0": 128, "PTQ1_0": 128}  # the types it is published in: weights of a scale


@pytest.fixture(params=family_models.FAMILIES)
def family(request, tmp_path):
    """(name, its GGUF file, the recorded arrays)"""
    path = tmp_path / f"{request.param}.gguf"
    family_models.write_family(request.param, path)
    return request.param, path, np.load(VECTORS / f"{request.param}.npz")


def test_strict_prompts_agree_closely(bitnet, family):
    _, path, expected = family
    strict = "strict_" if "strict_tokens" in expected else ""
    found = bitnet.logits(path, expected[strict + "tokens"])[-len(expected[strict + "logits"]):]
    assert np.abs(found - expected[strict + "logits"]).max() <= STRICT_BOUND


def test_ordinary_prompts_agree_statistically(bitnet, family):
    _, path, expected = family
    found, logits = bitnet.logits(path, expected["tokens"])[-len(expected["logits"]):], expected["logits"]
    assert np.abs(found - logits).mean() <= ORDINARY_BOUND * logits.std()
    assert (found.argmax(1) == logits.argmax(1)).mean() >= TOP1_SHARE


@pytest.mark.parametrize("kind", BONSAI_BLOCKS)
def test_bonsai_as_published_gives_the_logits_of_its_decoding(bitnet, tmp_path, kind):
    encode = pytest.importorskip("ternary_formats", reason="no writer of these types in tests/support").encode

    def encoder(w):
        return kind, encode(kind, w.codes + 1, w.scales[:, ::BONSAI_BLOCKS[kind]])

    family_models.write_family("bonsai", tmp_path / "f16.gguf")
    family_models.write_family("bonsai", tmp_path / "published.gguf", encoder)
    ids = np.load(VECTORS / "bonsai.npz")["tokens"]
    assert bitnet.npy_bytes(tmp_path / "published.gguf", ids) == bitnet.npy_bytes(tmp_path / "f16.gguf", ids)


def embedding(bitnet, path, ids, *flags):
    """(embd) float32 of one text with an exact cache."""
    return np.array(json.loads(bitnet.call("embed", "-m", path, "--ids", ",".join(map(str, ids)), "--kv", "f32", *flags))["embedding"], np.float32)


def test_pooled_hidden_states_agree(bitnet, family):
    _, path, expected = family
    rounds = "strict_tokens" in expected
    for pooling in ("last", "mean", "cls"):
        found = embedding(bitnet, path, expected["tokens"], "--pooling", pooling, "--no-normalise")
        difference = np.abs(found - expected[f"hidden_{pooling}"])
        assert difference.mean() <= ORDINARY_BOUND * found.std() if rounds else difference.max() <= STRICT_BOUND, pooling
    if rounds:
        found = embedding(bitnet, path, expected["strict_tokens"], "--pooling", "last", "--no-normalise")
        assert np.abs(found - expected["strict_hidden_last"]).max() <= STRICT_BOUND


def test_embeddings_are_pooled_as_the_file_asks_and_of_length_one(bitnet, family):
    name, path, expected = family
    ids = expected["tokens"]
    asked = {"bitnet_embedding_gemma3": "mean"}.get(name, "last")
    found = embedding(bitnet, path, ids)
    assert (found == embedding(bitnet, path, ids, "--pooling", asked)).all()
    hidden = expected[f"hidden_{asked}"]
    assert found @ (hidden / np.linalg.norm(hidden)) == pytest.approx(1, abs=1e-3)


def test_logits_are_the_same_bytes_however_they_are_computed(bitnet, family):
    _, path, expected = family
    ids = np.tile(expected["tokens"], 3)
    bytes_of = bitnet.npy_bytes(path, ids)
    for flags in (["-t", 1, "--chunk", 1], ["-t", 2, "--chunk", 7], ["-t", 3, "--chunk", 64]):
        assert bitnet.npy_bytes(path, ids, *flags) == bytes_of, f"flags {flags}"
    for isa in json.loads(bitnet.call("doctor", "--json"))["isa"]["available"]:
        assert bitnet.npy_bytes(path, ids, env={"BITNET_ISA": isa}) == bytes_of, isa


GEMMA_NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "pre_feedforward_layernorm", "post_attention_norm": "post_attention_layernorm",
               "post_ffw_norm": "post_feedforward_layernorm", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}


def gemma_config(m, older):
    """As transformers 5 writes it, or as versions before it did."""
    keys = dict(m["keys"])
    config = {"architectures": ["Gemma3ForCausalLM"], "hidden_size": m["embd"], "intermediate_size": m["ff"], "num_hidden_layers": m["layers"],
              "num_attention_heads": m["heads"], "num_key_value_heads": m["kv_heads"], "head_dim": m["head_dim"], "vocab_size": m["vocab"],
              "max_position_embeddings": m["ctx"], "rms_norm_eps": m["eps"], "query_pre_attn_scalar": m["head_dim"],
              "hidden_activation": "gelu_pytorch_tanh", "attn_logit_softcapping": None, "sliding_window": m["window"] or None}
    scaling = {"rope_type": "linear", "factor": keys["rope.scaling.factor"]} if "rope.scaling.factor" in keys else {"rope_type": "default"}
    if older:
        return config | {"rope_theta": m["theta"], "rope_local_base_freq": keys.get("rope.freq_base_swa", 1e4), "rope_scaling": scaling,
                         "sliding_window_pattern": keys.get("attention.sliding_window_pattern", 6)}
    period = keys.get("attention.sliding_window_pattern", 6)
    kinds = ["full_attention" if (i + 1) % period == 0 else "sliding_attention" for i in range(m["layers"])]
    local = {"rope_type": "default", "rope_theta": keys.get("rope.freq_base_swa", 1e4)}
    return config | {"layer_types": kinds, "use_bidirectional_attention": False,
                     "rope_parameters": {"full_attention": scaling | {"rope_theta": m["theta"]}, "sliding_attention": local}}


def write_gemma_folder(folder, name, older):
    """The family's arrays as a folder: norms as their distance from 1, matrices with one scale packed, others as they are."""
    m, arrays = family_models.family(name), family_models.weights_of(name)
    config, tensors = gemma_config(m, older), {}
    for part, array in arrays.items():
        layer, own = (part.split(".")[1:] if part.startswith("blk.") else (None, part))
        if layer is None:
            hf = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}[own]
        elif own.endswith("_norm_in"):
            hf = f"model.layers.{layer}.{hf_folder.PROJECTIONS[own.removesuffix('_norm_in')]}.rms_norm"
        else:
            hf = f"model.layers.{layer}.{(GEMMA_NAMES | hf_folder.PROJECTIONS)[own]}"
        if not isinstance(array, family_models.Ternary):
            from_one = own in GEMMA_NAMES or own == "output_norm"
            tensors[f"{hf}.weight"] = array.astype(np.float16) if own == "token_embd" else array - np.float32(from_one)
        elif np.ndim(array.scales) == 0:
            tensors[f"{hf}.weight"], tensors[f"{hf}.weight_scale"] = hf_folder.pack(array.codes.astype(np.int8)), np.array([array.scales], np.float32)
            config["quantization_config"] = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "offline",
                                             "use_rms_norm": m["input_norms"], "rms_norm_eps": m["eps"]}
        else:
            tensors[f"{hf}.weight"] = array.dense().astype(np.float16)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    hf_folder.write_safetensors(folder / "model.safetensors", tensors)
    return folder


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("name", ["gemma3", "bitnet_embedding_gemma3"])
def test_gemma_folders_give_what_transformers_gives(bitnet, tmp_path, name, older):
    expected = np.load(VECTORS / f"{name}.npz")
    strict = "strict_" if "strict_tokens" in expected else ""
    folder = write_gemma_folder(tmp_path / name, name, older)
    found = bitnet.logits(folder, expected[strict + "tokens"])[-len(expected[strict + "logits"]):]
    assert np.abs(found - expected[strict + "logits"]).max() <= STRICT_BOUND
    bitnet.call("convert", folder, "-o", tmp_path / "m.gguf")
    assert bitnet.npy_bytes(tmp_path / "m.gguf", expected["tokens"]) == bitnet.npy_bytes(folder, expected["tokens"])


@pytest.mark.parametrize("key,pooling", [("pooling_mode_lasttoken", "last"), ("pooling_mode_mean_tokens", "mean"), ("pooling_mode_cls_token", "cls")])
def test_folders_pool_as_sentence_transformers_says(bitnet, tmp_path, key, pooling):
    name = "bitnet_embedding_gemma3"
    folder, ids = write_gemma_folder(tmp_path / name, name, False), np.load(VECTORS / f"{name}.npz")["tokens"]
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 128, key: True}))
    assert (embedding(bitnet, folder, ids) == embedding(bitnet, folder, ids, "--pooling", pooling)).all()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    code, error = bitnet.refusal("embed", "-m", folder, "--ids", "1")
    assert code == 4 and "1_Pooling/config.json" in error
