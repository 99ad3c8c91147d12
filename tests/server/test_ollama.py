"""Do clients of Ollama find what they know: answers in lines, models by their tags, downloads where they are allowed?"""
import json
import re
from datetime import datetime

import pytest
from fake_hub import FakeHub
from test_tools import NOW, WEATHER

ASK = [{"role": "user", "content": "Hello"}]
GREEDY = {"temperature": 0, "num_predict": 12}


def lines(server, path, **fields):
    """The objects of a stream; the last alone is done."""
    status, headers, text = server.ask("POST", path, fields)
    assert status == 200, text
    assert headers["Content-Type"] == "application/x-ndjson"
    out = [json.loads(line) for line in text.splitlines()]
    assert [line["done"] for line in out] == [False] * (len(out) - 1) + [True]
    return out


def refusal(server, status, path, fields, method="POST", **options):
    got, _, text = server.ask(method, path, fields, **options)
    assert got == status, text
    error = json.loads(text)
    assert set(error) == {"error"} and isinstance(error["error"], str)
    return error["error"]


def check_end(end, reason, count):
    assert end["done"] is True and end["done_reason"] == reason and end["eval_count"] == count and end["prompt_eval_count"] > 0
    assert end["model"] == "tiny:latest" and datetime.fromisoformat(end["created_at"].replace("Z", "+00:00"))
    for name in ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration"):
        assert isinstance(end[name], int) and end[name] >= 0
    assert end["total_duration"] >= end["eval_duration"] > 0


def test_generate(server):
    whole = server.post("/api/generate", model="tiny", prompt="Hello", system="Be brief.", options=GREEDY, stream=False)
    chat = server.post("/v1/chat/completions", messages=[{"role": "system", "content": "Be brief."}, *ASK], temperature=0, max_tokens=12)
    assert whole["response"] == chat["choices"][0]["message"]["content"]
    check_end(whole, chat["choices"][0]["finish_reason"], chat["usage"]["completion_tokens"])
    stream = lines(server, "/api/generate", model="tiny:latest", prompt="Hello", system="Be brief.", options=GREEDY)
    assert len(stream) > 3 and "".join(line["response"] for line in stream) == whole["response"]
    check_end(stream[-1], whole["done_reason"], whole["eval_count"])


def test_a_raw_prompt_is_taken_as_it_is(server):
    text = server.post("/v1/completions", prompt="abc", temperature=0, max_tokens=12)["choices"][0]["text"]
    assert server.post("/api/generate", prompt="abc", raw=True, options=GREEDY, stream=False)["response"] == text


def test_chat(server):
    whole = server.post("/api/chat", model="tiny", messages=ASK, options=GREEDY | {"num_ctx": 512, "num_thread": 1}, keep_alive="5m", stream=False)
    chat = server.post("/v1/chat/completions", messages=ASK, temperature=0, max_tokens=12)
    assert whole["message"] == {"role": "assistant", "content": chat["choices"][0]["message"]["content"]}
    stream = lines(server, "/api/chat", model="tiny", messages=ASK, options=GREEDY)
    assert "".join(line["message"]["content"] for line in stream) == whole["message"]["content"]
    check_end(stream[-1], whole["done_reason"], whole["eval_count"])


def test_nothing_is_generated_without_a_prompt(server):
    for path, fields in (("/api/generate", {}), ("/api/chat", {"messages": []})):
        end = server.post(path, model="tiny", keep_alive=-1, stream=False, **fields)
        assert end["done"] is True and end["done_reason"] == "load" and end["eval_count"] == 0
        assert len(lines(server, path, model="tiny", **fields)) == 1


def test_streams_end_at_once(server):
    """A last event of which nothing is written must not be waited behind: the heartbeat is 15 s."""
    for i in range(60):
        status, _, _ = server.ask("POST", "/api/chat", {"messages": ASK, "options": {"num_predict": i % 3}}, timeout=10)
        assert status == 200


def test_formats_are_kept(server):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["n"], "additionalProperties": False}
    answer = server.post("/api/chat", messages=ASK, format=schema, stream=False, options={"seed": 3, "num_predict": 200})
    assert 1 <= json.loads(answer["message"]["content"])["n"] <= 9
    answer = server.post("/api/generate", prompt="x", format="json", stream=False, options={"temperature": 0, "num_predict": 60})
    assert answer["response"].startswith("{")


def test_tools(server):
    """Ollama has no tool_choice: whether a call comes is the model's choice. Here the format of calls is what counts."""
    stream = lines(server, "/api/chat", messages=ASK, tools=[WEATHER, NOW], options={"seed": 2, "num_predict": 40})
    assert all(set(line["message"]) <= {"role", "content", "tool_calls"} for line in stream)
    call = {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}
    told = [*ASK, {"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "tool_name": "get_weather", "content": "290 K"}]
    counted = server.post("/api/chat", messages=told, stream=False, options=GREEDY)["prompt_eval_count"]
    prompt = server.post("/apply-template", messages=told)["prompt"]
    assert "290 K" in prompt and counted == len(server.post("/tokenize", content=prompt, add_special=True)["tokens"])


def test_a_required_call_comes_whole(server):
    """tool_choice is taken here, too."""
    stream = lines(server, "/api/chat", messages=ASK, tools=[WEATHER], tool_choice="required", options={"seed": 2, "num_predict": 900})
    calls = [call["function"] for line in stream for call in line["message"].get("tool_calls", [])]
    assert calls and all(call["name"] == "get_weather" and call["arguments"]["unit"] in ("celsius", "kelvin") for call in calls)
    whole = server.post("/api/chat", messages=ASK, tools=[WEATHER], tool_choice="required", options={"seed": 2, "num_predict": 900}, stream=False)
    assert [call["function"] for call in whole["message"]["tool_calls"]] == calls


def test_stop_and_logprobs(server):
    text = server.post("/api/generate", prompt="abc", raw=True, options={"seed": 3, "num_predict": 40}, stream=False)["response"]
    stop = text[6:8]
    end = server.post("/api/generate", prompt="abc", raw=True, options={"seed": 3, "num_predict": 40, "stop": [stop]}, stream=False)
    assert end["response"] == text[: text.index(stop)] and end["done_reason"] == "stop"
    scored = server.post("/api/generate", prompt="abc", raw=True, options=GREEDY, logprobs=True, top_logprobs=2, stream=False)
    assert len(scored["logprobs"]) == 12 and all(len(token["top_logprobs"]) == 2 for token in scored["logprobs"])
    stream = lines(server, "/api/generate", prompt="abc", raw=True, options=GREEDY, logprobs=True)
    assert [token["logprob"] for line in stream for token in line.get("logprobs", [])] == [token["logprob"] for token in scored["logprobs"]]


def test_embeddings(server):
    vectors = [d["embedding"] for d in server.post("/v1/embeddings", input=["one", "two words"])["data"]]
    found = server.post("/api/embed", model="tiny", input=["one", "two words"])
    assert found["embeddings"] == vectors and found["model"] == "tiny:latest" and found["prompt_eval_count"] > 0
    assert server.post("/api/embed", input="one")["embeddings"] == vectors[:1]
    assert server.post("/api/embeddings", model="tiny", prompt="two words") == {"embedding": vectors[1]}
    long = "word " * 3000
    assert "context" in refusal(server, 400, "/api/embed", {"input": long})
    assert len(server.post("/api/embed", input=long, truncate=True)["embeddings"]) == 1


def get(server, path):
    status, _, text = server.ask("GET", path)
    assert status == 200, text
    return json.loads(text)


def test_models(server):
    assert re.fullmatch(r"\d+\.\d+\.\d+", get(server, "/api/version")["version"])
    for path in ("/api/tags", "/api/ps"):
        (model,) = get(server, path)["models"]
        assert model["name"] == model["model"] == "tiny:latest" and model["size"] > 0
        assert model["details"]["family"] == model["details"]["families"][0] == "bitnet-b1.58"
        datetime.fromisoformat(model["modified_at" if path.endswith("tags") else "expires_at"].replace("Z", "+00:00"))
    for fields in ({"model": "tiny"}, {"name": "tiny:latest"}):
        shown = server.post("/api/show", **fields)
        assert shown["parameters"] == "num_ctx 2048" and shown["capabilities"] == ["completion", "tools"]
        assert shown["model_info"]["general.architecture"] == "bitnet-b1.58" and shown["model_info"]["bitnet-b1.58.context_length"] == 2048
    assert "elsewhere" in refusal(server, 404, "/api/show", {"model": "elsewhere"})
    assert "model" in refusal(server, 400, "/api/show", {})


@pytest.mark.parametrize("path,fields,named", [
    ("/api/generate", {"prompt": "a", "options": {"temperature": "hot"}}, "options.temperature"), ("/api/generate", {"prompt": "a", "options": []}, "options"),
    ("/api/generate", {"prompt": "a", "suffix": "b"}, "suffix"), ("/api/generate", {"prompt": "a", "images": ["aGk="]}, "images"),
    ("/api/generate", {"prompt": "a", "context": [1, 2]}, "context"), ("/api/generate", {"prompt": "a", "template": "x"}, "template"),
    ("/api/generate", {"prompt": "a", "think": True}, "think"), ("/api/generate", {"prompt": "a", "format": "xml"}, "format"),
    ("/api/generate", {"prompt": 5}, "prompt"), ("/api/generate", {"prompt": "a", "format": {"not": {}}}, "format"),
    ("/api/chat", {"messages": [{"role": "user", "content": "a", "images": ["aGk="]}]}, "messages[0].images"),
    ("/api/chat", {"messages": [{"role": "nobody", "content": "a"}]}, "messages[0].role"), ("/api/chat", {"messages": ASK, "stream": 1}, "stream"),
    ("/api/embed", {}, "input"), ("/api/embeddings", {"prompt": []}, "prompt"),
])
def test_a_wrong_field_is_named(server, path, fields, named):
    assert named in refusal(server, 400, path, fields)


def test_errors_before_the_body_have_the_same_shape(start, server):
    locked = start("--api-key", "secret")
    refusal(locked, 401, "/api/chat", {"messages": ASK})
    refusal(server, 404, "/api/create", {})
    refusal(server, 405, "/api/delete", {})


def test_no_content_type_is_asked_for_but_of_pages(server):
    body = json.dumps({"prompt": "x", "options": {"num_predict": 1}, "stream": False})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.ask("POST", "/api/generate", body, form)[0] == 200
    connection = server.connect()
    connection.request("POST", "/api/generate", body.encode())
    assert connection.getresponse().status == 200
    refusal(server, 415, "/api/generate", body, headers=form | {"Origin": "http://elsewhere.example"})
    assert server.ask("POST", "/v1/completions", body, form)[0] == 415


def test_downloads_need_the_operators_leave(server):
    assert "--allow-pull" in refusal(server, 403, "/api/pull", {"model": "acme/tiny-gguf"})
    assert "--allow-pull" in refusal(server, 403, "/api/delete", {"model": "acme/tiny-gguf"}, method="DELETE")


@pytest.fixture
def puller(start, tmp_path, monkeypatch):
    """A server that may pull, from a hub on loopback into a cache of its own."""
    hub = FakeHub()
    for name, value in {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "*"}.items():
        monkeypatch.setenv(name, value)
    server = start("--allow-pull")
    if "libcurl" in server.ask("POST", "/api/pull", {"model": "a/b", "stream": False})[2]:
        pytest.skip("this build has no downloads")
    server.hub, server.cache = hub, tmp_path / "cache"
    yield server
    hub.close()


def test_pull_and_delete(puller):
    data = bytes(range(256)) * 4000
    puller.hub.add("acme/tiny-gguf", "x-i2_s.gguf", data)
    status, headers, text = puller.ask("POST", "/api/pull", {"model": "acme/tiny-gguf"})
    assert status == 200 and headers["Content-Type"] == "application/x-ndjson"
    steps = [json.loads(line) for line in text.splitlines()]
    assert steps[0] == {"status": "pulling manifest"} and steps[-1] == {"status": "success"}
    assert all(step["status"] == "pulling x-i2_s.gguf" and 0 <= step["completed"] <= step["total"] == len(data) for step in steps if "total" in step)
    (link,) = puller.cache.glob("models--acme--tiny-gguf/snapshots/*/x-i2_s.gguf")
    assert link.read_bytes() == data
    assert json.loads(puller.ask("POST", "/api/pull", {"name": "acme/tiny-gguf", "stream": False})[2]) == {"status": "success"}
    assert puller.ask("DELETE", "/api/delete", {"model": "acme/tiny-gguf"})[0] == 200
    assert not link.exists()
    assert refusal(puller, 404, "/api/delete", {"model": "acme/tiny-gguf"}, method="DELETE")


def test_pulls_fail_in_words(puller):
    assert "nothing/here" in refusal(puller, 404, "/api/pull", {"model": "nothing/here", "stream": False})
    status, _, text = puller.ask("POST", "/api/pull", {"model": "nothing/here"})
    assert status == 200 and "nothing/here" in json.loads(text.splitlines()[-1])["error"]
    for name in ("../../etc/passwd", "http://127.0.0.1/x", "/abs", "a/b/c/d", "a\0b"):
        assert "model" in refusal(puller, 400, "/api/pull", {"model": name})
        assert "model" in refusal(puller, 400, "/api/delete", {"model": name}, method="DELETE")


def test_one_download_at_a_time(puller):
    puller.hub.add("acme/slow", "x-i2_s.gguf", bytes(4 << 20))
    puller.hub.pause = 0.05
    connection = puller.connect()
    connection.request("POST", "/api/pull", json.dumps({"model": "acme/slow"}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert json.loads(answer.readline()) == {"status": "pulling manifest"}
    assert "another" in refusal(puller, 429, "/api/pull", {"model": "acme/slow"})
    connection.close()  # it ends when its client has left
    puller.hub.pause = 0
    for _ in range(200):
        status, _, text = puller.ask("POST", "/api/pull", {"model": "acme/slow", "stream": False})
        if status == 200:
            break
        assert status == 429, text
    assert json.loads(text) == {"status": "success"}
