"""Does the OpenAPI document hold together, and does it describe every endpoint there is?"""
import json
import re

import pytest
from conftest import ROOT
from jsonschema import Draft202012Validator


@pytest.fixture(scope="module")
def document(server):
    status, headers, text = server.ask("GET", "/openapi.json")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert server.ask("GET", "/api-doc/openapi.json")[2] == text
    return json.loads(text)


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def test_every_route_is_described_and_no_other(document):
    source = (ROOT / "src" / "server" / "routes.cc").read_text()
    routes = {(method.lower(), path + "{model}" if path.endswith("models/") else path)
              for method, path in re.findall(r'\{"([A-Z]+)", "([^"]+)", \w+, (?:true|false)\}', source)}
    assert len(routes) > 40
    assert {(method, path) for method, path, _ in operations(document)} == routes


def test_it_is_openapi(document):
    assert document["openapi"].startswith("3.1.") and {"title", "version"} <= set(document["info"])
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for method, path, operation in operations(document):
        assert operation["summary"] and operation["responses"]["200"]["description"] and operation["responses"]["default"]["description"], path
        assert ("requestBody" in operation) == (method in ("post", "delete"))
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path" and p["required"]}
        assert declared == set(re.findall(r"\{(\w+)\}", path))


def test_its_schemas_are_schemas_and_its_references_lead_somewhere(document):
    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                target = document
                for part in value["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
            for part in value.values():
                walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)

    walk(document)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for _, path, operation in operations(document):
        for holder in [operation.get("requestBody", {"content": {}}), *operation["responses"].values()]:
            for media in holder["content"].values():
                Draft202012Validator.check_schema(media["schema"])


@pytest.mark.parametrize("path,body", [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1, "tools": [{"type": "function", "function": {"name": "f"}}]}),
    ("/v1/completions", {"prompt": [1, 2], "max_tokens": 1, "logit_bias": {"1": 2}}), ("/v1/embeddings", {"input": "x"}),
    ("/v1/responses", {"input": "x", "max_output_tokens": 1}), ("/v1/messages", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1}),
    ("/api/chat", {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "options": {"num_predict": 1}}),
    ("/api/generate", {"model": "tiny", "prompt": "x", "options": {"num_predict": 1}}), ("/completion", {"prompt": "x", "n_predict": 1})])
def test_what_it_describes_is_taken(server, document, path, body):
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    Draft202012Validator(schema | {"components": document["components"]}).validate(body)
    assert server.ask("POST", path, body)[0] == 200
