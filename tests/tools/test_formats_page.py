"""Are the worked blocks of docs/formats.md right? An independent decoder (gguf-py) reads each of them."""
import re
from pathlib import Path

import gguf
import numpy as np
import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text()
ROW = re.compile(r"^\| (\w+) \| (\d+: [0-9a-f].*?) \| (w\d+ = .*?) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE)
SUMMARY = re.compile(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \|", re.MULTILINE)
I2_S_BYTES = 64  # gguf-py does not know the type: 128 weights and the tail


def block_of(listed, size):
    block = np.zeros(size, np.uint8)
    for part in listed.split(", "):
        offset, data = part.split(": ")
        data = bytes.fromhex(data)
        block[int(offset):int(offset) + len(data)] = list(data)
    return block


def decode(kind, listed):
    if kind == "I2_S":
        block = block_of(listed, I2_S_BYTES)
        codes = np.concatenate([block[:32] >> shift & 3 for shift in (6, 4, 2, 0)]).astype(np.float32)
        return (codes - 1) * block[32:36].view("<f4")[0]
    kind = gguf.GGMLQuantizationType[kind]
    return gguf.quants.dequantize(block_of(listed, gguf.GGML_QUANT_SIZES[kind][1]), kind)


@pytest.mark.parametrize("kind, listed, weights", ROWS, ids=[kind for kind, _, _ in ROWS])
def test_a_worked_block_decodes_to_the_weights_listed(kind, listed, weights):
    expected = {int(i): float(v) for i, v in re.findall(r"w(\d+) = (-?[\d.]+)", weights)}
    decoded = decode(kind, listed)
    assert {i: float(decoded[i]) for i in expected} == expected


def test_every_type_has_a_worked_block():
    assert len({kind for kind, _, _ in ROWS}) == len(ROWS) == 14


@pytest.mark.parametrize("kind, number, weights, size", SUMMARY.findall(PAGE))
def test_the_summary_table_has_gguf_pys_ids_and_sizes(kind, number, weights, size):
    if kind == "I2_S":
        assert (number, weights, size) == ("36", "128", "32")
        return
    known = gguf.GGMLQuantizationType[kind]
    assert (int(number), (int(weights), int(size))) == (known.value, gguf.GGML_QUANT_SIZES[known])
