"""What the tests of clients share: a server with the default model, and its addresses."""
import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
os.environ |= {"NO_PROXY": "127.0.0.1,localhost", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1", "LANGSMITH_TRACING": "false"}
MODEL = ROOT / "models" / "default.gguf"
NAME, KEY = "default", "secret"

spec = importlib.util.spec_from_file_location("server_conftest", ROOT / "tests" / "server" / "conftest.py")
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)


class Served:
    """A server of the default model that wants a key."""

    def __init__(self, home):
        self.server = shared.Server(MODEL, home, "--api-key", KEY, "--parallel", "8")
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.v1 = self.url + "/v1"


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("home"))
    yield served
    served.server.process.kill()
    served.server.process.wait()


@pytest.fixture(scope="session")
def program():
    """Runs the program; its standard output."""
    def run(*arguments):
        return subprocess.run([shared.PROGRAM, *map(str, arguments)], capture_output=True, check=True, timeout=120).stdout.decode()

    return run


@pytest.fixture(scope="session")
def width(program):
    """Of the model's embeddings."""
    return json.loads(program("inspect", "-m", MODEL, "--json"))["config"]["n_embd"]


WEATHER = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
           "required": ["city", "days"], "additionalProperties": False}


def is_weather(arguments):
    return set(arguments) == {"city", "days"} and arguments["city"] in ("Rome", "Oslo") and 1 <= arguments["days"] <= 7
