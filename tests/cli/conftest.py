"""What the tests of the command line share: the program, and tiny models made on the spot."""
import os
import subprocess
from pathlib import Path

import pytest
import tiny_model

ROOT = Path(__file__).resolve().parents[2]


class Program:
    """The `bitnet` executable, away from the user's own settings, history and models."""

    def __init__(self, path, home):
        self.path, self.home = str(path), home

    def environment(self, **extra):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BITNET_") and name != "NO_COLOR"}
        return kept | {"HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state"), "TERM": "xterm"} | extra

    def __call__(self, *arguments, stdin=b"", env=None, timeout=120):
        return subprocess.run([self.path, *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout,
                              env=self.environment(**(env or {})), cwd=self.home)

    def start(self, *arguments, **streams):
        return subprocess.Popen([self.path, *map(str, arguments)], env=self.environment(), cwd=self.home, **streams)

    def text(self, *arguments, **options):
        """Standard output of a call that must succeed and say nothing on standard error."""
        result = self(*arguments, **options)
        assert (result.returncode, result.stderr) == (0, b"")
        return result.stdout.decode()

    def refusal(self, code, *arguments, **options):
        """The one line on standard error of a call that must end with `code` and print nothing else."""
        result = self(*arguments, **options)
        assert (result.returncode, result.stdout) == (code, b""), result.stderr
        line = result.stderr.decode()
        assert line.startswith("bitnet: ") and line.endswith("\n") and line.count("\n") == 1
        return line


@pytest.fixture
def bitnet(tmp_path):
    path = Path(os.environ.get("BITNET_BIN", ROOT / "build" / "release" / "bin" / "bitnet"))
    if not path.is_file():
        pytest.fail(f"no program at {path}: build it, or set BITNET_BIN")
    return Program(path, tmp_path)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder of models; each file is named after what sets it apart."""
    folder = tmp_path_factory.mktemp("models")
    tiny_model.write(folder / "tiny.gguf")
    tiny_model.write(folder / "long.gguf", n_ctx=1 << 20)
    tiny_model.write(folder / "short.gguf", n_ctx=64)
    tiny_model.write(folder / "no_tokenizer.gguf", tokenizer=False)
    tiny_model.write(folder / "no_template.gguf", chat_template=False)
    tiny_model.write(folder / "vocabulary.gguf", weights=False)
    tiny_model.write_folder(folder / "tiny")
    return folder


@pytest.fixture
def model(models):
    return models / "tiny.gguf"


@pytest.fixture
def folder(models):
    """The same model as a HuggingFace folder."""
    return models / "tiny"
