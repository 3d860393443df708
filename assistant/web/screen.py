"""Which event of a page shows a conversation: the newest alone, so that nothing of another conversation is drawn afterwards.

Gradio tells a page what its events yield in the order in which they yield it; so the newest begins once the one before has let go.
But it runs what a page asks in an order of its own, and as late as it likes; so what each page has come to show is remembered.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

_MOST_PAGES, _MOST_ID_CHARS = 10_000, 64  # remembered, the latest
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

    async def wait(self) -> None:
        """Wait until the event has let go of the page."""
        await self._has_ended.wait()

    async def give_way(self) -> None:
        """Ask the event to let go of the page, and wait until it has."""
        self._is_unwanted.set()
        with anyio.move_on_after(_MOST_WAIT_S):
            await self._has_ended.wait()

    def end(self) -> None:
        """Tell the next one that the page is free."""
        self._has_ended.set()


class Screens:
    """The pages that show something, by the names that they choose for their streams."""

    def __init__(self) -> None:
        self._stays: dict[str, Stay] = {}
        self._shown = OrderedDict[str, str]()  # page → its conversation, "" for a new one

    def find_shown(self, page: str | None) -> str | None:
        """Return the conversation that a page shows, or is about to; None where nothing was asked of it yet, as far as is known."""
        return self._shown.get(page or "")

    def note_shown(self, page: str | None, conversation: str | None) -> None:
        """Remember which conversation a page shows; one that nothing was drawn on yet says None."""
        self._shown[page or ""] = (conversation or "")[:_MOST_ID_CHARS]  # a browser can say anything
        self._shown.move_to_end(page or "")
        if len(self._shown) > _MOST_PAGES:
            self._shown.popitem(last=False)

    async def wait_until_free(self, page: str | None) -> None:
        """Wait until no event shows anything on a page."""
        while (stay := self._stays.get(page or "")) is not None:
            await stay.wait()

    @asynccontextmanager
    async def take(self, page: str | None, conversation: str | None) -> AsyncIterator[Stay]:
        """Show a conversation on a page as soon as whatever was shown has let go of it."""
        name, mine = page or "", Stay()
        before = self._stays.get(name)
        self._stays[name] = mine
        self.note_shown(page, conversation)
        try:
            if before is not None:
                await before.give_way()
            yield mine
        finally:
            mine.end()
            if self._stays.get(name) is mine:
                del self._stays[name]
