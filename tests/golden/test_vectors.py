"""Does the engine compute what the numeric specification computes, to the bit the same however it is run?"""
import json

import numpy as np
import pytest
from conftest import ORACLE

MODELS = sorted([*(ORACLE / "vectors").glob("*/*.gguf"), *(ORACLE / "vectors").glob("*/hf-offline")])
STRICT_BOUND = 1e-3      # these prompts keep every activation away from a rounding tie
ORDINARY_BOUND = 0.02    # of the logits' standard deviation: one last-bit difference may flip an int8 rounding and travel on
TOP1_SHARE = 0.95


def pytest_generate_tests(metafunc):
    if "model" in metafunc.fixturenames:
        models = MODELS or [pytest.param(None, marks=pytest.mark.skip("no ../shared/oracle/vectors beside this checkout"))]
        metafunc.parametrize("model", models, ids=lambda m: m.name if m else "absent")


def reference(model):
    return np.load(model.with_name("logits.npz"))


def numbered(arrays, prefix):
    """prefix_0, prefix_1, ... as a list."""
    count = sum(1 for name in arrays if name.startswith(prefix + "_"))
    return [arrays[f"{prefix}_{i}"] for i in range(count)]


def test_strict_prompts_agree_closely(bitnet, model):
    arrays = reference(model)
    for ids, expected in zip(numbered(arrays, "strict_tokens"), numbered(arrays, "strict_logits"), strict=True):
        found = bitnet.logits(model, ids)
        assert found.shape == expected.shape and found.dtype == np.float32
        assert np.abs(found - expected).max() <= STRICT_BOUND, f"prompt {ids.tolist()}"


def test_ordinary_prompts_agree_statistically(bitnet, model):
    arrays = reference(model)
    found, expected = [], []
    for ids, rows in zip(numbered(arrays, "tokens"), numbered(arrays, "logits"), strict=True):
        logits = bitnet.logits(model, ids)
        assert logits.shape == (len(ids), rows.shape[1])
        found.append(logits[-len(rows):])  # of the long prompt only the last rows are stored
        expected.append(rows)
    found, expected = np.concatenate(found), np.concatenate(expected)
    assert np.abs(found - expected).mean() <= ORDINARY_BOUND * expected.std()
    assert (found.argmax(1) == expected.argmax(1)).mean() >= TOP1_SHARE


def test_master_weights_agree_with_their_own_reference(bitnet, oracle):
    """Their scales are not rounded to bfloat16 as the packed form's are, so their logits differ a little from the other files'."""
    folder = oracle / "vectors" / "mini" / "hf-online"
    arrays, found, expected = reference(folder), [], []
    for ids, rows in zip(numbered(arrays, "tokens"), numbered(arrays, "online"), strict=True):
        found.append(bitnet.logits(folder, ids)[-len(rows):])
        expected.append(rows)
    found, expected = np.concatenate(found), np.concatenate(expected)
    assert np.abs(found - expected).mean() <= ORDINARY_BOUND * expected.std()
    assert (found.argmax(1) == expected.argmax(1)).mean() >= TOP1_SHARE


def test_every_form_of_a_model_gives_the_same_bytes(bitnet, oracle):
    mini = oracle / "vectors" / "mini"
    for ids in numbered(reference(mini / "hf-offline"), "tokens"):
        expected = bitnet.npy_bytes(mini / "mini.i2_s.gguf", ids)
        for form in ("mini.f16.gguf", "hf-offline", "hf-offline/model.safetensors"):
            assert bitnet.npy_bytes(mini / form, ids) == expected, form


def test_greedy_continuations_are_the_references(bitnet, model):
    cases = json.loads(model.with_name("vectors.json").read_text())["greedy"]
    assert cases
    for case in cases:
        answer = bitnet.run_json(model, "--ids", ",".join(map(str, case["prompt"])), "-n", len(case["continuation"]))
        assert answer["prompt_ids"] == case["prompt"]
        assert answer["ids"] == case["continuation"]


def test_logits_are_the_same_bytes_however_they_are_computed(bitnet, model):
    ids = reference(model)["tokens_3"][:150]
    expected = bitnet.npy_bytes(model, ids)
    for flags in (["-t", 1], ["-t", 2], ["-t", 3], ["--chunk", 1], ["--chunk", 7], ["--chunk", 512], ["-t", 2, "--chunk", 7]):
        assert bitnet.npy_bytes(model, ids, *flags) == expected, f"flags {flags}"


@pytest.mark.parametrize("isa", ["scalar", "avx2"])
def test_logits_are_the_same_bytes_on_every_instruction_set(bitnet, model, isa):
    available = json.loads(bitnet.call("doctor", "--json"))["isa"]["available"]
    if isa not in available:
        pytest.skip(f"this machine or build has no {isa}, only {', '.join(available)}")
    ids = reference(model)["tokens_3"][:80]
    assert bitnet.npy_bytes(model, ids, env={"BITNET_ISA": isa}) == bitnet.npy_bytes(model, ids)
