"""Is /v1/responses what OpenAI's responses API is, without storing anything?"""
import json

import pytest
from test_tools import NOW, WEATHER

PERSON = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 6}}, "required": ["name"], "additionalProperties": False}


def flat(tool):
    return {"type": "function"} | tool["function"]


def events(server, **fields):
    """(name, data) of every event of a stream."""
    status, headers, text = server.ask("POST", "/v1/responses", fields | {"stream": True})
    assert status == 200, text
    assert headers["Content-Type"] == "text/event-stream"
    out = []
    for part in text.split("\n\n"):
        if part and not part.startswith(":"):
            name, data = part.split("\n")
            out.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    assert all(name == data["type"] for name, data in out)
    assert [data["sequence_number"] for _, data in out] == list(range(len(out)))
    return out


def plain(response):
    """Without what differs from answer to answer."""
    text = json.dumps({key: value for key, value in response.items() if key not in ("id", "created_at", "usage")})
    return json.loads(text.replace(response["id"].removeprefix("resp_"), "ID"))


def test_a_text(server):
    response = server.post("/v1/responses", model="tiny", input="Hello", instructions="Be brief.", max_output_tokens=12, seed=4, ignore_eos=True)
    assert response["object"] == "response" and response["status"] == "incomplete" and response["store"] is False
    assert response["incomplete_details"] == {"reason": "max_output_tokens"} and response["instructions"] == "Be brief."
    (item,) = response["output"]
    assert item["type"] == "message" and item["role"] == "assistant" and item["content"][0]["type"] == "output_text"
    chat = server.post("/v1/chat/completions", max_tokens=12, seed=4, ignore_eos=True,
                       messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}])
    assert item["content"][0]["text"] == chat["choices"][0]["message"]["content"]
    usage = response["usage"]
    assert usage["input_tokens"] == chat["usage"]["prompt_tokens"] and usage["output_tokens"] == 12
    assert usage["total_tokens"] == usage["input_tokens"] + 12


def test_the_events_of_a_text(server):
    fields = {"input": "Hello", "max_output_tokens": 12, "seed": 4, "ignore_eos": True}
    whole = server.post("/v1/responses", **fields)
    stream = events(server, **fields)
    names = [name for name, _ in stream]
    deltas = names.count("response.output_text.delta")
    assert deltas > 1 and names == ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
                                    *["response.output_text.delta"] * deltas, "response.output_text.done", "response.content_part.done",
                                    "response.output_item.done", "response.incomplete"]
    text = whole["output"][0]["content"][0]["text"]
    assert "".join(data["delta"] for name, data in stream if name.endswith("text.delta")) == text
    assert stream[-4][1]["text"] == text
    assert plain(stream[-1][1]["response"]) == plain(whole)
    item = stream[-2][1]["item"]
    assert all(data["item_id"] == item["id"] and data["output_index"] == 0 and data["content_index"] == 0 for _, data in stream[3:-2])


def test_the_events_of_calls(server):
    fields = {"input": [{"role": "user", "content": [{"type": "input_text", "text": "When?"}]}], "tools": [flat(WEATHER), flat(NOW)],
              "tool_choice": {"type": "function", "name": "get_weather"}, "seed": 2, "max_output_tokens": 600}
    whole = server.post("/v1/responses", **fields)
    assert whole["status"] == "completed"
    (call,) = whole["output"]
    assert call["type"] == "function_call" and call["name"] == "get_weather" and call["call_id"].startswith("call_")
    assert json.loads(call["arguments"])["unit"] in ("celsius", "kelvin")
    stream = events(server, **fields)
    names = [name for name, _ in stream]
    assert names[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert names[-3:] == ["response.function_call_arguments.done", "response.output_item.done", "response.completed"]
    assert "".join(data["delta"] for name, data in stream if name == "response.function_call_arguments.delta") == call["arguments"]
    assert plain(stream[-1][1]["response"]) == plain(whole)


def test_calls_and_their_results_are_input(server):
    items = [{"role": "user", "content": "Weather?"}, {"type": "reasoning", "summary": []},
             {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"},
             {"type": "function_call_output", "call_id": "c1", "output": "noon"}]
    chat = server.post("/v1/chat/completions", seed=1, max_tokens=9, messages=[
        {"role": "user", "content": "Weather?"}, {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"}])
    response = server.post("/v1/responses", input=items, seed=1, max_output_tokens=9)
    assert response["output"][0]["content"][0]["text"] == chat["choices"][0]["message"]["content"]
    assert server.post("/v1/responses/input_tokens", input=items) == {"object": "response.input_tokens", "input_tokens": chat["usage"]["prompt_tokens"]}


def test_a_format_is_kept(server):
    response = server.post("/v1/responses", input="who?", seed=2, max_output_tokens=300,
                           text={"format": {"type": "json_schema", "name": "person", "strict": True, "schema": PERSON}})
    assert set(json.loads(response["output"][0]["content"][0]["text"])) == {"name"}
    assert response["text"]["format"]["name"] == "person"


@pytest.mark.parametrize("fields,param", [
    ({"input": None}, "input"), ({"input": []}, "input"), ({"input": 5}, "input"), ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"background": True}, "background"), ({"conversation": "c"}, "conversation"), ({"store": "yes"}, "store"), ({"truncation": "auto"}, "truncation"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"), ({"max_output_tokens": 0}, "max_output_tokens"), ({"temperature": "hot"}, "temperature"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"), ({"text": {"format": {"type": "json_schema"}}}, "text.format.json_schema"),
    ({"input": [{"type": "item_reference", "id": "a"}]}, "input[0].type"), ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x/y"}]}]}, "input[0].content[0].type"),
    ({"include": ["message.output_text.logprobs"]}, "include"), ({"top_logprobs": 3}, "top_logprobs"),
])
def test_a_wrong_field_is_named(server, fields, param):
    assert server.refusal(400, "/v1/responses", {"input": "a"} | fields)["param"] == param
