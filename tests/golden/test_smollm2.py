"""Does a real trained model (SmolLM2-135M-Instruct, Q4_1) give the logits, tokens and answers that it gives elsewhere?"""
import json

import pytest
from conftest import ROOT

MODEL = ROOT / ".cache" / "models" / "smollm2.gguf"
TOP5_BOUND = 0.05


@pytest.fixture
def model():
    if not MODEL.is_file():
        pytest.skip("no smollm2.gguf in .cache/models; scripts/setup --tests fetches it")
    return MODEL


@pytest.fixture
def expected(oracle):
    return json.loads((oracle / "smollm2_q4_1_hf_oracle.json").read_text())


def test_the_prompt_becomes_the_same_ids(bitnet, model, expected):
    assert bitnet.lines("tokenize", ["-m", model], [expected["prompt"]]) == [expected["ids"]]


def test_the_top_logits_agree(bitnet, model, expected):
    last = bitnet.logits(model, expected["ids"])[-1]
    assert last.argsort()[::-1][:5].tolist() == [token for token, _ in expected["top5"]]
    for token, logit in expected["top5"]:
        assert last[token] == pytest.approx(logit, abs=TOP5_BOUND)


def test_the_greedy_continuation_agrees(bitnet, model, expected):
    answer = bitnet.run_json(model, "--ids", ",".join(map(str, expected["ids"])), "-n", len(expected["greedy"]))
    assert answer["ids"] == expected["greedy"]


def test_it_knows_the_capital_of_france(bitnet, model):
    answer = bitnet.run_json(model, "--chat", "-p", "What is the capital of France?", "-n", 32)
    assert "Paris" in answer["text"]
    assert answer["finish_reason"] in ("stop", "length")
