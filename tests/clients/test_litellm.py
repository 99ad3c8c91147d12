"""litellm's routes to servers of OpenAI's, Anthropic's and Ollama's kind."""
import litellm
import pytest
from conftest import KEY, NAME

ASK = [{"role": "user", "content": "Once upon a time"}]


@pytest.mark.parametrize("prefix,path", [("openai", "/v1"), ("hosted_vllm", "/v1"), ("anthropic", ""), ("ollama_chat", "")])
def test_completion(served, prefix, path):
    settings = dict(model=f"{prefix}/{NAME}", api_base=served.url + path, api_key=KEY, messages=ASK, max_tokens=20, temperature=0, num_retries=0)
    whole = litellm.completion(**settings)
    chunks = list(litellm.completion(**settings, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content and len(text) > 10
    assert whole.usage.completion_tokens == 20 and whole.choices[0].finish_reason == "length"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["length"]


def test_embedding(served, width):
    found = litellm.embedding(model=f"openai/{NAME}", api_base=served.v1, api_key=KEY, input=["a fox"])
    assert len(found.data[0]["embedding"]) == width
