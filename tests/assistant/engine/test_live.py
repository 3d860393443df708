import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from assistant.engine.adapter_files import MANIFEST, WEIGHTS, Adapter, verify_adapter
from assistant.engine.adapter_slots import AdapterSlots
from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.limits import EngineLimits
from assistant.engine.live import LiveAssistant, make_bare_release
from assistant.engine.rendering import count_prompt_tokens
from assistant.engine.reply import FinishReason, Reply, Sampling
from assistant.errors import (
    AdapterCorruptError,
    AdapterRefusedError,
    AssistantClosedError,
    ContextFullError,
    GenerationError,
    NoMemoryError,
    NothingServedError,
    QueueFullError,
    ReleaseMismatchError,
    ReleaseNotLoadedError,
)
from assistant.prompt import build_messages
from feedback_db.files import hash_file
from tests.random_adapters import describe_release

HI = build_messages(None, [], "hi")
SHORT = Sampling(max_tokens=12)
MakeAdapter = Callable[..., Path]


@pytest.fixture
def base(tiny_base: Path) -> BaseModel:
    return load_base_model(tiny_base, device="cpu")


@pytest.fixture
def live(base: BaseModel) -> Iterator[LiveAssistant]:
    with LiveAssistant(base) as assistant:
        assistant.swap_to(make_bare_release(base))
        yield assistant


def read(reply: Reply) -> str:
    return "".join(reply)


def test_a_reply_comes_in_pieces(bundled_base: BaseModel) -> None:
    with LiveAssistant(bundled_base) as live:
        live.swap_to(make_bare_release(bundled_base))
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


def test_before_the_first_swap_nothing_is_served(base: BaseModel) -> None:
    with LiveAssistant(base) as live:
        assert (live.status().version, live.status().loaded) == (None, ())
        for version in (None, 0):
            with pytest.raises(NothingServedError, match="Expected a release that is served"):
                live.stream(HI, SHORT, version=version)


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
    live.swap_to(describe_release(live.base, 1, make_adapter(tmp_path / "one", live.base, seed=1)))
    first = live.stream(HI, SHORT)
    assert (first.version, read(first)) != (0, before)
    live.swap_to(describe_release(live.base, 2, make_adapter(tmp_path / "two", live.base, seed=2)))
    second = read(live.stream(HI, SHORT))
    live.swap_to(make_bare_release(live.base))
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
    swap = threading.Thread(target=live.swap_to, args=[describe_release(live.base, 1, folder)])
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
        live.swap_to(describe_release(live.base, 1, cut))
    endless = make_adapter(tmp_path / "endless", live.base, seed=1, scale=1e30)
    with pytest.raises(AdapterRefusedError, match="its numbers are not finite"):
        live.swap_to(describe_release(live.base, 2, endless))
    assert read(live.stream(HI, SHORT)) == before
    assert live.status().loaded == (0,)
    with pytest.raises(ReleaseNotLoadedError, match=r"Expected one of the loaded releases 0\. Found 2"):
        live.stream(HI, SHORT, version=2)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"revision": "def"}, "Expected the base revision of release 7: def. Found "),
        ({"quantisation": "none"}, "Expected the quantisation of release 7: none. Found nf4. Start Errata with the base"),
        ({"template_hash": "t"}, "Expected the chat template of release 7: t. Found "),
        (
            {"adapter_hash": "a"},
            "Expected the adapter of release 7: a. Found none. Start Errata with the base of that release, restore its",
        ),
    ],
)
def test_a_bare_release_that_is_not_of_the_loaded_base_is_refused(live: LiveAssistant, other: dict[str, str], sentence: str) -> None:
    with pytest.raises(ReleaseMismatchError, match=sentence):
        live.swap_to(replace(make_bare_release(live.base, 7), **other))  # type: ignore[arg-type]
    assert (live.status().version, live.status().loaded) == (0, (0,))


def test_an_adapter_that_is_not_the_one_of_the_release_is_refused(live: LiveAssistant, make_adapter: MakeAdapter, tmp_path: Path) -> None:
    one = describe_release(live.base, 1, make_adapter(tmp_path / "one", live.base, seed=1))
    exchanged = replace(one, adapter=make_adapter(tmp_path / "two", live.base, seed=2))
    for wrong in (exchanged, replace(one, adapter_hash=None), replace(one, adapter=None)):
        with pytest.raises(ReleaseMismatchError, match="Expected the adapter of release 1"):
            live.swap_to(wrong)
    assert live.status().loaded == (0,)


def spoil(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
    """Change an adapter's tensors and have its manifest agree."""
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][WEIGHTS] = hash_file(folder / WEIGHTS)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def rename_layers(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (rename_layers("layers.1.", "layers.9."), r"it adapts model.layers.9.mlp.down_proj, which is no linear layer of the base"),
        (rename_layers("v_proj", "rotary"), "rotary, which is no linear layer of the base"),
        (rename_layers("mlp.down_proj", "mlp.up_proj"), r"up_proj of size \(128, 64\), and the base's is of size \(64, 128\)"),
    ],
)
def test_a_first_adapter_that_fits_other_layers_is_refused_and_the_base_stays_as_it_was(
    live: LiveAssistant,
    make_adapter: MakeAdapter,
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    sentence: str,
) -> None:
    before = read(live.stream(HI, SHORT))
    folder = spoil(make_adapter(tmp_path / "one", live.base, seed=1), change)
    with pytest.raises(AdapterRefusedError, match=sentence):
        live.swap_to(describe_release(live.base, 1, folder))
    assert read(live.stream(HI, SHORT)) == before


@pytest.mark.parametrize(
    ("method", "error", "expected"),
    [
        ("write", torch.OutOfMemoryError("CUDA out of memory."), NoMemoryError),
        ("make_room", RuntimeError("no luck"), AdapterRefusedError),
        ("forward", torch.OutOfMemoryError("CUDA out of memory."), NoMemoryError),
        ("forward", RuntimeError("no luck"), GenerationError),  # the base fails alone, too: not the adapter's fault
    ],
)
def test_a_first_adapter_that_fails_half_way_leaves_the_base_as_it_was(
    method: str,
    error: Exception,
    expected: type[Exception],
    live: LiveAssistant,
    make_adapter: MakeAdapter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, modules = read(live.stream(HI, SHORT)), list(live.base.model.modules())
    one = describe_release(live.base, 1, make_adapter(tmp_path / "one", live.base, seed=1))

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(live.base.model.lm_head if method == "forward" else AdapterSlots, method, fail)
        with pytest.raises(expected):
            live.swap_to(one)
    assert list(live.base.model.modules()) == modules
    assert read(live.stream(HI, SHORT)) == before
    live.swap_to(one)
    assert read(live.stream(HI, SHORT)) != before


def test_what_is_served_is_what_was_verified_whatever_becomes_of_the_folder(
    live: LiveAssistant, make_adapter: MakeAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = describe_release(live.base, 1, make_adapter(tmp_path / "one", live.base, seed=1))
    live.swap_to(one)
    said = read(live.stream(HI, SHORT))
    live.swap_to(make_bare_release(live.base))

    def exchange_afterwards(folder: Path, *, revision: str | None = None) -> Adapter:
        verified = verify_adapter(folder, revision=revision)
        shutil.rmtree(folder)
        make_adapter(folder, live.base, seed=2)
        return verified

    monkeypatch.setattr("assistant.engine.live.verify_adapter", exchange_afterwards)
    live.swap_to(one)
    assert read(live.stream(HI, SHORT)) == said


def test_files_that_do_not_fit_into_memory_are_a_sentence(
    live: LiveAssistant, make_adapter: MakeAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("assistant.engine.live.verify_adapter", fail)
    with pytest.raises(NoMemoryError, match="Expected enough memory on cpu for an adapter"):
        live.swap_to(describe_release(live.base, 1, make_adapter(tmp_path / "one", live.base, seed=1)))


def test_a_base_whose_numbers_are_not_finite_is_not_served(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base.model.lm_head, "forward", lambda hidden: hidden @ torch.full((64, 8), torch.nan, dtype=hidden.dtype))
    with pytest.raises(GenerationError, match="its numbers are not finite"):
        LiveAssistant(base)


def test_as_many_adapters_as_there_are_slots_stay_and_an_older_one_is_loaded_again_when_it_is_asked_for(
    live: LiveAssistant, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    said = ""
    for version in range(1, 9):
        live.swap_to(describe_release(live.base, version, make_adapter(tmp_path / str(version), live.base, seed=version)))
        said = read(live.stream(HI, SHORT)) if version == 1 else said
    assert live.status().loaded == (0, 3, 4, 5, 6, 7, 8)  # the bare base takes no slot
    assert read(live.stream(HI, SHORT, version=1)) == said
    assert live.status().loaded == (0, 1, 4, 5, 6, 7, 8)
    assert live.status().version == 8


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
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(live.base.model.lm_head, "forward", fail)
        reply = live.stream(HI, SHORT)
        with pytest.raises(expected, match=sentence):
            read(reply)
    assert reply.outcome is not None
    assert reply.outcome.finish is FinishReason.FAILED
    assert read(live.stream(HI, SHORT))


def test_a_closed_assistant_ends_its_replies_and_takes_no_more(base: BaseModel) -> None:
    live = LiveAssistant(base)
    live.swap_to(make_bare_release(base))
    replies = [live.stream(HI, Sampling(max_tokens=200)) for _ in range(3)]
    live.close()
    live.close()
    assert all(reply.outcome is not None for reply in replies)
    with pytest.raises(AssistantClosedError):
        live.stream(HI, SHORT)


def test_a_rollback_waits_for_no_adapter_that_is_being_loaded(
    live: LiveAssistant, make_adapter: MakeAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (describe_release(live.base, seed, make_adapter(tmp_path / str(seed), live.base, seed=seed)) for seed in (1, 2))
    live.swap_to(one)
    begun, may_go_on = threading.Event(), threading.Event()

    def read_slowly(folder: Path, *, revision: str | None = None) -> Adapter:
        begun.set()
        may_go_on.wait()
        return verify_adapter(folder, revision=revision)

    monkeypatch.setattr("assistant.engine.live.verify_adapter", read_slowly)
    load = threading.Thread(target=live.load, args=[two])
    rollback = threading.Thread(target=live.swap_to, args=[make_bare_release(live.base)])
    load.start()
    begun.wait()
    rollback.start()
    rollback.join(timeout=5)
    waited = rollback.is_alive()
    may_go_on.set()
    load.join()
    rollback.join()
    assert not waited
    assert (live.status().version, live.status().loaded) == (0, (0, 1, 2))


def test_a_version_is_one_adapter_for_ever_wherever_its_folder_lies(live: LiveAssistant, make_adapter: MakeAdapter, tmp_path: Path) -> None:
    one = describe_release(live.base, 1, make_adapter(tmp_path / "one", live.base, seed=1))
    other = describe_release(live.base, 1, make_adapter(tmp_path / "other", live.base, seed=2))
    live.swap_to(one)
    said, free = read(live.stream(HI, SHORT)), list(live._releases._free)
    with pytest.raises(ReleaseMismatchError, match="Expected the adapter of release 1"):
        live.swap_to(other)
    moved = replace(one, adapter=shutil.copytree(tmp_path / "one", tmp_path / "moved"))
    live.swap_to(moved)
    assert read(live.stream(HI, SHORT)) == said
    assert live._releases._free == free


def test_what_cannot_be_asked_for_keeps_no_slot(live: LiveAssistant) -> None:
    with pytest.raises(TypeError):
        live.stream(HI, SHORT, stop=5)  # type: ignore[arg-type]
    assert live._releases._users == {}


def test_many_who_ask_at_one_moment_do_not_get_past_the_end_of_the_queue(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with LiveAssistant(base, EngineLimits(rows=1, waiting=2)) as live:
        live.swap_to(make_bare_release(base))
        together, pin = threading.Barrier(8), live._pin
        monkeypatch.setattr(live, "_pin", lambda version: (together.wait(), pin(version))[1])
        replies: list[Reply] = []
        counted: list[int] = []

        def ask() -> None:
            with suppress(QueueFullError):
                replies.append(live.stream(HI, Sampling(max_tokens=200)))
                counted.append(len(live._replies))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for reply in replies:
            read(reply)
        assert max(counted) <= 3
        assert live._releases._users == {}


def test_an_adapter_that_waits_for_a_slot_gets_it_though_new_replies_ask_for_the_one_that_lies_there(
    base: BaseModel, make_adapter: MakeAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LiveAssistant(base, EngineLimits(slots=2)) as live:
        live.swap_to(make_bare_release(base))
        releases = [describe_release(base, seed, make_adapter(tmp_path / str(seed), base, seed=seed)) for seed in (1, 2, 3)]
        for release in releases[:2]:
            live.load(release)
            live._pin(release.version)  # as a reply does
        waits, wait = threading.Event(), live._changed.wait
        monkeypatch.setattr(live._changed, "wait", lambda: (waits.set(), wait())[1])
        swap = threading.Thread(target=live.swap_to, args=[releases[2]], daemon=True)
        swap.start()
        waits.wait()
        later = threading.Thread(target=live._pin, args=[1])
        later.start()
        later.join(timeout=0.2)
        with live._changed:
            live._releases.unpin(1)
            live._changed.notify_all()
        swap.join(timeout=10)
        assert live.status().version == 3
        with live._changed:
            live._releases.unpin(2)
            live._changed.notify_all()
        later.join()
        assert live.status().loaded == (0, 1, 3)
