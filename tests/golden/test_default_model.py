"""Is models/default.gguf what docs/model-card.md says: small, found without -m, writing English, computed as PyTorch computes it?"""
import hashlib
import json
import math
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

MODEL = ROOT / "models" / "default.gguf"
CARD = ROOT / "docs" / "model-card.md"
# Written by tools/train/evaluate.py --record: ids of held-out text and PyTorch's mean loss on them.
RECORDED = Path(__file__).with_name("default_model.json")
SEEDS = range(1, 6)


def words_of(text):
    return re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())


def test_it_is_small_and_ternary(bitnet):
    assert MODEL.stat().st_size <= 8_000_000
    report = json.loads(bitnet.call("inspect", MODEL, "--json"))
    assert report["architecture"] == "bitnet-b1.58"
    kinds = {t["name"].split(".")[-2]: t["type"] for t in report["tensors"] if t["name"].startswith("blk.") and len(t["shape"]) == 2}
    assert set(kinds.values()) == {"I2_S"} and len(kinds) == 7


def test_the_card_names_its_size_and_hash(bitnet):
    card = CARD.read_text()
    assert f"{MODEL.stat().st_size:,}" in card
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() in card


def test_the_program_finds_it_in_its_build_folder(bitnet):
    assert json.loads(bitnet.call("inspect", "--json"))["file"]["path"].endswith("default.gguf")


def test_an_installed_program_finds_it(bitnet, tmp_path):
    prefix = tmp_path / "prefix"
    build = Path(bitnet.path).parents[1]
    subprocess.run(["cmake", "--install", build, "--prefix", prefix], check=True, capture_output=True)
    installed = shutil.copy(prefix / "bin" / "bitnet", prefix / "bin" / "other-name")
    out = subprocess.run([installed, "inspect", "--json"], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert json.loads(out)["file"]["path"] == str(prefix / "share" / "bitnet" / "default.gguf")


def test_its_loss_is_that_of_pytorch(bitnet):
    recorded = json.loads(RECORDED.read_text())
    losses = []
    for window in recorded["windows"]:
        logits = bitnet.logits(MODEL, window[:-1]).astype(np.float64)
        log_sum = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
        losses.append(log_sum - logits[np.arange(len(logits)), window[1:]])
    perplexity = math.exp(np.concatenate(losses).mean())
    assert perplexity == pytest.approx(math.exp(recorded["loss"]), rel=0.005)


@pytest.mark.parametrize("seed", range(1, 6))
def test_it_writes_english_without_loops(bitnet, seed):
    answer = json.loads(bitnet.call("run", "Once upon a time", "--seed", seed, "--format", "json"))
    words = words_of(answer["text"])
    assert len(words) >= 60
    # A loop: the same eight words again, or one word as more than a sixth of the text.
    eights = Counter(tuple(words[i:i + 8]) for i in range(len(words) - 7))
    assert eights.most_common(1)[0][1] == 1
    assert Counter(words).most_common(1)[0][1] <= len(words) / 6
    # English: most of its words stand in a few pages of text that was held out; of letters at random almost none would.
    pages = set(words_of(json.loads(RECORDED.read_text())["text"]))
    assert sum(word in pages for word in words) >= 0.6 * len(words)
