from datetime import UTC, datetime, timedelta

from assistant.web.throttle import Throttle

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def make_throttle(*moments: datetime) -> Throttle:
    throttle = Throttle(2, 10 * SECOND)
    for moment in moments:
        throttle.count("ann", now=moment)
    return throttle


def test_as_often_as_allowed_nobody_waits() -> None:
    assert make_throttle(NOW).find_wait("ann", now=NOW) == timedelta(0)


def test_once_too_often_waits_until_the_oldest_leaves_the_window() -> None:
    throttle = make_throttle(NOW, NOW + 4 * SECOND)
    assert throttle.find_wait("ann", now=NOW + 4 * SECOND) == 6 * SECOND
    assert throttle.find_wait("ann", now=NOW + 10 * SECOND) == timedelta(0)


def test_keys_do_not_count_for_each_other() -> None:
    assert make_throttle(NOW, NOW).find_wait("bob", now=NOW) == timedelta(0)


def test_what_was_taken_back_does_not_count() -> None:
    throttle = make_throttle(NOW, NOW)
    throttle.take_back("ann")
    throttle.take_back("nobody")
    assert throttle.find_wait("ann", now=NOW) == timedelta(0)


def test_strangers_who_choose_keys_do_not_fill_the_memory() -> None:
    throttle = Throttle(1, SECOND)
    for number in range(100_002):
        throttle.count(str(number), now=NOW)
    assert throttle.find_wait("0", now=NOW) == timedelta(0)
    assert throttle.find_wait("100001", now=NOW) == SECOND
