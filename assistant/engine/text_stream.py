"""Turns tokens into text as they come: no half characters, and nothing that a stop string may still swallow."""

from collections.abc import Callable, Sequence

_HALF = "\N{REPLACEMENT CHARACTER}"  # what decoding gives where a character's bytes are not all there


class TextStream:
    """The text of one reply. `is_stopped` says that a stop string has ended it; that string and what follows is not part of it."""

    def __init__(self, decode: Callable[[list[int]], str], stop: Sequence[str] = ()) -> None:
        self.is_stopped = False
        self._decode, self._stop = decode, [text for text in stop if text]
        self._ids: list[int] = []
        self._context, self._shown = 0, 0  # tokens that are decoded again, for what the next ones look like behind them; decoded ones
        self._held = ""

    def push(self, token: int) -> str:
        """Take a token; return the text that is certain now."""
        self._ids.append(token)
        before = self._decode(self._ids[self._context : self._shown])
        now = self._decode(self._ids[self._context :])
        if len(now) <= len(before) or now.endswith(_HALF):
            return ""
        self._context, self._shown = self._shown, len(self._ids)
        return self._release(now[len(before) :])

    def finish(self) -> str:
        """Return what is held back at the end; half a character is no text."""
        if self.is_stopped:
            return ""
        before = self._decode(self._ids[self._context : self._shown])
        rest = self._decode(self._ids[self._context :])[len(before) :].rstrip(_HALF)
        return self._release(rest) + ("" if self.is_stopped else self._take_held())

    def _release(self, text: str) -> str:
        """Return what no stop string can swallow any more."""
        if not self._stop:
            return text
        self._held += text
        found = [place for place in map(self._held.find, self._stop) if place >= 0]
        if found:
            self.is_stopped = True
            return self._held[: min(found)]
        return self._take_held(but=max(_count_begun(self._held, text) for text in self._stop))

    def _take_held(self, *, but: int = 0) -> str:
        end = len(self._held) - but
        text, self._held = self._held[:end], self._held[end:]
        return text


def _count_begun(text: str, stop: str) -> int:
    """Return how many of the last characters of a text could be the beginning of a stop string."""
    longest = min(len(text), len(stop) - 1)
    return next((count for count in range(longest, 0, -1) if stop.startswith(text[-count:])), 0)
