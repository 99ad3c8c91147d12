"""Does each family's tiny model give the logits and embeddings that `transformers` gives (recorded by tools/make_family_vectors.py)?"""
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "support")]
import family_models  # noqa: E402

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
