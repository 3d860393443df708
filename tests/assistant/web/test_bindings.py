from datetime import UTC, datetime, timedelta

from assistant.web.bindings import Bindings

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_a_name_belongs_to_whoever_used_it_first() -> None:
    bindings = Bindings()
    assert bindings.claim("s1", "ann", now=NOW)
    assert not bindings.claim("s1", "bob", now=NOW)
    assert bindings.is_owner("s1", "ann", now=NOW)
    assert not bindings.is_owner("s1", "bob", now=NOW)


def test_nobody_owns_what_was_never_claimed() -> None:
    assert not Bindings().is_owner("s1", "ann", now=NOW)


def test_a_name_unused_for_a_day_is_free_again_and_a_used_one_is_not() -> None:
    bindings, hour = Bindings(), timedelta(hours=1)
    bindings.claim("s1", "ann", now=NOW)
    bindings.claim("s1", "ann", now=NOW + 20 * hour)
    assert not bindings.claim("s1", "bob", now=NOW + 30 * hour)
    assert bindings.claim("s1", "bob", now=NOW + 44 * hour)


def test_strangers_who_invent_names_do_not_fill_the_memory() -> None:
    bindings = Bindings()
    for number in range(100_001):
        bindings.claim(str(number), "eve", now=NOW)
    assert not bindings.is_owner("0", "eve", now=NOW)
    assert bindings.is_owner("100000", "eve", now=NOW)
