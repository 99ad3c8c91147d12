"""The openai package for JavaScript, as openai.mjs uses it."""
import json
import shutil
import subprocess

import pytest
from conftest import KEY, NAME, ROOT

NODE = ROOT / ".venv-clients" / "node"


@pytest.mark.skipif(shutil.which("node") is None or not (NODE / "node_modules" / "openai").is_dir(), reason="no node, or the package is not installed")
def test_the_client_for_javascript(served, width):
    script = NODE / "openai.mjs"  # beside its packages, where node looks for them
    shutil.copy(ROOT / "tests" / "clients" / "openai.mjs", script)
    result = subprocess.run(["node", script, served.v1, KEY, NAME], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["models"] == [NAME] and found["streamed"] == found["whole"] and len(found["whole"]) > 10
    assert found["call"]["name"] == "get_weather" and found["call"]["arguments"]["city"] in ("Rome", "Oslo")
    assert found["embedding"] == width and len(found["response"]) > 10
    assert found["events"][0] == "response.created" and found["events"][-1] in ("response.completed", "response.incomplete")
    assert found["error"] == {"status": 400, "param": "temperature", "type": "BadRequestError"}
