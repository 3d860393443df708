"""What the engine has done lately, for whoever runs it. Written by the engine's thread and read by others."""

import statistics
import time
from collections import Counter, deque
from dataclasses import dataclass

from assistant.engine.reply import Outcome

_LATELY_S = 10.0
FIRST_TOKEN_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What was done since the start: replies by how they ended, tokens of their prompts and of themselves, and swaps.

    `first_token_counts` says how many had their first token within each of `FIRST_TOKEN_BOUNDS_S`, `first_tokens` how many had one at all,
    and `first_token_s` how many seconds they took together.
    """

    replies: dict[str, int]
    prompt_tokens: int
    reply_tokens: int
    first_token_counts: tuple[int, ...]
    first_tokens: int
    first_token_s: float
    swaps: int


class Meter:
    """Counts tokens, swaps and times."""

    def __init__(self) -> None:
        self.swaps = 0
        self.publish_ms = 0.0  # the last release: its adapter into a slot, and the slot to whoever asks
        self._steps: deque[tuple[float, int]] = deque(maxlen=10_000)  # when, and how many tokens
        self._first_token_ms: deque[int] = deque(maxlen=100)
        self._latency_s: deque[float] = deque(maxlen=100)
        self._replies: Counter[str] = Counter()
        self._prompt_tokens = self._reply_tokens = self._first_tokens = 0
        self._first_token_s = 0.0
        self._first_token_counts = [0] * len(FIRST_TOKEN_BOUNDS_S)

    def note_swap(self, publish_s: float) -> None:
        """A release has been published: written into a slot, and made the live one."""
        self.swaps += 1
        self.publish_ms = publish_s * 1000

    def count_tokens(self, tokens: int) -> None:
        """A step has written so many tokens."""
        if tokens:
            self._steps.append((time.monotonic(), tokens))

    def note_reply(self, outcome: Outcome) -> None:
        """A reply has ended."""
        self._latency_s.append(outcome.latency_ms / 1000)
        self._replies[outcome.finish] += 1
        self._prompt_tokens += outcome.prompt_tokens
        self._reply_tokens += outcome.reply_tokens
        if outcome.first_token_ms is not None:
            self._first_token_ms.append(outcome.first_token_ms)
            self._first_tokens += 1
            self._first_token_s += outcome.first_token_ms / 1000
            for place, bound_s in enumerate(FIRST_TOKEN_BOUNDS_S):
                self._first_token_counts[place] += outcome.first_token_ms <= bound_s * 1000

    def totals(self) -> Totals:
        """Return what was done since the start."""
        return Totals(
            replies=dict(self._replies),
            prompt_tokens=self._prompt_tokens,
            reply_tokens=self._reply_tokens,
            first_token_counts=tuple(self._first_token_counts),
            first_tokens=self._first_tokens,
            first_token_s=self._first_token_s,
            swaps=self.swaps,
        )

    def tokens_a_second(self) -> float:
        """Return the tokens a second of the last ten seconds."""
        since = time.monotonic() - _LATELY_S
        return sum(tokens for at, tokens in list(self._steps) if at > since) / _LATELY_S

    def first_token_ms(self) -> float | None:
        """Return the median time to the first token of the last hundred replies, None before the first."""
        times = list(self._first_token_ms)
        return statistics.median(times) if times else None

    def estimate_wait_s(self, waiting: int, rows: int) -> int:
        """Return after how many seconds somebody who waits behind so many replies may expect a place, at least one."""
        latency = statistics.fmean(self._latency_s) if self._latency_s else 1.0
        return max(1, round(latency * max(0, waiting - rows) / rows))
