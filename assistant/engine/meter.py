"""What the engine has done lately, for whoever runs it. Written by the engine's thread and read by others."""

import statistics
import time
from collections import deque

_LATELY_S = 10.0


class Meter:
    """Counts tokens, swaps and times."""

    def __init__(self) -> None:
        self.swaps = 0
        self.publish_ms = 0.0  # the last release: its adapter into a slot, and the slot to whoever asks
        self._steps: deque[tuple[float, int]] = deque(maxlen=10_000)  # when, and how many tokens
        self._first_token_ms: deque[int] = deque(maxlen=100)
        self._latency_s: deque[float] = deque(maxlen=100)

    def note_swap(self, publish_s: float) -> None:
        """A release has been published: written into a slot, and made the live one."""
        self.swaps += 1
        self.publish_ms = publish_s * 1000

    def count_tokens(self, tokens: int) -> None:
        """A step has written so many tokens."""
        if tokens:
            self._steps.append((time.monotonic(), tokens))

    def note_reply(self, first_token_ms: int | None, latency_ms: int) -> None:
        """A reply has ended."""
        self._latency_s.append(latency_ms / 1000)
        if first_token_ms is not None:
            self._first_token_ms.append(first_token_ms)

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
