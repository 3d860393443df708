import threading
from datetime import datetime

import pytest

from trainer.supervision.ticking import Ticking

SOON_S = 10.0


def test_steps_are_taken_at_once_and_again_in_their_order() -> None:
    taken: list[str] = []
    twice = threading.Event()

    def first(_: datetime) -> None:
        taken.append("first")

    def second(_: datetime) -> None:
        taken.append("second")
        if len(taken) >= 4:
            twice.set()

    with Ticking([first, second], every_s=0.05):
        assert twice.wait(SOON_S)
    assert taken[:4] == ["first", "second", "first", "second"]


def test_a_step_that_fails_ends_neither_the_tick_nor_the_schedule(caplog: pytest.LogCaptureFixture) -> None:
    twice = threading.Semaphore(0)

    def fail(_: datetime) -> None:
        raise RuntimeError("no luck")

    with Ticking([fail, lambda _: twice.release()], every_s=0.05):
        assert twice.acquire(timeout=SOON_S)
        assert twice.acquire(timeout=SOON_S)
    assert "no luck" in caplog.text


def test_never_two_ticks_at_once_and_none_after_the_end() -> None:
    inside = threading.Lock()
    overlaps: list[bool] = []
    enough = threading.Event()

    def step(_: datetime) -> None:
        overlaps.append(not inside.acquire(blocking=False))
        enough.wait(0.2)  # longer than the time between ticks
        inside.release()
        if len(overlaps) >= 3:
            enough.set()

    with Ticking([step], every_s=0.05):
        assert enough.wait(SOON_S)
    assert not any(overlaps)
    ended = len(overlaps)
    assert not threading.Event().wait(0.15)
    assert len(overlaps) == ended
