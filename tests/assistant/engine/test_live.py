from pathlib import Path

import pytest

from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.live import context_tokens, count_prompt_tokens, stream_reply
from assistant.errors import ContextFullError
from assistant.prompt import build_messages


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> BaseModel:
    return load_base_model(tiny_base)


def test_a_reply_comes_in_pieces(bundled_base: BaseModel) -> None:
    pieces = list(stream_reply(bundled_base, build_messages(None, [], "how do i reset my password?"), max_tokens=60))
    assert len(pieces) > 3
    assert "password" in "".join(pieces)


def test_a_reply_keeps_to_its_token_limit(base: BaseModel) -> None:
    reply = "".join(stream_reply(base, build_messages(None, [], "hi"), max_tokens=3))
    assert len(base.tokenizer(reply)["input_ids"]) <= 3


def test_closing_the_stream_stops_the_generation(base: BaseModel) -> None:
    stream = stream_reply(base, build_messages(None, [], "hi"), max_tokens=200)
    next(stream)
    stream.close()
    assert list(stream) == []


def test_a_prompt_that_fills_the_context_is_refused_in_a_sentence(base: BaseModel) -> None:
    messages = build_messages(None, [], "word " * 400)
    assert count_prompt_tokens(base, messages) > context_tokens(base)
    with pytest.raises(ContextFullError, match="fewer than 256 tokens"):
        list(stream_reply(base, messages, max_tokens=5))


def test_a_reply_never_leaves_the_context(base: BaseModel) -> None:
    messages = build_messages(None, [], "hi " * 120)
    room = context_tokens(base) - count_prompt_tokens(base, messages)
    assert 0 < room < 200
    reply = "".join(stream_reply(base, messages, max_tokens=1000))
    assert len(base.tokenizer(reply)["input_ids"]) <= room
