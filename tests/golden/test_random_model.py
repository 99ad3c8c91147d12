"""Does the same ternary model give the same bytes from every weight type, and does its synthetic tokenizer work?"""
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import make_random_model  # noqa: E402

SIZES = "--layers 2 --embd 512 --ff 768 --heads 8 --kv-heads 2 --vocab 300 --tokenizer".split()
IDS = [7, 299, 0, 150, 31, 31, 255]


def made(folder, kind):
    path = folder / f"{kind}.gguf"
    make_random_model.main(["-o", str(path), "--type", kind, *SIZES])
    return path


@pytest.mark.parametrize("kind", ["TQ1_0", "TQ2_0", "F16"])
def test_every_type_of_the_same_codes_gives_the_same_logits(bitnet, tmp_path, kind):
    assert bitnet.npy_bytes(made(tmp_path, kind), IDS) == bitnet.npy_bytes(made(tmp_path, "I2_S"), IDS)


def test_the_synthetic_tokenizer_knows_bytes(bitnet, tmp_path):
    model = ["-m", made(tmp_path, "I2_S")]
    ids = list("Hé  x\n".encode())
    assert bitnet.lines("tokenize", model, ["Hé  x\n"]) == [ids]
    assert bitnet.lines("detokenize", model, [ids]) == ["Hé  x\n"]
