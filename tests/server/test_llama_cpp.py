"""Is /completion what llama.cpp's server has, and /slots?"""
import json

import pytest


def events(server, path="/completion", **fields):
    status, headers, text = server.ask("POST", path, fields | {"stream": True})
    assert status == 200, text
    assert headers["Content-Type"] == "text/event-stream"
    out = [json.loads(part.removeprefix("data: ")) for part in text.split("\n\n") if part and not part.startswith(":")]
    assert [event["stop"] for event in out] == [False] * (len(out) - 1) + [True]
    return out


def test_a_completion(server):
    expected = server.post("/v1/completions", prompt="Once upon", max_tokens=20, seed=7)
    found = server.post("/completion", prompt="Once upon", n_predict=20, seed=7, return_tokens=True, cache_prompt=True, id_slot=0)
    assert found["content"] == expected["choices"][0]["text"] and found["stop"] is True
    assert found["stop_type"] == {"length": "limit", "stop": "eos"}[expected["choices"][0]["finish_reason"]]
    assert found["tokens_predicted"] == len(found["tokens"]) == expected["usage"]["completion_tokens"]
    assert found["tokens_evaluated"] == expected["usage"]["prompt_tokens"] and found["truncated"] is False
    assert found["generation_settings"]["seed"] == 7 and found["generation_settings"]["n_predict"] == 20
    timings = found["timings"]
    assert timings["predicted_n"] == found["tokens_predicted"] and timings["prompt_n"] + timings["cache_n"] == found["tokens_evaluated"]
    assert timings["predicted_per_second"] > 0 and timings["prompt_ms"] >= 0
    stream = events(server, prompt="Once upon", n_predict=20, seed=7)
    assert len(stream) > 5 and "".join(event["content"] for event in stream) == found["content"]
    assert stream[-1]["stop_type"] == found["stop_type"] and stream[-1]["timings"]["predicted_n"] == found["tokens_predicted"]


def test_what_ends_it(server):
    text = server.post("/completion", prompt="abc", n_predict=40, seed=3, ignore_eos=True)["content"]
    stop = text[10:12]
    found = server.post("/completion", prompt="abc", n_predict=40, seed=3, ignore_eos=True, stop=["never this", stop])
    assert (found["content"], found["stop_type"], found["stopping_word"]) == (text[: text.index(stop)], "word", stop)
    found = server.post("/completion", prompt="abc", n_predict=5, seed=3, ignore_eos=True)
    assert (found["stop_type"], found["stopping_word"], found["tokens_predicted"]) == ("limit", "", 5)
    assert server.post("/completion", prompt="abc", grammar='root ::= "yes"')["stop_type"] == "eos"


def test_probabilities(server):
    fields = {"prompt": "abc", "n_predict": 6, "temperature": 0}
    found = server.post("/completion", n_probs=3, **fields)
    chat = server.post("/v1/completions", prompt="abc", max_tokens=6, temperature=0, logprobs=3)["choices"][0]["logprobs"]
    assert [token["logprob"] for token in found["completion_probabilities"]] == chat["token_logprobs"]
    for token in found["completion_probabilities"]:
        assert set(token) == {"id", "token", "logprob", "bytes", "top_logprobs"} and len(token["top_logprobs"]) == 3
        assert token["top_logprobs"][0]["id"] == token["id"]
    pieces = [token for event in events(server, n_probs=3, **fields) for token in event.get("completion_probabilities", [])]
    assert pieces == found["completion_probabilities"]
    assert "completion_probabilities" not in server.post("/completion", **fields)


def test_prompts_in_all_their_forms(server):
    ids = server.post("/tokenize", content="abc", add_special=True)["tokens"]
    one = server.post("/completion", prompt="abc", n_predict=6, seed=2)["content"]
    assert server.post("/completion", prompt=ids, n_predict=6, seed=2)["content"] == one
    several = server.post("/completion", prompt=["abc", ids], n_predict=6, seed=2)
    assert [(answer["index"], answer["content"]) for answer in several] == [(0, one), (1, one)]


def test_completions_speaks_both_dialects(server):
    native = server.post("/completions", prompt="abc", n_predict=6, seed=2)
    openai = server.post("/completions", prompt="abc", max_tokens=6, seed=2)
    assert native["content"] == openai["choices"][0]["text"] and openai["object"] == "text_completion"
    assert "".join(event["content"] for event in events(server, "/completions", prompt="abc", n_predict=6, seed=2)) == native["content"]


def test_biases_as_pairs(server):
    token = server.post("/tokenize", content="q")["tokens"][0]
    assert server.post("/completion", prompt="abc", n_predict=4, logit_bias=[[token, 100]], temperature=0)["content"] == "qqqq"
    never = server.post("/completion", prompt="abc", n_predict=4, logit_bias=[[token, 100], [token, False]], temperature=0)["content"]
    assert "q" not in never


def test_slots(start):
    server = start("--parallel", 3)
    status, _, text = server.ask("GET", "/slots?fail_on_no_slot=1")
    slots = json.loads(text)
    assert status == 200 and [slot["id"] for slot in slots] == [0, 1, 2]
    assert all(slot["is_processing"] is False and slot["n_ctx"] == 2048 and "prompt" not in slot for slot in slots)
    connection = server.connect()
    connection.request("POST", "/completion", json.dumps({"prompt": "abc", "n_predict": 1500, "ignore_eos": True, "stream": True}),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.readline().startswith(b"data: ")
    assert sum(slot["is_processing"] for slot in json.loads(server.ask("GET", "/slots")[2])) == 1
    connection.close()


@pytest.mark.parametrize("fields,param", [
    ({}, "prompt"), ({"prompt": 5}, "prompt"), ({"prompt": "a", "n_predict": "x"}, "n_predict"), ({"prompt": "a", "n_probs": 21}, "n_probs"),
    ({"prompt": "a", "image_data": [{}]}, "image_data"), ({"prompt": "a", "post_sampling_probs": True}, "post_sampling_probs"),
    ({"prompt": "a", "t_max_predict_ms": 5}, "t_max_predict_ms"), ({"prompt": "a", "grammar": "root"}, "grammar"),
    ({"prompt": ["a", "b"], "stream": True}, "prompt"), ({"prompt": "a", "logit_bias": [[1, "x"]]}, "logit_bias"), ({"prompt": "a", "top_k": 1.5}, "top_k"),
])
def test_a_wrong_field_is_named(server, fields, param):
    assert server.refusal(400, "/completion", fields)["param"] == param
