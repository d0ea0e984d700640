"""Drives a running server with LangChain, LlamaIndex and LiteLLM, unchanged.

    pip install langchain-openai litellm llama-index-llms-openai-like \
        llama-index-embeddings-openai-like llama-index-embeddings-text-embeddings-inference \
        llama-index-postprocessor-tei-rerank
    python tests/clients/frameworks_client.py --url http://127.0.0.1:8080 \
        --chat-model smollm2-135m-instruct --embedding-model multilingual-e5-small

With --rerank-url the rerankers are tried as well, on a server that has one. Prints one line for
each check and `N passed, N failed` at the end; exits with 1 when a check failed.
"""

import asyncio
import math
import os

# None of them may ask anyone but the server.
os.environ["LANGSMITH_TRACING"] = "false"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["HF_HUB_OFFLINE"] = "1"

import litellm
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
from llama_index.llms.openai_like import OpenAILike
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference as TeiRerank
from pydantic import BaseModel

from checks import check, main, raises

KEY = "none"


class Colour(BaseModel):
    """A colour."""

    name: str
    red: int


class Context:
    def __init__(self, args):
        self.url = args.url
        self.api = f"{args.url}/v1"
        self.chat = args.chat_model
        self.embedding = args.embedding_model
        self.rerank_url = args.rerank_url

    def langchain(self, **changes):
        fields = {"temperature": 0, "max_tokens": 16, "max_retries": 0} | changes
        return ChatOpenAI(model=self.chat, base_url=self.api, api_key=KEY, **fields)

    def llama(self, **changes):
        fields = {"is_chat_model": True, "temperature": 0, "max_tokens": 16, "max_retries": 0}
        return OpenAILike(model=self.chat, api_base=self.api, api_key=KEY, **(fields | changes))

    def litellm(self, **changes):
        request = {
            "model": f"openai/{self.chat}",
            "messages": [{"role": "user", "content": "Name a colour."}],
            "temperature": 0,
            "max_tokens": 16,
            "api_base": self.api,
            "api_key": KEY,
        }
        return litellm.completion(**(request | changes))


def near(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    return dot / math.hypot(*a) / math.hypot(*b)


@check
def langchain_chats(c):
    answer = c.langchain().invoke([("system", "Be brief."), ("user", "Name a colour.")])
    assert answer.content and answer.usage_metadata["output_tokens"] <= 16
    assert answer.response_metadata["finish_reason"] in ("stop", "length")


@check
def langchain_streams_what_it_says_at_once(c):
    chat = c.langchain(stream_usage=True)
    pieces = list(chat.stream("Name a colour."))
    assert len(pieces) > 2
    assert "".join(piece.content for piece in pieces) == chat.invoke("Name a colour.").content
    assert sum(piece.usage_metadata["output_tokens"] for piece in pieces if piece.usage_metadata)


@check
def langchain_answers_many_at_once(c):
    answers = c.langchain().batch(["Name a colour.", "Name a fruit.", "Name a river."])
    assert [bool(answer.content) for answer in answers] == [True] * 3
    answer = asyncio.run(c.langchain().ainvoke("Name a colour."))
    assert answer.content == answers[0].content


@check
def langchain_fills_a_schema(c):
    chat = c.langchain(max_tokens=200).with_structured_output(Colour, method="json_schema")
    assert isinstance(chat.invoke("Describe the colour red."), Colour)


@check
def langchain_completes(c):
    llm = OpenAI(model=c.chat, base_url=c.api, api_key=KEY, max_tokens=8, temperature=0)
    assert llm.invoke("One, two, three,")


@check
def langchain_embeds(c):
    # Otherwise it sends the ids of another model's tokenizer.
    embed = OpenAIEmbeddings(
        model=c.embedding, base_url=c.api, api_key=KEY, check_embedding_ctx_length=False
    )
    pair = embed.embed_documents(["The cat sleeps.", "A cat is asleep."])
    far = embed.embed_query("Interest rates rise.")
    assert near(*pair) > near(pair[0], far)


@check
def llamaindex_chats(c):
    answer = c.llama().chat([ChatMessage(role="user", content="Name a colour.")])
    assert answer.message.content
    assert c.llama().complete("Name a colour.").text == answer.message.content


@check
def llamaindex_streams(c):
    pieces = list(c.llama().stream_chat([ChatMessage(role="user", content="Name a colour.")]))
    assert len(pieces) > 2 and pieces[-1].message.content == "".join(p.delta or "" for p in pieces)


@check
def llamaindex_completes(c):
    assert c.llama(is_chat_model=False).complete("One, two, three,").text


@check
def llamaindex_embeds(c):
    embed = OpenAILikeEmbedding(model_name=c.embedding, api_base=c.api, api_key=KEY)
    pair = embed.get_text_embedding_batch(["The cat sleeps.", "A cat is asleep."])
    assert near(*pair) > near(pair[0], embed.get_query_embedding("Interest rates rise."))


@check
def llamaindex_embeds_as_with_tei(c):
    embed = TextEmbeddingsInference(model_name=c.embedding, base_url=c.url)
    pair = embed.get_text_embedding_batch(["The cat sleeps.", "A cat is asleep."])
    assert near(*pair) > near(pair[0], embed.get_query_embedding("Interest rates rise."))


@check
def llamaindex_reranks(c):
    if c.rerank_url is None:
        return
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.0) for text in ("w6", "w7", "w8")]
    rerank = TeiRerank(base_url=c.rerank_url, top_n=2)
    found = rerank.postprocess_nodes(nodes, query_str="w5")
    assert len(found) == 2 and found[0].score >= found[1].score


@check
def litellm_chats(c):
    answer = c.litellm()
    assert answer.choices[0].message.content and answer.usage.completion_tokens <= 16


@check
def litellm_streams(c):
    pieces = list(c.litellm(stream=True, stream_options={"include_usage": True}))
    text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert text == c.litellm().choices[0].message.content


@check
def litellm_speaks_to_it_as_to_anthropic(c):
    answer = c.litellm(model=f"anthropic/{c.chat}", api_base=c.url)
    assert answer.choices[0].message.content == c.litellm().choices[0].message.content


@check
def litellm_embeds(c):
    answer = litellm.embedding(
        model=f"openai/{c.embedding}", input=["The cat sleeps."], api_base=c.api, api_key=KEY
    )
    assert len(answer.data[0]["embedding"]) == 384


@check
def litellm_reranks(c):
    if c.rerank_url is None:
        return
    answer = litellm.rerank(
        model="huggingface/reranker",
        query="w5",
        documents=["w6", "w7"],
        api_base=c.rerank_url,
        api_key=KEY,
    )
    assert {result["index"] for result in answer.results} == {0, 1}


@check
def refusals_come_through(c):
    error = raises(litellm.BadRequestError, lambda: c.litellm(temperature=9))
    assert "temperature" in str(error), error
    raises(litellm.NotFoundError, lambda: c.litellm(model="openai/none"))


if __name__ == "__main__":
    main(__doc__, Context, ["--url", "--chat-model", "--embedding-model"], {"--rerank-url": None})
