"""Whatever stands in a field, of any endpoint: an answer in its protocol's shape, and no failure of the server's."""
import json

import pytest
import tiny_model

WRONG = [None, True, -1, 0, 2**70, 1e300, 0.5, "", "x", "\u0000", [], {}, [[]], [{}], [None], ["x"], {"type": "x"}, {"x": {"x": [1]}}, [{"type": "function"}],
         [{"role": "user"}], [{"role": "user", "content": [{"type": "text", "text": 5}]}], {"type": "json_schema"}, [[1, 2, 3]], {"1": "x"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}}}
ASK = [{"role": "user", "content": "x"}]
BODIES = {
    "/v1/chat/completions": {"messages": ASK, "max_tokens": 3, "tools": [TOOL], "tool_choice": "auto"},
    "/v1/completions": {"prompt": "x", "max_tokens": 3}, "/completions": {"prompt": "x", "n_predict": 3}, "/completion": {"prompt": "x", "n_predict": 3},
    "/v1/embeddings": {"input": "x"}, "/v1/responses": {"input": "x", "max_output_tokens": 3}, "/v1/responses/input_tokens": {"input": "x"},
    "/v1/messages": {"messages": ASK, "max_tokens": 3}, "/v1/messages/count_tokens": {"messages": ASK},
    "/api/generate": {"model": "tiny", "prompt": "x", "options": {"num_predict": 3}}, "/api/chat": {"model": "tiny", "messages": ASK, "options": {"num_predict": 3}},
    "/api/embed": {"input": "x"}, "/api/embeddings": {"prompt": "x"}, "/api/show": {"model": "tiny"}, "/api/pull": {"model": "a/b"},
    "/apply-template": {"messages": ASK}, "/tokenize": {"content": "x"}, "/detokenize": {"tokens": [1]}}


@pytest.fixture(scope="module")
def small(start, tmp_path_factory):
    """A server whose context is soon full, so that no answer is long."""
    path = tmp_path_factory.mktemp("small") / "tiny.gguf"
    tiny_model.write(path, n_ctx=600)
    return start(file=path)


@pytest.fixture(scope="module")
def document(small):
    return json.loads(small.ask("GET", "/openapi.json")[2])


def fields_of(schema, document):
    """The names of a schema's properties."""
    if "$ref" in schema:
        return fields_of(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    names = set(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        names |= fields_of(part, document)
    return names


def check(server, path, body):
    status, _, text = server.ask("POST", path, body, timeout=10)
    assert status in (200, 400, 403, 404, 429), (status, body, text)
    if status == 200:
        return 200
    error = json.loads(text)["error"]
    if path.startswith("/api/"):
        assert isinstance(error, str)
    elif path.startswith("/v1/messages"):
        assert set(error) == {"type", "message"}
    else:
        assert set(error) == {"message", "type", "param", "code"}
    return status


@pytest.mark.parametrize("path", BODIES)
def test_any_value_in_any_field(small, document, path):
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    names = fields_of(schema, document) | set(BODIES[path])
    if path != "/v1/chat/completions":  # all endpoints read these alike
        for shared in ("Sampling", "Constraint"):
            names -= fields_of(document["components"]["schemas"][shared], document)
    statuses = [check(small, path, BODIES[path] | {name: value}) for name in sorted(names) for value in WRONG]
    assert check(small, path, BODIES[path]) == (403 if path == "/api/pull" else 200)
    assert {400, 403} & set(statuses)
    assert small.metric("bitnet_sequences_running") == 0


@pytest.mark.parametrize("path", BODIES)
def test_bodies_that_are_no_objects(small, path):
    for body in (b"", b"[]", b"null", b"5", b'"x"', b"{", b'{"a":1}x', b"\xff\xfe", b'{"model":"\xff"}', b"[" * 100, b'{"model":' + b"[" * 70 + b"]" * 70 + b"}"):
        assert check(small, path, body) in (400, 403)


@pytest.mark.parametrize("value", WRONG)
def test_any_value_within_options_and_tools(small, value):
    for name in ("temperature", "num_predict", "stop", "seed", "logit_bias", "top_k"):
        check(small, "/api/generate", {"prompt": "x", "options": {"num_predict": 2} | {name: value}, "stream": False})
    for name in ("name", "description", "parameters"):
        tools = [{"type": "function", "function": {"name": "f"} | {name: value}}]
        check(small, "/v1/chat/completions", {"messages": ASK, "max_tokens": 2, "tools": tools})
    for name in ("type", "properties", "required", "$defs", "additionalProperties", "anyOf", "$ref"):
        tools = [{"name": "f", "input_schema": {"type": "object", "properties": {}} | {name: value}}]
        check(small, "/v1/messages", {"messages": ASK, "max_tokens": 2, "tools": tools})
