"""Do answers have the shapes of OpenAI's API, and the text that the program alone gives?"""
import base64
import json
import math
import re
import struct
import subprocess
import threading

import pytest
from conftest import PROGRAM


def alone(model, prompt, n, seed):
    """The text that `bitnet run` gives."""
    command = [PROGRAM, "run", "-m", model, "-p", prompt, "-n", str(n), "--seed", str(seed), "--format", "json", "-t", "1"]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)


def test_completion_is_what_run_gives(server, model):
    answer = server.post("/v1/completions", prompt="Once upon", max_tokens=24, seed=7)
    expected = alone(model, "Once upon", 24, 7)
    choice = answer["choices"][0]
    assert (answer["object"], choice["text"], choice["finish_reason"]) == ("text_completion", expected["text"], expected["finish_reason"])
    assert choice["logprobs"] is None
    assert answer["usage"]["completion_tokens"] == len(expected["ids"])
    assert answer["usage"]["prompt_tokens"] == len(expected["prompt_ids"])


def test_stream_joins_to_the_whole(server):
    fields = {"prompt": "abc", "max_tokens": 40, "seed": 3, "n": 2, "stream_options": {"include_usage": True}}
    whole = server.post("/v1/completions", **fields)
    events = server.stream("/v1/completions", **fields)
    assert events[-1]["choices"] == [] and events[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert all(event["usage"] is None for event in events[:-1])
    for index in range(2):
        parts = [e["choices"][0] for e in events[:-1] if e["choices"][0]["index"] == index]
        assert "".join(part["text"] for part in parts) == whole["choices"][index]["text"]
        assert [part["finish_reason"] for part in parts[:-1]] == [None] * (len(parts) - 1)
        assert parts[-1]["finish_reason"] == whole["choices"][index]["finish_reason"]
    assert whole["choices"][0]["text"] != whole["choices"][1]["text"]


def test_chat(server):
    fields = {"messages": [{"role": "developer", "content": "Be brief."},
                           {"role": "user", "content": [{"type": "text", "text": "Hello"}]}], "max_completion_tokens": 10, "seed": 1}
    whole = server.post("/v1/chat/completions", **fields)
    message = whole["choices"][0]["message"]
    assert whole["object"] == "chat.completion" and message["role"] == "assistant"
    events = server.stream("/v1/chat/completions", **fields)
    assert events[0]["object"] == "chat.completion.chunk"
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert events[-1]["choices"][0]["delta"] == {}
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events) == message["content"]


def test_echo_gives_the_scores_of_the_prompt(server, model, tmp_path):
    answer = server.post("/v1/completions", prompt="Once upon", max_tokens=1, temperature=0, echo=True, logprobs=2)
    choice = answer["choices"][0]
    logprobs = choice["logprobs"]
    assert choice["text"].startswith("Once upon")
    assert len({len(logprobs[key]) for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset")}) == 1
    assert logprobs["token_logprobs"][0] is None and logprobs["top_logprobs"][0] is None
    assert logprobs["text_offset"][:3] == [0, 0, len(logprobs["tokens"][1])], "the token that begins the text is not in it"
    # Independently: the raw logits of every position, and numpy's softmax.
    numpy = pytest.importorskip("numpy")
    path = tmp_path / "logits.npy"
    ids = alone(model, "Once upon", 1, 0)["prompt_ids"]
    subprocess.run([PROGRAM, "logits", "--kv", "f16", "-m", model, "--ids", ",".join(map(str, ids)), "--out", path], check=True, timeout=60, capture_output=True)
    logits = numpy.load(path).astype(numpy.float64)
    scores = logits - numpy.log(numpy.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True)) - logits.max(1, keepdims=True)
    expected = [scores[i, ids[i + 1]] for i in range(len(ids) - 1)] + [scores[-1].max()]
    assert numpy.allclose(logprobs["token_logprobs"][1:], expected, atol=1e-4)
    for token, score, top in zip(logprobs["tokens"][1:], logprobs["token_logprobs"][1:], logprobs["top_logprobs"][1:]):
        assert top[token] == score and len(top) in (2, 3)
    assert max(logprobs["top_logprobs"][-1].values()) == logprobs["token_logprobs"][-1]


def test_chat_logprobs_sum_up(server):
    answer = server.post("/v1/chat/completions", messages=[{"role": "user", "content": "x"}], max_tokens=5, logprobs=True, top_logprobs=20, temperature=0)
    for token in answer["choices"][0]["logprobs"]["content"]:
        assert token["logprob"] == token["top_logprobs"][0]["logprob"]
        assert 0 < sum(math.exp(top["logprob"]) for top in token["top_logprobs"]) <= 1 + 1e-9
        assert bytes(token["bytes"]).decode("utf-8", "replace") == token["token"] or token["token"].startswith("bytes:")


SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
          "required": ["name", "age"], "additionalProperties": False}


@pytest.mark.parametrize("fields", [{"response_format": {"type": "json_schema", "json_schema": {"name": "p", "strict": True, "schema": SCHEMA}}},
                                    {"response_format": {"type": "json_object", "schema": SCHEMA}}, {"json_schema": SCHEMA}, {"guided_json": json.dumps(SCHEMA)}])
def test_answers_keep_to_a_schema(server, fields):
    answer = server.post("/v1/chat/completions", messages=[{"role": "user", "content": "who?"}], n=3, seed=4, max_tokens=400, temperature=1.0, **fields)
    for choice in answer["choices"]:
        assert choice["finish_reason"] == "stop"
        person = json.loads(choice["message"]["content"])
        assert set(person) == {"name", "age"} and len(person["name"]) <= 8 and 0 <= person["age"] <= 99


def test_answers_keep_to_a_grammar_a_regex_and_a_choice(server):
    for fields, pattern in [({"grammar": 'root ::= "a"+ "b"'}, r"a+b"), ({"guided_regex": "[0-9]{3}-x"}, r"[0-9]{3}-x"),
                            ({"guided_choice": ["yes", "no"]}, r"yes|no")]:
        text = server.post("/v1/completions", prompt="q", max_tokens=300, seed=2, **fields)["choices"][0]["text"]
        assert re.fullmatch(pattern, text), (fields, text)


def test_two_constraints_exclude_each_other(server):
    error = server.refusal(400, "/v1/completions", {"prompt": "a", "grammar": 'root ::= "a"', "guided_choice": ["b"]})
    assert error["param"] == "guided_choice"


def test_best_of_gives_the_most_probable(server):
    fields = {"prompt": "abc", "max_tokens": 12, "seed": 5, "logprobs": 0, "ignore_eos": True}
    each = server.post("/v1/completions", n=4, **fields)["choices"]
    best = server.post("/v1/completions", n=1, best_of=4, **fields)["choices"][0]
    mean = [sum(choice["logprobs"]["token_logprobs"]) / len(choice["logprobs"]["tokens"]) for choice in each]
    assert best["text"] == each[mean.index(max(mean))]["text"]


def test_prompts_as_ids_and_as_lists(server):
    ids = server.post("/tokenize", content="Once upon", add_special=True)["tokens"]
    text = server.post("/v1/completions", prompt="Once upon", max_tokens=6, seed=2)["choices"][0]["text"]
    both = server.post("/v1/completions", prompt=[ids, ids], max_tokens=6, seed=2)["choices"]
    assert [choice["text"] for choice in both] == [text, text]
    assert [choice["index"] for choice in both] == [0, 1]
    assert server.post("/detokenize", tokens=ids)["content"].endswith("Once upon")


def test_stop_ends_before_the_text(server):
    fields = {"prompt": "abc", "max_tokens": 40, "seed": 3, "ignore_eos": True}
    text = server.post("/v1/completions", **fields)["choices"][0]["text"]
    stop = text[10:12]
    choice = server.post("/v1/completions", stop=["never this", stop], **fields)["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == (text[: text.index(stop)], "stop")


def test_many_at_once_are_as_alone(server):
    prompts = [("word " * (i * 7 % 60 + 1))[: 10 + 13 * i] for i in range(24)]
    fields = [{"prompt": p, "max_tokens": 5 + i, "seed": i, "stream": i % 2 == 0} for i, p in enumerate(prompts)]
    expected = [server.post("/v1/completions", **(f | {"stream": False}))["choices"][0]["text"] for f in fields]
    texts = [None] * len(fields)

    def ask(i):
        if fields[i]["stream"]:
            texts[i] = "".join(e["choices"][0]["text"] for e in server.stream("/v1/completions", **fields[i]))
        else:
            texts[i] = server.post("/v1/completions", **fields[i])["choices"][0]["text"]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(fields))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == expected
    assert server.metric("bitnet_sequences_running") == 0


def test_embeddings_are_those_of_embed(server, model):
    texts = ["first text", "a second, longer text " * 5]
    floats = server.post("/v1/embeddings", input=texts)
    command = [PROGRAM, "embed", "-m", model, "-t", "1", *texts]
    expected = [json.loads(line) for line in subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.splitlines()]
    assert [d["index"] for d in floats["data"]] == [0, 1]
    for found, wanted in zip(floats["data"], expected):
        assert all(abs(a - b) < 1e-6 for a, b in zip(found["embedding"], wanted["embedding"], strict=True))
    assert floats["usage"]["prompt_tokens"] == sum(e["tokens"] for e in expected)
    coded = server.post("/v1/embeddings", input=texts[0], encoding_format="base64")["data"][0]["embedding"]
    unpacked = struct.unpack(f"<{len(expected[0]['embedding'])}f", base64.b64decode(coded))
    assert all(abs(a - b) < 1e-6 for a, b in zip(unpacked, expected[0]["embedding"]))
    ids = server.post("/tokenize", content=texts[0], add_special=True)["tokens"]
    assert server.post("/v1/embeddings", input=ids)["data"] == floats["data"][:1]
    short = server.post("/v1/embeddings", input=ids, dimensions=8)["data"][0]["embedding"]
    assert len(short) == 8 and abs(sum(x * x for x in short) - 1) < 1e-5


@pytest.mark.parametrize("field,value", [("input", None), ("input", []), ("input", [[]]), ("input", 5), ("input", [-1]), ("input", ["a"] * 2049),
                                         ("encoding_format", "hex"), ("dimensions", 0), ("dimensions", 10**6)])
def test_a_wrong_embedding_field_is_named(server, field, value):
    assert server.refusal(400, "/v1/embeddings", {"input": "a"} | {field: value})["param"] == field


def test_models(server):
    _, _, text = server.ask("GET", "/v1/models")
    name = json.loads(text)["data"][0]["id"]
    assert name == "tiny"
    assert json.loads(server.ask("GET", "/v1/models/tiny")[2])["id"] == name
    assert server.ask("GET", "/v1/models/other")[0] == 404


BAD_FIELDS = [
    ("max_tokens", -2), ("max_tokens", 1.5), ("max_tokens", "many"), ("temperature", -1), ("temperature", 1e9), ("top_p", 2), ("n", 0),
    ("n", 99), ("logprobs", 21), ("logprobs", True), ("stop", 5), ("stop", ["x"] * 17), ("stop", "x" * 300), ("logit_bias", {"a": 1}),
    ("logit_bias", {"99999999": 1}), ("logit_bias", {"1": 101}), ("logit_bias", [[1]]), ("prompt", [[]]), ("prompt", []), ("prompt", [-1]),
    ("prompt", [10**9]), ("prompt", ["a"] * 33), ("prompt", {"a": 1}), ("prompt", [["x"]]), ("stream", 1), ("seed", "x"), ("suffix", "end"),
    ("best_of", 0), ("echo", "yes"), ("top_k", 10**12), ("stream_options", 5), ("mirostat", 3), ("grammar", "root ::= x"),
    ("response_format", {"type": "json_schema"}), ("response_format", {"type": "xml"}), ("response_format", 5), ("guided_regex", "(a"),
    ("response_format", {"type": "json_schema", "json_schema": {"schema": {"type": "string", "contentEncoding": "base64"}}}),
    ("guided_choice", []), ("guided_choice", [5]), ("json_schema", {"enum": []}), ("guided_json", {"$ref": "http://x/y"}),
]


@pytest.mark.parametrize("field,value", BAD_FIELDS)
def test_a_wrong_field_is_named(server, field, value):
    error = server.refusal(400, "/v1/completions", {"prompt": "a", "max_tokens": 1} | {field: value})
    assert error["param"].startswith(field) and field in error["message"]
    assert error["type"] == "invalid_request_error"


BAD_MESSAGES = [None, [], [5], [{}], [{"role": "user"}], [{"role": "king", "content": "x"}], [{"role": "user", "content": 5}],
                [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}], [{"role": "user", "content": "x"}] * 1025]


@pytest.mark.parametrize("messages", BAD_MESSAGES)
def test_wrong_messages_are_named(server, messages):
    assert server.refusal(400, "/v1/chat/completions", {"messages": messages})["param"].startswith("messages")


def test_too_long_a_prompt_is_refused_with_the_code_clients_know(server):
    error = server.refusal(400, "/v1/completions", {"prompt": [5] * 3000})
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
    assert "3000" in error["message"] and "2048" in error["message"]
    assert server.refusal(400, "/v1/chat/completions", {"messages": [{"role": "user", "content": "x " * 3000}]})["code"] == "context_length_exceeded"
