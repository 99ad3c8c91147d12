"""Does gguf-py agree with the bytes we write and with what we read, type by type?"""
import os
import subprocess
from pathlib import Path

import gguf
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
CODEC = os.environ.get("BITNET_CODEC", str(ROOT / "build" / "release" / "bin" / "bitnet-codec"))
SEED = 11


def codec(direction, kind, array, rows, cols):
    result = subprocess.run([CODEC, direction, kind, str(rows), str(cols)], input=array.tobytes(), capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def dense_rows():
    """Weights of a layer, and rows that go to the edges: zeros, ties, one weight alone, tiny and huge ones."""
    random = np.random.default_rng(SEED)
    rows = (random.standard_normal((64, 512)) * 0.02).astype(np.float32)
    rows[1] = 0
    rows[2] = np.arange(512) % 32 - 16
    rows[3] = (np.arange(512) % 17 - 8) / 2
    rows[4] = 0
    rows[4, ::32] = -3
    rows[5] *= 1e-6
    rows[6] *= 1e6
    rows[7] = np.abs(rows[7])
    rows[8] = random.integers(-127, 128, 512)
    return rows


def ternary_rows(scale):
    codes = np.random.default_rng(SEED).integers(-1, 2, (8, 512)).astype(np.float32)
    codes[3, 256:] = 0
    return codes * np.float32(scale)


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0"])
def test_our_bytes_are_the_reference_quantisers(kind):
    rows = dense_rows() if kind != "F16" else np.clip(dense_rows(), -65504, 65504)
    expected = gguf.quants.quantize(rows, gguf.GGMLQuantizationType[kind]).tobytes()
    assert codec("encode", kind, rows, *rows.shape) == expected


@pytest.mark.parametrize("kind", ["TQ1_0", "TQ2_0", "Q8_0", "Q4_0", "Q6_K", "F16", "BF16"])
def test_gguf_py_reads_the_values_that_we_read(kind):
    rows = ternary_rows(0.0375) if kind.startswith("TQ") else np.clip(dense_rows(), -65504, 65504)
    encoded = np.frombuffer(codec("encode", kind, rows, *rows.shape), np.uint8)
    ours = np.frombuffer(codec("decode", kind, encoded, *rows.shape), np.float32).reshape(rows.shape)
    theirs = gguf.quants.dequantize(encoded.reshape(len(rows), -1), gguf.GGMLQuantizationType[kind])
    assert np.array_equal(ours, theirs.reshape(rows.shape))


@pytest.mark.parametrize("kind", ["TQ1_0", "TQ2_0"])
def test_our_ternary_bytes_are_the_reference_quantisers(kind):
    rows = ternary_rows(0.5)
    rows[3, 256:] = ternary_rows(0.5)[2, 256:]  # the reference gives a block of zeros the scale 0, we keep the tensor's
    expected = gguf.quants.quantize(rows, gguf.GGMLQuantizationType[kind]).tobytes()
    assert codec("encode", kind, rows, *rows.shape) == expected


def test_the_error_of_q6_k_is_near_what_six_bits_allow():
    rows = dense_rows()[9:]
    encoded = codec("encode", "Q6_K", rows, *rows.shape)
    back = np.frombuffer(codec("decode", "Q6_K", np.frombuffer(encoded, np.uint8), *rows.shape), np.float32).reshape(rows.shape)
    top = np.abs(rows.reshape(-1, 16)).max(axis=1)
    uniform = np.sqrt((top / 32) ** 2 / 12).mean()  # rounding errors spread evenly over a step of max / 32
    rms = np.sqrt(((back - rows) ** 2).reshape(-1, 16).mean(axis=1)).mean()
    assert rms < 0.95 * uniform
