"""langchain-openai, as its users use it."""
from typing import Annotated, Literal

import pytest
from conftest import KEY, NAME, is_weather
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field


class Fox(BaseModel):
    """A fox"""
    age: int = Field(ge=1, le=9)


@pytest.fixture(scope="module")
def chat(served):
    return ChatOpenAI(model=NAME, base_url=served.v1, api_key=KEY, max_retries=0, max_tokens=200, seed=4, stream_usage=True)


def test_invoke_and_stream(chat):
    short = chat.bind(max_tokens=20)
    whole = short.invoke("Once upon a time")
    chunks = list(short.stream("Once upon a time"))
    assert "".join(chunk.text for chunk in chunks) == whole.text and len(whole.text) > 10
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert total.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat, method):
    assert isinstance(chat.with_structured_output(Fox, method=method).invoke("A fox"), Fox)


def test_tools(chat):
    @tool
    def get_weather(city: Literal["Rome", "Oslo"], days: Annotated[int, Field(ge=1, le=7)]) -> str:
        """Weather of a city"""
        return city

    bound = chat.bind_tools([get_weather], tool_choice="get_weather", parallel_tool_calls=False)
    (call,) = bound.invoke("Weather?").tool_calls
    total = None
    for chunk in bound.stream("Weather?"):
        total = chunk if total is None else total + chunk
    assert is_weather(call["args"]) and total.tool_calls[0]["args"] == call["args"] and total.tool_calls[0]["name"] == "get_weather"


def test_completions_and_embeddings(served):
    text = OpenAI(model=NAME, base_url=served.v1, api_key=KEY, max_retries=0, max_tokens=10, seed=1).invoke("Once upon a time")
    assert len(text) > 3
    embeddings = OpenAIEmbeddings(model=NAME, base_url=served.v1, api_key=KEY, max_retries=0, check_embedding_ctx_length=False)
    assert embeddings.embed_documents(["a fox", "an owl"])[1] == pytest.approx(embeddings.embed_query("an owl"), abs=1e-6)
