"""Only the newest event of a page draws on it."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from assistant.web.screen import Screens


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test in a loop and a thread of its own: a browser's may be running in this one."""
    with start_blocking_portal() as portal:
        portal.call(test)


def test_what_was_shown_lets_go_before_the_next_is_shown() -> None:
    screens, told = Screens(), list[str]()

    async def show_two() -> None:
        has_begun = anyio.Event()

        async def follow() -> None:
            async with screens.take("page", "a") as stay:
                has_begun.set()
                while not stay.is_over:
                    await stay.pause(60)
                told.append("first lets go")

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await has_begun.wait()
            async with screens.take("page", "b") as stay:
                told.append("second begins")
                assert not stay.is_over

    run(show_two)
    assert told == ["first lets go", "second begins"]


def test_pages_do_not_disturb_each_other() -> None:
    screens = Screens()

    async def show_both() -> None:
        async with screens.take("one", "a") as first, screens.take("another", "b"):
            assert not first.is_over
            assert (screens.find_shown("one"), screens.find_shown("another")) == ("a", "b")

    run(show_both)
    assert screens.find_shown("one") == "a"
    assert screens.find_shown("a third") is None


def test_only_so_many_pages_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.web.screen._MOST_PAGES", 2)
    screens = Screens()
    for page in ("one", "two", "one", "three"):
        screens.note_shown(page, "a")
    assert [screens.find_shown(page) for page in ("one", "two", "three")] == ["a", None, "a"]


def test_whoever_waits_comes_after_whatever_is_shown() -> None:
    screens, told = Screens(), list[str]()

    async def show_behind() -> None:
        async def wait() -> None:
            await screens.wait_until_free("page")
            told.append("waited")

        async with anyio.create_task_group() as group, screens.take("page", "a"):
            group.start_soon(wait)
            await anyio.lowlevel.checkpoint()
            told.append("shown")

    run(show_behind)
    assert told == ["shown", "waited"]


def test_an_event_that_never_lets_go_holds_nothing_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.web.screen._MOST_WAIT_S", 0.01)
    screens = Screens()

    async def show_twice() -> None:
        async with screens.take("page", "a") as first, screens.take("page", "b") as second:
            assert (first.is_over, second.is_over) == (True, False)

    run(show_twice)
