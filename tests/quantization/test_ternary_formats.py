"""Are the packed ternary formats byte for byte what docs/formats.md draws, as written and as read?"""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import ternary_formats  # noqa: E402

CODEC = os.environ.get("BITNET_CODEC", str(ROOT / "build" / "release" / "bin" / "bitnet-codec"))
BLOCK = {"TQ1_0": 256, "TQ2_0": 256, "Q2_0": 64, "Q2_0_G128": 128, "PQ2_0": 128, "PTQ1_0": 128}
SHAPES = {"I2_S": [(4, 96), (5, 384), (8, 80)], "TQ1_0": [(3, 768)], "TQ2_0": [(3, 768)], "IQ1_BN": [(3, 192), (1, 64)],
          "IQ2_BN": [(3, 192), (1, 64)], "IQ2_BN_R4": [(4, 64), (12, 320)], "Q2_0": [(3, 192)], "Q2_0_G128": [(3, 384)],
          "PQ2_0": [(3, 384)], "PTQ1_0": [(3, 384)]}
CASES = [(kind, shape, None) for kind, shapes in SHAPES.items() for shape in shapes]
CASES += [("TL1", (320, 256), (160, 64, 32)), ("TL1", (128, 256), (64, 128, 64)), ("TL1", (96, 128), (48, 64, 16)),
          ("TL2", (320, 288), (160, 96, 32)), ("TL2", (64, 320), (32, 96, 32)), ("TL2", (128, 384), (64, 192, 32)),
          ("TL2", (64, 512), (64, 96, 32)), ("TL2", (32, 256), (32, 24 * 11, 32))]


def codec(direction, kind, data, shape, tiling):
    command = [CODEC, direction, kind, *map(str, shape), *map(str, tiling or ())]
    result = subprocess.run(command, input=data, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def problem(kind, shape, one_scale):
    """Codes and scales that half precision holds: one a tensor, or as many as the format has."""
    random = np.random.default_rng(sum(map(ord, kind)) + shape[1])
    codes = random.integers(0, 3, shape).astype(np.uint8)
    rows = 1 if one_scale else shape[0]
    each = 1 if one_scale or kind not in BLOCK else shape[1] // BLOCK[kind]
    return codes, random.uniform(0.01, 2, (rows, each)).astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("kind, shape, tiling", CASES, ids=str)
def test_a_matrix_of_one_scale_is_written_as_drawn(kind, shape, tiling):
    codes, scales = problem(kind, shape, one_scale=True)
    weights = (codes.astype(np.float32) - 1) * scales
    assert codec("encode", kind, weights.tobytes(), shape, tiling) == ternary_formats.encode(kind, codes, scales, tiling)


@pytest.mark.parametrize("kind, shape, tiling", CASES, ids=str)
def test_what_is_drawn_is_read(kind, shape, tiling):
    codes, scales = problem(kind, shape, one_scale=kind in ("I2_S", "TL1", "TL2"))
    weights = (codes.astype(np.float32) - 1) * np.repeat(scales, shape[1] // scales.shape[1], axis=1)
    stored = ternary_formats.encode(kind, codes, scales, tiling)
    assert codec("unpack", kind, stored, shape, tiling) == (weights + np.float32(0)).tobytes()
    if kind not in ("I2_S", "IQ2_BN_R4", "TL1", "TL2"):
        assert codec("decode", kind, stored, shape, tiling) == (weights + np.float32(0)).tobytes()
