"""Keeps the keys and values of what has been read, so that the next turn of a conversation reads only what is new.

What a release has read holds for that release only, so its version is part of the key: a swap can never serve what another one has read.
"""

from collections import OrderedDict
from dataclasses import dataclass

from assistant.engine.row_cache import Stretch

_LEAST_TOKENS = 16  # a copy of fewer is not worth its while


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    version: int
    ids: list[int]
    stretch: Stretch
    size: int  # in bytes


class PrefixCache:
    """Read beginnings by release and tokens, bounded by bytes; the one that was used longest ago goes first."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.used_bytes = max_bytes, 0
        self._entries: OrderedDict[int, _Entry] = OrderedDict()  # by identity, the one used last at the end

    def __len__(self) -> int:
        """Return how many beginnings are kept."""
        return len(self._entries)

    def find(self, version: int, ids: list[int]) -> tuple[Stretch, int] | None:
        """Return the keys and values of the longest kept beginning of these tokens, and its length; None where there is none.

        The last token is never part of it: what it makes of the others is what is asked for.
        """
        best, length = None, _LEAST_TOKENS - 1
        for entry in self._entries.values():
            if entry.version == version and (common := _count_common(entry.ids, ids, length)) > length:
                best, length = entry, common
        if best is None:
            return None
        self._entries.move_to_end(id(best))
        return best.stretch, min(length, len(ids) - 1)

    def keep(self, version: int, ids: list[int], stretch: Stretch) -> None:
        """Keep what a release has read; what it only continues is let go."""
        size = sum(states.numel() * states.element_size() for pair in stretch for states in pair)
        if size > self.max_bytes or len(ids) < _LEAST_TOKENS:
            return
        for entry in list(self._entries.values()):
            if entry.version == version and entry.ids == ids[: len(entry.ids)]:
                self._drop(entry)
        while self.used_bytes + size > self.max_bytes:
            self._drop(next(iter(self._entries.values())))
        entry = _Entry(version, ids, stretch, size)
        self._entries[id(entry)] = entry
        self.used_bytes += size

    def clear(self) -> None:
        """Let go of everything."""
        self._entries.clear()
        self.used_bytes = 0

    def _drop(self, entry: _Entry) -> None:
        del self._entries[id(entry)]
        self.used_bytes -= entry.size


def _count_common(one: list[int], other: list[int], least: int) -> int:
    """Count the tokens that two lists begin with, 0 where they are not more than `least`."""
    end = min(len(one), len(other))
    if end <= least or one[: least + 1] != other[: least + 1]:
        return 0
    return next((place for place in range(least + 1, end) if one[place] != other[place]), end)
