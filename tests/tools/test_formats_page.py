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
# What gguf-py does not know: bytes of the worked block, and id, weights and bytes of a block.
OURS = {"I2_S": (64, 36, 128, 32), "IQ1_BN": (15, 134, 64, 13), "IQ2_BN": (20, 135, 64, 16), "IQ2_BN_R4": (80, 335, 64, 16),
        "Q2_0": (18, 42, 64, 18), "Q2_0_G128": (34, 42, 128, 34), "PQ2_0": (34, 142, 128, 34), "PTQ1_0": (28, 143, 128, 28),
        "TL1": (96, 38, 4, 1), "TL2": (4128, 39, 24, 5)}


def block_of(listed, size):
    block = np.zeros(size, np.uint8)
    for part in listed.split(", "):
        offset, data = part.split(": ")
        data = bytes.fromhex(data)
        block[int(offset):int(offset) + len(data)] = list(data)
    return block


def digit(byte, n):
    """Digit n of a base-3 byte, the most significant first."""
    return ((int(byte) * 3**n & 255) * 3) >> 8


def two_bits(byte, n):
    return int(byte) >> 2 * n & 3


def pair(index):
    return [int(index) // 3 - 1, int(index) % 3 - 1]


def triple(index, negative):
    value = 13 + (-index if negative else index)
    return [value // 9 - 1, value // 3 % 3 - 1, value % 3 - 1]


def decode_i2_s(b):
    return [(two_bits(b[j % 32], 3 - j // 32) - 1) * b[32:36].view("<f4")[0] for j in range(128)]


def decode_iq1_bn(b):
    codes = [digit(b[2 + 3 * (j // 16) + j % 16 // 5], 4 - j % 16 % 5) if j % 16 < 15 else digit(b[14], 4 - j // 16) for j in range(64)]
    return [(c - 1) * b[:2].view("<f2")[0] for c in codes]


def decode_iq2_bn(b):
    return [(two_bits(b[4 + j % 16], j // 16) - 1) * b[:4].view("<f4")[0] for j in range(64)]


def decode_iq2_bn_r4(b):
    return [(two_bits(b[16 + 16 * (c // 16) + 4 * r + c % 4], c % 16 // 4) - 1) * b[:16].view("<f4")[r] for r in range(4) for c in range(64)]


def decode_q2_0(b):
    return [(two_bits(b[2 + j // 4], j % 4) - 1) * b[:2].view("<f2")[0] for j in range(4 * (len(b) - 2))]


def decode_ptq1_0(b):
    codes = [digit(b[j % 16], j // 16) for j in range(80)] + [digit(b[16 + j % 8], j // 8) for j in range(40)]
    codes += [digit(b[24 + j % 2], j // 2) for j in range(8)]
    return [(c - 1) * b[26:].view("<f2")[0] for c in codes]


def decode_tl1(b):
    fours = [pair(b[16 * (c // 4) + r] >> 4) + pair(b[16 * (c // 4) + r] & 15) for r in range(16) for c in range(0, 16, 4)]
    return np.array(fours).reshape(-1) * b[64:68].view("<f4")[0]


def decode_tl2(b):
    rows = []
    for r in range(32):
        place = (r // 8 * 2 % 3 if r // 8 < 3 else 3) * 8 + r % 8  # eights 0, 2, 1, 3
        row = []
        for c in range(0, 192, 6):
            byte = int(b[(c // 6) * 32 + place])
            for index, t in ((byte >> 4, c % 24 // 3), (byte & 15, c % 24 // 3 + 1)):
                word = int(b[1024 + c // 24 * 32 + 2 * (r % 16):][:2].view("<u2")[0])
                row += triple(index, word >> (15 - 2 * t - r // 16) & 1)
        for c in range(0, 64, 4):
            byte = int(b[1280 + (c // 4) * 32 + place])
            row += pair(byte >> 4) + pair(byte & 15)
        rows += row
    return np.array(rows) * b[4096:4100].view("<f4")[0]


def decode(kind, listed):
    if kind in OURS:
        own = {"Q2_0_G128": decode_q2_0, "PQ2_0": decode_q2_0}.get(kind) or globals()[f"decode_{kind.lower()}"]
        return own(block_of(listed, OURS[kind][0]))
    kind = gguf.GGMLQuantizationType[kind]
    return gguf.quants.dequantize(block_of(listed, gguf.GGML_QUANT_SIZES[kind][1]), kind)


@pytest.mark.parametrize("kind, listed, weights", ROWS, ids=[kind for kind, _, _ in ROWS])
def test_a_worked_block_decodes_to_the_weights_listed(kind, listed, weights):
    expected = {int(i): float(v) for i, v in re.findall(r"w(\d+) = (-?[\d.]+)", weights)}
    decoded = decode(kind, listed)
    assert {i: float(decoded[i]) for i in expected} == expected


def test_every_type_has_a_worked_block():
    assert len({kind for kind, _, _ in ROWS}) == len(ROWS) == 23


@pytest.mark.parametrize("kind, number, weights, size", SUMMARY.findall(PAGE))
def test_the_summary_table_has_gguf_pys_ids_and_sizes(kind, number, weights, size):
    if kind in OURS:
        assert (int(number), int(weights), int(size)) == OURS[kind][1:]
        return
    known = gguf.GGMLQuantizationType[kind]
    assert (int(number), (int(weights), int(size))) == (known.value, gguf.GGML_QUANT_SIZES[known])
