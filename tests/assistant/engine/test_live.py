from pathlib import Path
from typing import Any

import pytest
import torch

from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.live import context_tokens, count_prompt_tokens, stream_reply
from assistant.errors import ContextFullError, GenerationError, NoMemoryError
from assistant.prompt import build_messages


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> BaseModel:
    return load_base_model(tiny_base)


def record_lengths(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the length in tokens, prompt and reply together, of what the base generates: a reply's text does not tell it."""
    lengths: list[int] = []
    generate = base.model.generate

    def record(**arguments: Any) -> None:
        lengths.append(generate(**arguments).shape[1])

    monkeypatch.setattr(base.model, "generate", record)
    return lengths


def test_a_reply_comes_in_pieces(bundled_base: BaseModel) -> None:
    pieces = list(stream_reply(bundled_base, build_messages(None, [], "how do i reset my password?"), max_tokens=60))
    assert len(pieces) > 3
    assert "password" in "".join(pieces)


def test_a_reply_keeps_to_its_token_limit(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = record_lengths(base, monkeypatch)
    messages = build_messages(None, [], "hi")
    list(stream_reply(base, messages, max_tokens=3))
    assert 0 < lengths[0] - count_prompt_tokens(base, messages) <= 3


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


def test_a_reply_never_leaves_the_context(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = record_lengths(base, monkeypatch)
    messages = build_messages(None, [], "hi " * 120)
    assert 0 < context_tokens(base) - count_prompt_tokens(base, messages) < 200
    list(stream_reply(base, messages, max_tokens=1000))
    assert lengths[0] <= context_tokens(base)


@pytest.mark.parametrize(
    ("error", "expected", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), NoMemoryError, "Expected enough memory on cpu for a reply"),
        (RuntimeError("index out of range"), GenerationError, "it failed .index out of range."),
    ],
)
def test_a_failure_in_the_middle_of_a_reply_is_a_sentence(
    error: Exception, expected: type[Exception], sentence: str, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise error

    base = load_base_model(tiny_base, device="cpu")
    monkeypatch.setattr(base.model, "generate", fail)
    with pytest.raises(expected, match=sentence):
        list(stream_reply(base, build_messages(None, [], "hi"), max_tokens=5))
