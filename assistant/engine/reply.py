"""A reply while it is written: how its tokens are chosen, its pieces, how it ended. Knows no model and no torch.

Whoever writes it puts pieces in and ends it; whoever asked for it iterates over them, and may cancel it.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from queue import Empty, SimpleQueue
from threading import Event, Lock

from assistant.errors import AssistantError, SamplingError

# What each number of a sampling may be, the least and the most; None is no bound.
_BOUNDS: dict[str, tuple[float, float | None]] = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, None),
    "repetition_penalty": (0.01, 100.0),
    "max_tokens": (1, None),
}
_WHOLE = ("top_k", "max_tokens", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen; temperature 0 takes the likeliest. `max_tokens` bounds the reply.

    Of the likeliest tokens `top_k` are drawn from (0: all), and of these as many as have `top_p` of the chances together. A
    `repetition_penalty` over 1 makes what was said already less likely.

    Raises:
        SamplingError: a number is none, or out of its bounds.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    max_tokens: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what nobody can choose by: it would spoil the pass that all replies share."""
        for name in _WHOLE:
            if type(getattr(self, name)) is not int:
                raise SamplingError(name, "a whole number", getattr(self, name))
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if type(value) not in {int, float} or not least <= value <= (math.inf if most is None else most):
                raise SamplingError(name, f"a number from {least} {'on' if most is None else f'to {most}'}", value)


class FinishReason(StrEnum):
    """Why a reply ended."""

    COMPLETE = "complete"
    LENGTH = "length"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a reply went: tokens of the rendered prompt and of the reply; times in milliseconds since it was asked for.

    `first_token_ms` is None where no text came.
    """

    finish: FinishReason
    prompt_tokens: int
    reply_tokens: int
    first_token_ms: int | None
    latency_ms: int


class Reply(Iterator[str]):
    """A reply being written: iterate over its pieces, or take what is there. `version` is set from the start, `outcome` at the end."""

    def __init__(self, reply_id: int, version: int, sampling: Sampling, prompt_tokens: int, deadline_s: float | None) -> None:
        self.id, self.version, self.sampling, self.prompt_tokens = reply_id, version, sampling, prompt_tokens
        self.outcome: Outcome | None = None
        self._pieces: SimpleQueue[str | None] = SimpleQueue()
        self._error: AssistantError | None = None
        self._cancelled = Event()
        self._wake: Callable[[], None] | None = None
        self._waking = Lock()
        self._asked_at = time.monotonic()
        self._deadline = None if deadline_s is None else self._asked_at + deadline_s
        self.first_token_ms: int | None = None

    def __next__(self) -> str:
        """Return the next piece of text.

        Raises:
            NoMemoryError, GenerationError, AssistantClosedError: the reply failed; the pieces so far are what there is.
        """
        piece = self._pieces.get()
        if piece is not None:
            return piece
        self._pieces.put(None)  # for whoever else waits, or asks again
        raise self._error or StopIteration

    def take(self) -> str:
        """Return the text that has come and was not read yet, perhaps none; never waits. Whether more comes, iterating tells."""
        taken: list[str] = []
        with suppress(Empty):
            while (piece := self._pieces.get_nowait()) is not None:
                taken.append(piece)
            self._pieces.put(None)
        return "".join(taken)

    def wake_once(self, wake: Callable[[], None]) -> None:
        """Have something called once there is more to read, or the reply has ended: at once, where that is so already.

        It is called by the engine's thread, and must be quick.
        """
        with self._waking:
            if self._pieces.empty():
                self._wake = wake
                return
        wake()

    def cancel(self) -> None:
        """End the reply after the token that is being computed."""
        self._cancelled.set()

    def put(self, piece: str) -> None:
        """Add a piece; called by the engine."""
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms
        self._add(piece)

    def end(self, finish: FinishReason, reply_tokens: int, error: AssistantError | None = None) -> None:
        """Close the reply; called by the engine."""
        self._error = error
        self.outcome = self.measure(finish, reply_tokens)
        self._add(None)

    def measure(self, finish: FinishReason, reply_tokens: int) -> Outcome:
        """Return how the reply went if it ends now."""
        return Outcome(
            finish=finish,
            prompt_tokens=self.prompt_tokens,
            reply_tokens=reply_tokens,
            first_token_ms=self.first_token_ms,
            latency_ms=self.elapsed_ms,
        )

    def why_stop(self) -> FinishReason | None:
        """Say why the reply must end before its last token, None while it need not."""
        if self._cancelled.is_set():
            return FinishReason.CANCELLED
        return FinishReason.DEADLINE if self._deadline is not None and time.monotonic() > self._deadline else None

    def _add(self, piece: str | None) -> None:
        with self._waking:
            self._pieces.put(piece)
            wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    @property
    def elapsed_ms(self) -> int:
        """How long ago it was asked for."""
        return round((time.monotonic() - self._asked_at) * 1000)
