"""Which event of a page shows a conversation: the newest alone, so that nothing of another conversation is drawn afterwards.

Gradio tells a page what its events yield in the order in which they yield it; so the newest begins once the one before has let go.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

_MOST_WAIT_S = 2.0  # an event whose browser went is closed by Gradio; nobody waits longer for that


class Stay:
    """The time for which one event shows a conversation on a page."""

    def __init__(self) -> None:
        self._is_unwanted, self._has_ended = anyio.Event(), anyio.Event()

    @property
    def is_over(self) -> bool:
        """Say whether the page has begun to show something else."""
        return self._is_unwanted.is_set()

    async def pause(self, at_most_s: float) -> None:
        """Wait, but no longer than until the page shows something else."""
        with anyio.move_on_after(at_most_s):
            await self._is_unwanted.wait()

    async def give_way(self) -> None:
        """Ask the event to let go of the page, and wait until it has."""
        self._is_unwanted.set()
        with anyio.move_on_after(_MOST_WAIT_S):
            await self._has_ended.wait()

    def end(self) -> None:
        """Tell the next one that the page is free."""
        self._has_ended.set()


class Screens:
    """The pages that show something now, by the names that they choose for their streams."""

    def __init__(self) -> None:
        self._stays: dict[str, Stay] = {}

    def is_taken(self, page: str | None) -> bool:
        """Say whether an event shows something on a page now."""
        return (page or "") in self._stays

    @asynccontextmanager
    async def take(self, page: str | None) -> AsyncIterator[Stay]:
        """Show something on a page as soon as whatever was shown has let go of it."""
        name, mine = page or "", Stay()
        before = self._stays.get(name)
        self._stays[name] = mine
        try:
            if before is not None:
                await before.give_way()
            yield mine
        finally:
            mine.end()
            if self._stays.get(name) is mine:
                del self._stays[name]
