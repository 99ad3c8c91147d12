"""What the golden tests share: the program under test, and the results of other implementations beside the checkout."""
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
ORACLE = ROOT.parent / "shared" / "oracle"


class Program:
    """The `bitnet` executable; every call must succeed."""

    def __init__(self, path, folder):
        self.path, self.folder = path, folder

    def call(self, *arguments, env=None):
        """Standard output of `bitnet ARGUMENTS`."""
        result = subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                                env=os.environ | (env or {}), timeout=600)
        assert result.returncode == 0, f"exit code {result.returncode}: {result.stderr.strip()}"
        return result.stdout

    def refusal(self, *arguments):
        """Exit code and standard error of a call that must fail."""
        result = subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
        assert result.returncode != 0, "it did not fail"
        return result.returncode, result.stderr

    def npy_bytes(self, model, ids, *flags, env=None):
        """The file that `bitnet logits` writes."""
        out = self.folder / "logits.npy"
        self.call("logits", "-m", model, "--ids", ",".join(map(str, ids)), "--out", out, *flags, env=env)
        return out.read_bytes()

    def logits(self, model, ids, *flags):
        """(tokens, vocabulary) float32."""
        self.npy_bytes(model, ids, *flags)
        return np.load(self.folder / "logits.npy")

    def run_json(self, model, *arguments):
        """The JSON object of a greedy `bitnet run` with an exact cache."""
        return json.loads(self.call("run", "-m", model, "--temp", "0", "--kv", "f32", "--format", "json", *arguments))

    def lines(self, command, tokenizer, values):
        """`bitnet tokenize` or `detokenize` over JSON lines; `tokenizer` is the flag and file."""
        source, target = self.folder / "in.jsonl", self.folder / "out.jsonl"
        source.write_text("".join(json.dumps(value) + "\n" for value in values))
        special = ["--no-special"] if command == "tokenize" else []
        self.call(command, *tokenizer, "--in", source, "--out", target, *special)
        return [json.loads(line) for line in target.read_text().splitlines()]


@pytest.fixture
def bitnet(tmp_path):
    path = os.environ.get("BITNET_BIN", str(ROOT / "build" / "release" / "bin" / "bitnet"))
    if not Path(path).is_file():
        pytest.fail(f"no program at {path}: build it, or set BITNET_BIN")
    return Program(path, tmp_path)


@pytest.fixture(scope="session")
def oracle():
    if not ORACLE.is_dir():
        pytest.skip("the oracle's results are not beside this checkout (../shared/oracle)")
    return ORACLE
