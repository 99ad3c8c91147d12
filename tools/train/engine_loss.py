"""How well does the engine predict recorded token windows, and what does the type of its cache change?

engine_loss.py BITNET MODEL.gguf WINDOWS.json: prints perplexity by cache type. WINDOWS.json is what evaluate.py --record writes.
"""
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


def engine_loss(bitnet, model_file, windows, kv="f32"):
    """Mean nats per token by `bitnet logits`."""
    total = tokens = 0
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "logits.npy"
        for window in windows:
            ids = ",".join(map(str, window[:-1]))
            subprocess.run([bitnet, "logits", "-m", model_file, "--ids", ids, "--kv", kv, "--out", out], check=True, capture_output=True)
            logits = np.load(out).astype(np.float64)
            top = logits.max(1, keepdims=True)
            log_sum = np.log(np.exp(logits - top).sum(1)) + top[:, 0]
            total += (log_sum - logits[np.arange(len(logits)), window[1:]]).sum()
            tokens += len(logits)
    return total / tokens


def main(bitnet, model_file, windows_file):
    windows = json.loads(Path(windows_file).read_text())["windows"]
    print(f"{sum(len(window) - 1 for window in windows)} tokens in {len(windows)} windows")
    for kv in ("f32", "f16", "int8"):
        print(f"{kv:5} perplexity {math.exp(engine_loss(bitnet, model_file, windows, kv)):.4f}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
