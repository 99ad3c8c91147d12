"""The ollama package, as its users use it."""
import ollama
import pytest
from conftest import KEY, NAME, WEATHER, is_weather

ASK = [{"role": "user", "content": "Once upon a time"}]
OPTIONS = {"seed": 2, "num_predict": 20}


@pytest.fixture(scope="module")
def client(served):
    return ollama.Client(host=served.url, headers={"Authorization": "Bearer " + KEY})


def test_models(client):
    (model,) = client.list().models
    assert model.model == NAME + ":latest" and client.ps().models[0].model == model.model
    shown = client.show(NAME)
    assert "completion" in shown.capabilities and shown.modelinfo["general.architecture"] == "bitnet-b1.58"


def test_generate_and_chat(client):
    whole = client.generate(model=NAME, prompt="Once upon a time", options=OPTIONS)
    assert "".join(part.response for part in client.generate(model=NAME, prompt="Once upon a time", options=OPTIONS, stream=True)) == whole.response
    assert whole.done and whole.eval_count == 20 and whole.done_reason == "length"
    whole = client.chat(model=NAME, messages=ASK, options=OPTIONS)
    assert "".join(part.message.content for part in client.chat(model=NAME, messages=ASK, options=OPTIONS, stream=True)) == whole.message.content


def test_formats_and_tools(client):
    import json
    answer = client.chat(model=NAME, messages=ASK, format=WEATHER, options={"num_predict": 100})
    assert is_weather(json.loads(answer.message.content))

    def get_weather(city: str) -> str:
        """Weather of a city

        Args:
          city: its name
        """
        return city

    call = ollama.Message.ToolCall(function=ollama.Message.ToolCall.Function(name="get_weather", arguments={"city": "Rome"}))
    told = [*ASK, ollama.Message(role="assistant", tool_calls=[call]), ollama.Message(role="tool", content="rain", tool_name="get_weather")]
    assert client.chat(model=NAME, messages=told, tools=[get_weather], options=OPTIONS).done


def test_embeddings(client):
    both = client.embed(model=NAME, input=["a fox", "an owl"]).embeddings
    assert len(both) == 2 and list(client.embeddings(model=NAME, prompt="an owl").embedding) == list(both[1])


def test_errors(client):
    with pytest.raises(ollama.ResponseError, match="--allow-pull") as caught:
        client.pull("2b-4t")
    assert caught.value.status_code == 403
    with pytest.raises(ollama.ResponseError, match="not_there"):
        client.show("not_there")
