"""Are calls of functions held to their schemas, streamed in pieces that join to the whole, and taken back as messages?"""
import json

import pytest
import tiny_model

WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 10}, "unit": {"enum": ["celsius", "kelvin"]},
                                     "days": {"$ref": "#/$defs/days"}},
    "required": ["city", "unit"], "additionalProperties": False, "$defs": {"days": {"type": "integer", "minimum": 1, "maximum": 7}}}}}
NOW = {"type": "function", "function": {"name": "now"}}
ASK = [{"role": "user", "content": "What is the weather?"}]

# A template in the manner of the Qwen and Hermes families.
TOOL_TEMPLATE = (
    "{% if tools %}<|im_start|>system\n# Tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}Answer with <tool_call></tool_call>.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>\n{{ call.function | tojson }}\n</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def check(call, names=("get_weather", "now")):
    assert call["type"] == "function" and call["id"].startswith("call_") and call["function"]["name"] in names
    arguments = json.loads(call["function"]["arguments"])
    if call["function"]["name"] == "now":
        assert arguments == {}
    else:
        assert set(arguments) - {"days"} == {"city", "unit"}
        assert len(arguments["city"]) <= 10 and arguments["unit"] in ("celsius", "kelvin") and 1 <= arguments.get("days", 1) <= 7


def test_required_calls_keep_their_schema(server):
    answer = server.post("/v1/chat/completions", messages=ASK, tools=[WEATHER, NOW], tool_choice="required", n=4, seed=3, max_tokens=1000)
    assert len(answer["choices"]) == 4
    for choice in answer["choices"]:
        message = choice["message"]
        assert choice["finish_reason"] == "tool_calls" and message["content"] is None
        for call in message["tool_calls"]:
            check(call)
    ids = [call["id"] for choice in answer["choices"] for call in choice["message"]["tool_calls"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("choice", [{"type": "function", "function": {"name": "now"}},
                                    {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NOW]}}])
def test_a_named_function_is_called(server, choice):
    answer = server.post("/v1/chat/completions", messages=ASK, tools=[WEATHER, NOW], tool_choice=choice, parallel_tool_calls=False, max_tokens=300)
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    check(call, ["now"])


def test_one_call_where_calls_are_not_parallel(server):
    for seed in range(4):
        answer = server.post("/v1/chat/completions", messages=ASK, tools=[NOW], tool_choice="required", parallel_tool_calls=False, seed=seed, max_tokens=300)
        assert len(answer["choices"][0]["message"]["tool_calls"]) == 1


@pytest.mark.parametrize("fields", [{"tool_choice": "required"}, {"tool_choice": "auto", "continue_final_message": True}])
def test_streamed_calls_join_to_the_whole(server, fields):
    messages = list(ASK)
    if "continue_final_message" in fields:  # so that an answer of a model that knows nothing begins a call
        messages.append({"role": "assistant", "content": "So: "})
    fields = fields | {"messages": messages, "tools": [WEATHER, NOW], "n": 2, "seed": 5, "max_tokens": 700, "logit_bias": {}}
    whole = server.post("/v1/chat/completions", **fields)
    events = server.stream("/v1/chat/completions", **fields)
    for choice in whole["choices"]:
        deltas = [e["choices"][0] for e in events if e["choices"][0]["index"] == choice["index"]]
        text = "".join(d["delta"].get("content") or "" for d in deltas)
        assert text == (choice["message"]["content"] or "")
        calls = []
        for piece in (piece for d in deltas for piece in d["delta"].get("tool_calls", [])):
            if piece["index"] == len(calls):
                assert set(piece) == {"index", "id", "type", "function"} and piece["function"]["arguments"] == ""
                calls.append({"name": piece["function"]["name"], "arguments": ""})
            else:
                assert set(piece) == {"index", "function"} and set(piece["function"]) == {"arguments"}
                calls[piece["index"]]["arguments"] += piece["function"]["arguments"]
        assert calls == [call["function"] for call in choice["message"].get("tool_calls", [])]
        assert deltas[-1]["finish_reason"] == choice["finish_reason"]
        if fields["tool_choice"] == "required":
            assert len([d for d in deltas if d["delta"].get("tool_calls")]) > 4, "arguments come in pieces"


def test_auto_leaves_text_free(server):
    plain = server.post("/v1/chat/completions", messages=ASK, tools=[WEATHER], seed=1, max_tokens=30, ignore_eos=True)["choices"][0]
    assert plain["message"]["content"] and "tool_calls" not in plain["message"] and plain["finish_reason"] == "length"


def test_none_leaves_the_tools_out(server):
    fields = {"messages": ASK, "seed": 1, "max_tokens": 20}
    with_tools = server.post("/v1/chat/completions", tools=[WEATHER], tool_choice="none", **fields)
    assert with_tools["choices"] == server.post("/v1/chat/completions", **fields)["choices"]


def test_a_template_without_tools_gets_them_as_text(server):
    prompt = server.post("/apply-template", messages=ASK, tools=[WEATHER])["prompt"]
    assert prompt.startswith("<|im_start|>system\n") and '"get_weather"' in prompt and "<tool_call>" in prompt
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome", "unit": "kelvin"}'}}
    told = server.post("/apply-template", tools=[WEATHER], messages=ASK + [
        {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "290 K"}])["prompt"]
    assert '<tool_call>{"name":"get_weather","arguments":{"city":"Rome","unit":"kelvin"}}</tool_call><|im_end|>' in told
    assert "<|im_start|>user\n<tool_response>\n290 K\n</tool_response><|im_end|>" in told


def test_a_template_with_tools_gets_them_as_they_are(start, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_model, "CHAT_TEMPLATE", TOOL_TEMPLATE)
    path = tmp_path / "tools.gguf"
    tiny_model.write(path, n_ctx=2048)
    server = start(file=path)
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    prompt = server.post("/apply-template", tools=[WEATHER], messages=ASK + [
        {"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "290 K"}])["prompt"]
    assert prompt.startswith("<|im_start|>system\n# Tools\n") and "You can call functions" not in prompt
    assert '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>' in prompt
    assert "<|im_start|>tool\n290 K<|im_end|>" in prompt
    answer = server.post("/v1/chat/completions", messages=ASK, tools=[NOW], tool_choice="required", max_tokens=300, parallel_tool_calls=False)
    check(answer["choices"][0]["message"]["tool_calls"][0])


def test_the_last_message_is_continued(server):
    messages = ASK + [{"role": "assistant", "content": "It is"}]
    prompt = server.post("/apply-template", messages=messages, continue_final_message=True)["prompt"]
    assert prompt.endswith("<|im_start|>assistant\nIt is")
    answer = server.post("/v1/chat/completions", messages=messages, continue_final_message=True, max_tokens=8, seed=1)
    expected = server.post("/v1/completions", prompt=prompt, max_tokens=8, seed=1)["choices"][0]["text"]
    assert answer["choices"][0]["message"]["content"] == expected
    assert server.refusal(400, "/v1/chat/completions", {"messages": ASK, "continue_final_message": True})["param"] == "continue_final_message"


BAD = {"type": "function", "function": {"name": "bad_one", "parameters": {"type": "object", "properties": {"x": {"type": "string", "not": {}}}}}}


@pytest.mark.parametrize("fields,param", [
    ({"tools": {}}, "tools"), ({"tools": [{"type": "web_search"}]}, "tools[0].type"), ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"), ({"tools": [NOW, NOW]}, "tools[1].function.name"),
    ({"tools": [NOW], "tool_choice": "any"}, "tool_choice"), ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [NOW], "tool_choice": {"type": "function", "function": {"name": "later"}}}, "tool_choice"), ({"tools": [BAD]}, "tools"),
    ({"tools": [NOW], "response_format": {"type": "json_object"}}, "tools"), ({"tools": [NOW], "logprobs": True}, "logprobs"),
    ({"tools": [NOW], "parallel_tool_calls": 1}, "parallel_tool_calls"),
])
def test_a_wrong_tool_field_is_named(server, fields, param):
    error = server.refusal(400, "/v1/chat/completions", {"messages": ASK} | fields)
    assert error["param"] == param
    if fields["tools" if "tools" in fields else "tool_choice"] == [BAD]:
        assert "bad_one" in error["message"] and "'not'" in error["message"] and error["code"] == "invalid_grammar"


@pytest.mark.parametrize("message,param", [
    ({"role": "assistant", "tool_calls": [{}]}, "messages[1].tool_calls[0].function"),
    ({"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "[1]"}}]}, "messages[1].tool_calls[0].function.arguments"),
    ({"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{"}}]}, "messages[1].tool_calls[0].function.arguments"),
    ({"role": "tool"}, "messages[1].content"),
])
def test_a_wrong_call_in_a_message_is_named(server, message, param):
    assert server.refusal(400, "/v1/chat/completions", {"messages": ASK + [message]})["param"] == param
