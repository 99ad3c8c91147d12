"""The anthropic package, as its users use it."""
import anthropic
import pytest
from conftest import KEY, NAME, WEATHER, is_weather

ASK = [{"role": "user", "content": "Once upon a time"}]
TOOL = {"name": "get_weather", "description": "Weather", "input_schema": WEATHER}


@pytest.fixture(scope="module")
def client(served):
    return anthropic.Anthropic(base_url=served.url, api_key=KEY, max_retries=0)


def test_messages_whole_and_streamed(client):
    settings = dict(model=NAME, messages=ASK, max_tokens=20, system="Tell a story.", extra_body={"seed": 2})
    whole = client.messages.create(**settings)
    with client.messages.stream(**settings) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text == final.content[0].text and len(text) > 10
    assert final.stop_reason == whole.stop_reason and final.usage.output_tokens == whole.usage.output_tokens
    counted = client.messages.count_tokens(model=NAME, messages=ASK, system="Tell a story.").input_tokens
    assert counted == whole.usage.input_tokens + whole.usage.cache_read_input_tokens


def test_tools(client):
    settings = dict(model=NAME, messages=ASK, max_tokens=200, tools=[TOOL], tool_choice={"type": "any", "disable_parallel_tool_use": True}, extra_body={"seed": 2})
    whole = client.messages.create(**settings)
    assert whole.stop_reason == "tool_use" and is_weather(whole.content[0].input)
    with client.messages.stream(**settings) as stream:
        final = stream.get_final_message()
    assert final.content[0].input == whole.content[0].input and final.stop_reason == "tool_use"
    told = [*ASK, {"role": "assistant", "content": whole.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": whole.content[0].id, "content": "rain"}]}]
    assert client.messages.create(model=NAME, messages=told, max_tokens=5).content


def test_errors_and_bearer_tokens(client, served):
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        client.messages.create(model=NAME, messages=ASK, max_tokens=5, extra_body={"temperature": -1})
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=served.url, api_key="wrong", max_retries=0).messages.create(model=NAME, messages=ASK, max_tokens=5)
    bearer = anthropic.Anthropic(base_url=served.url, auth_token=KEY, api_key=None, max_retries=0)
    assert bearer.messages.create(model=NAME, messages=ASK, max_tokens=5).role == "assistant"
