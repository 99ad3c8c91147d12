"""The openai package for Python, as its users use it."""
import json
from typing import Literal

import openai
import pytest
from conftest import KEY, NAME, WEATHER, is_weather
from pydantic import BaseModel, Field

ASK = [{"role": "user", "content": "Once upon a time"}]
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": WEATHER, "strict": True}}


class Fox(BaseModel):
    colour: Literal["red", "grey"]
    age: int = Field(ge=1, le=9)


@pytest.fixture(scope="module")
def client(served):
    return openai.OpenAI(base_url=served.v1, api_key=KEY, max_retries=0)


def test_models(client):
    assert NAME in [model.id for model in client.models.list()]
    assert client.models.retrieve(NAME).object == "model"


def test_chat_whole_and_streamed(client):
    settings = dict(model=NAME, messages=ASK, max_tokens=24, seed=5, temperature=0.7)
    whole = client.chat.completions.create(**settings)
    chunks = list(client.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True}))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].message.content and len(text) > 10
    assert chunks[-1].usage == whole.usage.model_copy(update={"prompt_tokens_details": chunks[-1].usage.prompt_tokens_details})
    assert [c.choices[0].finish_reason for c in chunks[:-1]][-1] == whole.choices[0].finish_reason


def test_completions_with_logprobs(client):
    found = client.completions.create(model=NAME, prompt="The old king", max_tokens=8, temperature=0, logprobs=3, echo=True)
    logprobs = found.choices[0].logprobs
    text = found.choices[0].text
    assert "".join(logprobs.tokens[1:]) == text and logprobs.token_logprobs[0] is None  # the first begins every text, and is not in it
    assert [text[at : at + len(token)] for at, token in zip(logprobs.text_offset[1:], logprobs.tokens[1:])] == logprobs.tokens[1:]
    assert all(len(top) in (3, 4) for top in logprobs.top_logprobs[1:])


def test_embeddings_come_as_base64_by_default(client):
    coded = client.embeddings.create(model=NAME, input=["a fox", "an owl"])
    floats = client.embeddings.create(model=NAME, input=["a fox", "an owl"], encoding_format="float")
    assert [e.embedding for e in coded.data] == [pytest.approx(e.embedding, abs=1e-6) for e in floats.data]


def test_tools(client):
    settings = dict(model=NAME, messages=ASK, tools=[TOOL], tool_choice="required", parallel_tool_calls=False, max_tokens=200, seed=1)
    call = client.chat.completions.create(**settings).choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather" and is_weather(json.loads(call.function.arguments))
    with client.chat.completions.stream(**settings) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in events and "tool_calls.function.arguments.done" in events
    assert final.choices[0].message.tool_calls[0].function.arguments == call.function.arguments
    assert final.choices[0].finish_reason == "tool_calls"
    told = [*ASK, {"role": "assistant", "tool_calls": [call.model_dump()]}, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    assert client.chat.completions.create(model=NAME, messages=told, max_tokens=5).choices[0].message.content


def test_parsed_answers(client):
    parsed = client.chat.completions.parse(model=NAME, messages=ASK, response_format=Fox, max_tokens=200).choices[0].message.parsed
    assert isinstance(parsed, Fox)
    response = client.responses.parse(model=NAME, input="A fox", text_format=Fox, max_output_tokens=200)
    assert isinstance(response.output_parsed, Fox)


def test_responses(client):
    settings = dict(model=NAME, input="Once upon a time", instructions="Tell a story.", max_output_tokens=20, extra_body={"seed": 3})
    whole = client.responses.create(**settings)
    with client.responses.stream(**settings) as stream:
        events = list(stream)
    text, final = "".join(event.delta for event in events if event.type == "response.output_text.delta"), events[-1].response
    assert events[-1].type == "response.incomplete" and final.incomplete_details.reason == "max_output_tokens"
    assert text == final.output_text == whole.output_text and len(text) > 10
    counted = client.responses.input_tokens.count(model=NAME, input="Once upon a time", instructions="Tell a story.")
    assert counted.input_tokens == whole.usage.input_tokens == final.usage.input_tokens


def test_responses_with_tools(client):
    tool = {"type": "function", "name": "get_weather", "description": "Weather", "parameters": WEATHER, "strict": True}
    settings = dict(model=NAME, input="Weather?", tools=[tool], tool_choice="required", parallel_tool_calls=False, max_output_tokens=200, extra_body={"seed": 3})
    call = client.responses.create(**settings).output[0]
    assert call.type == "function_call" and is_weather(json.loads(call.arguments))
    with client.responses.stream(**settings) as stream:
        final = stream.get_final_response()
    assert final.output[0].arguments == call.arguments
    items = [{"role": "user", "content": "Weather?"}, call.model_dump(), {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
    assert client.responses.create(model=NAME, input=items, max_output_tokens=5).output_text


def test_errors(client, served):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=NAME, messages=ASK, temperature=-1)
    assert caught.value.param == "temperature" and caught.value.request_id
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=served.v1, api_key="wrong", max_retries=0).models.list()
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("elsewhere")
