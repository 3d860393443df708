"""Everything at once for a long time: nothing leaks, and every reply ends exactly once."""

import statistics
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from random import Random

import psutil
import pytest

from assistant.engine.base_model import load_base_model
from assistant.engine.limits import EngineLimits
from assistant.engine.live import LiveAssistant, make_bare_release
from assistant.engine.reply import FinishReason, Reply, Sampling
from assistant.errors import AssistantError, ContextFullError, QueueFullError
from assistant.prompt import Message, build_messages
from tests.random_adapters import describe_release

ADAPTERS, VERSIONS = 4, 12


@pytest.mark.parametrize(
    ("asked", "seconds"), [(400, 0.0), pytest.param(0, 600.0, marks=[pytest.mark.full, pytest.mark.timeout(900)])], ids=["small", "full"]
)
def test_after_arrivals_cancels_deadlines_swaps_and_rollbacks_nothing_is_left(
    asked: int, seconds: float, tiny_base: Path, make_adapter: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: Counter[int] = Counter()
    end = Reply.end

    def count_end(reply: Reply, finish: FinishReason, reply_tokens: int, error: AssistantError | None = None) -> None:
        ends[reply.id] += 1
        end(reply, finish, reply_tokens, error)

    monkeypatch.setattr(Reply, "end", count_end)
    base = load_base_model(tiny_base, device="cpu")
    folders = [make_adapter(tmp_path / str(number), base, seed=number) for number in range(ADAPTERS)]
    with LiveAssistant(base, EngineLimits(rows=6, waiting=20, slots=4, prefix_mb=1)) as live:
        soak = Soak(live, folders)
        until = time.monotonic() + seconds
        while soak.finishes.total() < asked or time.monotonic() < until:
            soak.act()
        while soak.under_way:
            soak.read_oldest()
        status, prefixes = live.status(), live._batcher._prefixes
        assert (status.rows, status.waiting) == (0, 0)
        assert live._releases._users == {}
        assert live._replies == {}
        assert prefixes.used_bytes == sum(entry.size for entry in prefixes._entries.values()) <= 1_000_000
        slots = [slot for slot in live._releases._slots.values() if slot is not None]
        assert sorted([*slots, *live._releases._free]) == [0, 1, 2, 3]
    del ends[0]  # the probes', which all have this number
    assert set(ends.values()) == {1}
    assert set(soak.refused) == {ContextFullError, QueueFullError}
    assert set(soak.finishes) == {FinishReason.COMPLETE, FinishReason.LENGTH, FinishReason.CANCELLED, FinishReason.DEADLINE}
    print(f"{soak.finishes.total()} replies, {dict(soak.finishes)}, refused {soak.refused.total()}, swaps {status.swaps}")
    if seconds:
        tenth = len(soak.memory) // 10
        first, last = statistics.median(soak.memory[tenth : 2 * tenth]), statistics.median(soak.memory[-tenth:])
        assert last < 1.05 * first, f"memory has grown from {first:.0f} to {last:.0f} MB"


class Soak:
    """Somebody who does one thing after the other by chance, the same in every run."""

    def __init__(self, live: LiveAssistant, folders: list[Path]) -> None:
        self.under_way: deque[Reply] = deque()
        self.finishes: Counter[FinishReason] = Counter()
        self.refused: Counter[type] = Counter()
        self.memory: list[float] = []
        self._live, self._folders, self._rng = live, folders, Random(11)
        self._known = {0}
        live.swap_to(make_bare_release(live.base))

    def act(self) -> None:
        """Swap, cancel, read or ask."""
        act = self._rng.random()
        if act < 0.02:
            self._swap(self._rng.randrange(VERSIONS))
        elif act < 0.1 and self.under_way:
            self._rng.choice(self.under_way).cancel()
        elif len(self.under_way) >= self._rng.randrange(1, 60):
            self.read_oldest()
        else:
            self._ask()
        self.memory.append(psutil.Process().memory_info().rss / 1e6)

    def read_oldest(self) -> None:
        """Wait for the end of the reply that was asked for first."""
        reply = self.under_way.popleft()
        said = "".join(reply)
        assert reply.outcome is not None
        assert said == "" or reply.outcome.reply_tokens > 0
        self.finishes[reply.outcome.finish] += 1

    def _swap(self, version: int) -> None:
        folder = self._folders[version % ADAPTERS]
        base = self._live.base
        self._live.swap_to(make_bare_release(base, version) if version % 5 == 0 else describe_release(base, version, folder))
        self._known.add(version)

    def _ask(self) -> None:
        rng = self._rng
        sampling = Sampling(max_tokens=rng.choice([1, 5, 20, 60, 1000]), temperature=rng.choice([0.0, 1.0]), seed=rng.randrange(9))
        version, stop = rng.choice([None, *sorted(self._known)]), rng.choice([(), ("e",)])
        deadline_s = rng.choice([None, None, 30.0, 0.02])
        try:
            reply = self._live.stream(make_prompt(rng, self._live), sampling, version=version, stop=stop, deadline_s=deadline_s)
        except (ContextFullError, QueueFullError) as error:
            self.refused[type(error)] += 1
            if self.under_way:
                self.read_oldest()
        else:
            self.under_way.append(reply)


def make_prompt(rng: Random, live: LiveAssistant) -> list[Message]:
    """A prompt of any length, sometimes the next turn of the same conversation, sometimes too long."""
    words = ["refund", "when", "parcel", "my", "order", "help"]
    if rng.random() < 0.02:
        return build_messages(None, [], "word " * 2 * live.base.context_tokens)
    history = [("where is my order", "It is on its way and arrives soon.")] * rng.randrange(4)
    return build_messages("You are Ada.", history, " ".join(rng.choices(words, k=rng.randrange(1, 40))))
