import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from assistant.engine.adapter_files import WEIGHTS
from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.live import LiveAssistant, ServedRelease
from assistant.engine.rendering import count_prompt_tokens
from assistant.engine.reply import FinishReason, Reply, Sampling
from assistant.errors import (
    AdapterCorruptError,
    AdapterRefusedError,
    AssistantClosedError,
    ContextFullError,
    GenerationError,
    NoMemoryError,
    ReleaseNotLoadedError,
)
from assistant.prompt import build_messages

HI = build_messages(None, [], "hi")
SHORT = Sampling(max_tokens=12)
MakeAdapter = Callable[..., Path]


@pytest.fixture
def base(tiny_base: Path) -> BaseModel:
    return load_base_model(tiny_base, device="cpu")


@pytest.fixture
def live(base: BaseModel) -> Iterator[LiveAssistant]:
    with LiveAssistant(base) as assistant:
        yield assistant


def read(reply: Reply) -> str:
    return "".join(reply)


def test_a_reply_comes_in_pieces(bundled_base: BaseModel) -> None:
    with LiveAssistant(bundled_base) as live:
        pieces = list(live.stream(build_messages(None, [], "how do i reset my password?"), Sampling(max_tokens=60)))
    assert len(pieces) > 3
    assert "password" in "".join(pieces)


def test_a_reply_tells_how_it_went(live: LiveAssistant) -> None:
    reply = live.stream(HI, SHORT)
    read(reply)
    assert reply.outcome is not None
    assert reply.version == 0
    assert reply.outcome.prompt_tokens == count_prompt_tokens(live.base.tokenizer, HI)
    assert 0 < reply.outcome.reply_tokens <= 12
    assert reply.outcome.finish in {FinishReason.COMPLETE, FinishReason.LENGTH}
    assert reply.outcome.first_token_ms is not None
    assert reply.outcome.first_token_ms <= reply.outcome.latency_ms


def test_a_cancelled_reply_ends_and_keeps_what_it_has_said(live: LiveAssistant) -> None:
    reply = live.stream(HI, Sampling(max_tokens=200))
    first = next(reply)
    live.cancel(reply.id)
    text = first + read(reply)
    assert reply.outcome is not None
    assert reply.outcome.finish is FinishReason.CANCELLED
    assert text


def test_a_reply_that_is_late_ends(live: LiveAssistant) -> None:
    reply = live.stream(HI, Sampling(max_tokens=200), deadline_s=0.0)
    read(reply)
    assert reply.outcome is not None
    assert reply.outcome.finish is FinishReason.DEADLINE


def test_a_prompt_that_fills_the_context_is_refused_in_a_sentence(live: LiveAssistant) -> None:
    with pytest.raises(ContextFullError, match="fewer than 256 tokens"):
        live.stream(build_messages(None, [], "word " * 400), SHORT)


def test_a_reply_never_leaves_the_context(live: LiveAssistant) -> None:
    reply = live.stream(build_messages(None, [], "hi " * 120), Sampling(max_tokens=1000))
    read(reply)
    assert reply.outcome is not None
    assert reply.outcome.prompt_tokens + reply.outcome.reply_tokens <= live.base.context_tokens


def test_the_same_seed_samples_the_same_reply(live: LiveAssistant) -> None:
    replies = [read(live.stream(HI, Sampling(max_tokens=12, temperature=1.0, seed=seed))) for seed in (1, 1, 2)]
    assert replies[0] == replies[1] != replies[2]


def test_a_swapped_release_writes_what_its_adapter_says_and_the_old_one_comes_back_exactly(
    live: LiveAssistant, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    before = read(live.stream(HI, SHORT))
    live.swap_to(ServedRelease(version=1, adapter=make_adapter(tmp_path / "one", live.base, seed=1)))
    first = live.stream(HI, SHORT)
    assert (first.version, read(first)) != (0, before)
    live.swap_to(ServedRelease(version=2, adapter=make_adapter(tmp_path / "two", live.base, seed=2)))
    second = read(live.stream(HI, SHORT))
    live.swap_to(ServedRelease(version=0, adapter=None))
    assert read(live.stream(HI, SHORT)) == before
    assert read(live.stream(HI, SHORT, version=2)) == second
    assert live.status().version == 0


def test_replies_in_flight_keep_their_release_from_first_token_to_last(
    live: LiveAssistant, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    asked = Sampling(max_tokens=40)
    folder = make_adapter(tmp_path / "one", live.base, seed=1)
    alone = read(live.stream(HI, asked))
    flying = [live.stream(HI, asked) for _ in range(4)]
    swap = threading.Thread(target=live.swap_to, args=[ServedRelease(version=1, adapter=folder)])
    swap.start()
    assert [read(reply) for reply in flying] == [alone] * 4
    swap.join()
    later = live.stream(HI, asked)
    assert (later.version, [reply.version for reply in flying]) == (1, [0] * 4)
    assert read(later) != alone


def test_a_refused_release_leaves_the_old_one_serving(live: LiveAssistant, make_adapter: MakeAdapter, tmp_path: Path) -> None:
    before = read(live.stream(HI, SHORT))
    cut = make_adapter(tmp_path / "cut", live.base, seed=1)
    (cut / WEIGHTS).write_bytes((cut / WEIGHTS).read_bytes()[:100])
    with pytest.raises(AdapterCorruptError):
        live.swap_to(ServedRelease(version=1, adapter=cut))
    endless = make_adapter(tmp_path / "endless", live.base, seed=1, scale=1e30)
    with pytest.raises(AdapterRefusedError, match="its probe reply is made of numbers that are not finite"):
        live.swap_to(ServedRelease(version=2, adapter=endless))
    assert read(live.stream(HI, SHORT)) == before
    assert live.status().loaded == (0,)
    with pytest.raises(ReleaseNotLoadedError, match=r"Expected one of the loaded releases 0\. Found 2"):
        live.stream(HI, SHORT, version=2)


def test_old_releases_are_let_go_and_the_live_one_and_the_base_stay(live: LiveAssistant, make_adapter: MakeAdapter, tmp_path: Path) -> None:
    for version in range(1, 9):
        live.swap_to(ServedRelease(version=version, adapter=make_adapter(tmp_path / str(version), live.base, seed=version)))
    assert live.status().loaded == (0, 4, 5, 6, 7, 8)


@pytest.mark.parametrize(
    ("error", "expected", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), NoMemoryError, "Expected enough memory on cpu for a reply"),
        (RuntimeError("index out of range"), GenerationError, "it failed .index out of range."),
    ],
)
def test_a_failure_in_the_middle_of_a_reply_is_a_sentence_and_the_next_reply_is_written(
    error: Exception, expected: type[Exception], sentence: str, live: LiveAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(live.base.model, "generate", fail)
        reply = live.stream(HI, SHORT)
        with pytest.raises(expected, match=sentence):
            read(reply)
    assert reply.outcome is not None
    assert reply.outcome.finish is FinishReason.FAILED
    assert read(live.stream(HI, SHORT))


def test_a_closed_assistant_ends_its_replies_and_takes_no_more(base: BaseModel) -> None:
    live = LiveAssistant(base)
    replies = [live.stream(HI, Sampling(max_tokens=200)) for _ in range(3)]
    live.close()
    live.close()
    assert all(reply.outcome is not None for reply in replies)
    with pytest.raises(AssistantClosedError):
        live.stream(HI, SHORT)
