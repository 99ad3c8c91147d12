"""Does every text that `bitnet run --json-schema` finishes satisfy its schema? Judged by the jsonschema package.

schemas.jsonl holds schemas of the kinds found in tool definitions, structured answers and record formats; all were written for this test.
"""
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))
import tiny_model  # noqa: E402

jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema in .venv: scripts/setup --tests installs it")

SCHEMAS = [json.loads(line) for line in Path(__file__).with_name("schemas.jsonl").read_text(encoding="utf-8").splitlines()]
SEEDS = [1, 2, 3]


def without_nullable(schema):
    """The same in plain JSON Schema, which does not know OpenAPI's `nullable`."""
    if isinstance(schema, list):
        return [without_nullable(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: without_nullable(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def check(schema, text):
    def refuse_constant(name):
        raise ValueError(f"{name} is no JSON")

    value = json.loads(text, parse_constant=refuse_constant)
    draft = jsonschema.Draft7Validator if "additionalItems" in json.dumps(schema) else jsonschema.Draft202012Validator
    schema = without_nullable(schema)
    draft.check_schema(schema)
    draft(schema, format_checker=draft.FORMAT_CHECKER).validate(value)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model.write(str(tmp_path_factory.mktemp("model") / "tiny.gguf"))


def sample(program, model, entry, seed, tokens, biases=()):
    flags = [flag for bias in biases for flag in ("--logit-bias", bias)]
    schema = json.dumps(entry["schema"], ensure_ascii=False)
    command = [program, "run", "-m", model, "-p", "JSON: ", "--format", "json", "--temp", "1", "--top-k", "0", "--top-p", "1",
               "--min-p", "0", "--seed", str(seed), "-n", str(tokens), "-t", "1", "--json-schema", schema, *flags]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    assert (result.returncode, result.stderr) == (0, b""), (entry["name"], result.stderr)
    return json.loads(result.stdout)


def judge(answers):
    """How many were finished; fails for one that is and does not validate."""
    finished = 0
    for entry, seed, answer in answers:
        if answer["finish_reason"] == "stop":
            finished += 1
            try:
                check(entry["schema"], answer["text"])
            except (ValueError, jsonschema.ValidationError) as error:
                pytest.fail(f"{entry['name']}, seed {seed}: {answer['text']}\n{error}")
    return finished


def test_there_are_a_hundred_schemas_and_they_are_schemas():
    assert len(SCHEMAS) >= 100 and len({entry["name"] for entry in SCHEMAS}) == len(SCHEMAS)


def test_finished_texts_of_a_random_model_validate(bitnet, model):
    # Every byte is about as likely to such a model: without these its strings and lists would hardly end.
    biases = [f"{tiny_model.token_id(token)}={bias}" for token, bias in {'"': 5, "}": 3, "]": 3, "\\": -4, "Ċ": -3, "[": -1, "{": -1}.items()]
    work = [(entry, seed) for entry in SCHEMAS for seed in SEEDS]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: (*one, sample(bitnet.path, model, *one, 700, biases)), work))
    finished = judge(answers)
    print(f"{finished} of {len(answers)} texts finished within 700 tokens")
    assert finished >= 0.8 * len(answers)


def test_finished_texts_of_the_default_model_validate(bitnet):
    default = Path(__file__).resolve().parents[2] / "models" / "default.gguf"
    if not default.is_file():
        pytest.skip("there is no models/default.gguf")
    work = [(entry, 4) for entry in SCHEMAS[::4]]
    answers = [(*one, sample(bitnet.path, str(default), *one, 200)) for one in work]
    finished = judge(answers)
    print(f"{finished} of {len(answers)} texts finished within 200 tokens")
    assert finished > 0
