"""Only the newest event of a page draws on it."""

import anyio
import pytest

from assistant.web.screen import Screens

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_what_was_shown_lets_go_before_the_next_is_shown() -> None:
    screens, told, has_begun = Screens(), list[str](), anyio.Event()

    async def follow() -> None:
        async with screens.take("page") as stay:
            has_begun.set()
            while not stay.is_over:
                await stay.pause(60)
            told.append("first lets go")

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        await has_begun.wait()
        async with screens.take("page") as stay:
            told.append("second begins")
            assert not stay.is_over
    assert told == ["first lets go", "second begins"]


async def test_pages_do_not_disturb_each_other() -> None:
    screens = Screens()
    async with screens.take("one") as first, screens.take("another"):
        assert not first.is_over


async def test_an_event_that_never_lets_go_holds_nothing_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.web.screen._MOST_WAIT_S", 0.01)
    screens = Screens()
    async with screens.take("page") as first, screens.take("page") as second:
        assert (first.is_over, second.is_over) == (True, False)
