"""Is /v1/messages what Anthropic's messages API is?"""
import json

import pytest
from test_tools import WEATHER

TOOL = {"name": "get_weather", "description": "Weather of a city", "input_schema": WEATHER["function"]["parameters"]}
ASK = [{"role": "user", "content": "Hello"}]
PATH = "/v1/messages"


def events(server, **fields):
    status, headers, text = server.ask("POST", PATH, fields | {"stream": True})
    assert status == 200, text
    assert headers["Content-Type"] == "text/event-stream"
    parts = [part.split("\n") for part in text.split("\n\n") if part]
    out = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]
    assert all(name == data["type"] for name, data in out)
    return out


def refusal(server, status, fields, path=PATH, **options):
    got, _, text = server.ask("POST", path, fields, **options)
    assert got == status, text
    error = json.loads(text)
    assert error["type"] == "error" and set(error["error"]) == {"type", "message"}
    return error["error"]


def test_a_message(server):
    message = server.post(PATH, model="tiny", system="Be brief.", messages=ASK, max_tokens=12, seed=4, ignore_eos=True)
    assert (message["type"], message["role"], message["stop_reason"], message["stop_sequence"]) == ("message", "assistant", "max_tokens", None)
    chat = server.post("/v1/chat/completions", max_tokens=12, seed=4, ignore_eos=True, messages=[{"role": "system", "content": "Be brief."}, *ASK])
    assert message["content"] == [{"type": "text", "text": chat["choices"][0]["message"]["content"]}]
    usage = message["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == chat["usage"]["prompt_tokens"] and usage["output_tokens"] == 12
    blocks = server.post(PATH, system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}], max_tokens=12, seed=4, ignore_eos=True,
                         messages=[{"role": "user", "content": [{"type": "text", "text": "Hello"}]}])
    assert blocks["content"] == message["content"]
    assert server.post(PATH + "/count_tokens", system="Be brief.", messages=ASK) == {"input_tokens": chat["usage"]["prompt_tokens"]}


def test_the_events_of_a_text(server):
    fields = {"messages": ASK, "max_tokens": 12, "seed": 4, "ignore_eos": True}
    whole = server.post(PATH, **fields)
    stream = events(server, **fields)
    names = [name for name, _ in stream]
    deltas = names.count("content_block_delta")
    assert deltas > 1 and names == ["message_start", "ping", "content_block_start", *["content_block_delta"] * deltas, "content_block_stop",
                                    "message_delta", "message_stop"]
    assert stream[0][1]["message"]["content"] == [] and stream[0][1]["message"]["usage"]["input_tokens"] > 0
    assert stream[2][1] == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert "".join(data["delta"]["text"] for name, data in stream if name == "content_block_delta") == whole["content"][0]["text"]
    assert stream[-2][1]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert stream[-2][1]["usage"]["output_tokens"] == 12


def test_stop_sequences(server):
    fields = {"messages": ASK, "max_tokens": 30, "seed": 4, "ignore_eos": True}
    text = server.post(PATH, **fields)["content"][0]["text"]
    stop = text[8:10]
    message = server.post(PATH, stop_sequences=["never this", stop], **fields)
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", stop)
    assert message["content"][0]["text"] == text[: text.index(stop)]


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}, {"type": "any", "disable_parallel_tool_use": True}])
def test_calls(server, choice):
    fields = {"messages": ASK, "tools": [TOOL], "tool_choice": choice, "max_tokens": 900, "seed": 3}
    message = server.post(PATH, **fields)
    assert message["stop_reason"] == "tool_use"
    for block in message["content"]:
        assert block["type"] == "tool_use" and block["id"].startswith("toolu_") and block["name"] == "get_weather"
        assert block["input"]["unit"] in ("celsius", "kelvin")
    assert len(message["content"]) == 1 or choice == {"type": "any"}
    stream = events(server, **fields)
    starts = [data for name, data in stream if name == "content_block_start"]
    assert [s["index"] for s in starts] == list(range(len(message["content"])))
    assert all(s["content_block"]["type"] == "tool_use" and s["content_block"]["input"] == {} for s in starts)
    for index, block in enumerate(message["content"]):
        pieces = [data["delta"]["partial_json"] for name, data in stream if name == "content_block_delta" and data["index"] == index]
        assert len(pieces) > 1 and json.loads("".join(pieces)) == block["input"]
    assert stream[-2][1]["delta"]["stop_reason"] == "tool_use"


def test_calls_and_their_results_are_input(server):
    messages = [{"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": [{"type": "text", "text": "I look."}, {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Rome"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "290 K"}]},
                                             {"type": "text", "text": "And?"}]}]
    expected = server.post("/apply-template", messages=[
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Rome"}}}]},
        {"role": "tool", "content": "290 K", "tool_call_id": "t1"}, {"role": "user", "content": "And?"}])["prompt"]
    assert "<tool_response>\n290 K\n</tool_response>\nAnd?<|im_end|>" in expected
    count = len(server.post("/tokenize", content=expected, add_special=True)["tokens"])
    assert server.post(PATH + "/count_tokens", messages=messages)["input_tokens"] == count


def test_a_last_message_of_the_assistant_is_continued(server):
    begun = [*ASK, {"role": "assistant", "content": "It is"}]
    message = server.post(PATH, messages=begun, max_tokens=8, seed=1)
    chat = server.post("/v1/chat/completions", messages=begun, continue_final_message=True, max_tokens=8, seed=1)
    assert "".join(block["text"] for block in message["content"]) == chat["choices"][0]["message"]["content"]


def test_a_format_is_kept(server):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["n"], "additionalProperties": False}
    for fields in ({"output_format": {"type": "json_schema", "schema": schema}}, {"output_config": {"format": {"type": "json_schema", "schema": schema}}}):
        message = server.post(PATH, messages=ASK, max_tokens=100, **fields)
        assert 1 <= json.loads(message["content"][0]["text"])["n"] <= 9


@pytest.mark.parametrize("fields,named", [
    ({"max_tokens": None}, "max_tokens"), ({"messages": []}, "messages"), ({"messages": [{"role": "system", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "tool_use", "name": "a"}]}]}, "messages[0].content[0].type"),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking"), ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"), ({"tool_choice": {"type": "any"}}, "tool_choice.type"),
    ({"stop_sequences": [1]}, "stop_sequences"), ({"system": 5}, "system"), ({"top_k": "many"}, "top_k"),
    ({"tools": [{"name": "x", "input_schema": {"type": "object", "properties": {"a": {"not": {}}}}}]}, "'x'"),
])
def test_a_wrong_field_is_named(server, fields, named):
    error = refusal(server, 400, {"messages": ASK, "max_tokens": 3} | fields)
    assert error["type"] == "invalid_request_error" and named in error["message"]


def test_errors_before_the_body_have_the_same_shape(start, server):
    locked = start("--api-key", "secret")
    body = {"messages": ASK, "max_tokens": 2}
    assert refusal(locked, 401, body)["type"] == "authentication_error"
    assert refusal(locked, 401, body, headers={"x-api-key": "wrong"})["type"] == "authentication_error"
    for headers in ({"x-api-key": "secret"}, {"Authorization": "Bearer secret"}):
        assert locked.ask("POST", PATH, body, headers)[0] == 200
    assert refusal(server, 404, body, path=PATH + "/batches")["type"] == "not_found_error"
    assert refusal(server, 415, json.dumps(body), headers={"Content-Type": "text/plain"})["type"] == "invalid_request_error"
