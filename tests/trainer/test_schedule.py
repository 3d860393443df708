from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from trainer.schedule import Due, Facts, NotYet, SchedulePolicy, assess

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
POLICY = SchedulePolicy(least_examples=50, cool_down=timedelta(hours=2))
ENOUGH = Facts(
    untrained=60, vanished=0, trainable=80, active_run=None, last_run_ended_at=None, is_requested=False, look_at=NOW - timedelta(seconds=1)
)
LATER = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def look_at(facts: Facts, policy: SchedulePolicy = POLICY, now: datetime = NOW) -> datetime:
    found = assess(facts, policy, now)
    assert isinstance(found, NotYet)
    return found.next_look_at


def reasons(facts: Facts, policy: SchedulePolicy = POLICY, now: datetime = NOW) -> str:
    found = assess(facts, policy, now)
    assert isinstance(found, NotYet)
    return " ".join(found.reasons)


def test_a_look_that_finds_enough_is_due() -> None:
    assert assess(ENOUGH, POLICY, NOW) == Due(reason="60 examples were approved since the live release.")


def test_between_looks_nothing_is_due_and_the_next_look_is_told() -> None:
    assert reasons(replace(ENOUGH, look_at=LATER)) == "60 examples were approved: enough. The next look is at 02:00."


def test_too_few_examples_wait() -> None:
    assert reasons(replace(ENOUGH, untrained=12)) == "12 of 50 approved. The next look is at 02:00."


def test_the_cool_down_is_told_in_minutes() -> None:
    assert "30 minutes of cool-down are left" in reasons(replace(ENOUGH, last_run_ended_at=NOW - timedelta(minutes=90)))


@pytest.mark.parametrize(("quiet_from", "quiet_until"), [(time(9), time(18)), (time(22), time(13))])
def test_quiet_hours_wait_also_over_midnight(quiet_from: time, quiet_until: time) -> None:
    assert "Quiet hours last until" in reasons(ENOUGH, replace(POLICY, quiet_from=quiet_from, quiet_until=quiet_until))


def test_quiet_hours_end() -> None:
    assert isinstance(assess(ENOUGH, replace(POLICY, quiet_from=time(22), quiet_until=time(12)), NOW), Due)


def test_a_request_waits_for_neither_count_nor_cool_down_nor_quiet_hours() -> None:
    facts = replace(ENOUGH, untrained=1, trainable=1, last_run_ended_at=NOW, is_requested=True, look_at=LATER)
    assert assess(facts, replace(POLICY, quiet_from=time(9), quiet_until=time(18)), NOW) == Due(reason="Somebody asked for it.")


def test_a_request_waits_for_a_run_under_way_and_for_something_to_train() -> None:
    asked = replace(ENOUGH, is_requested=True)
    assert reasons(replace(asked, active_run="r7")).startswith("A run is under way.")
    assert reasons(replace(asked, trainable=0)).startswith("No approved example may be trained.")


def test_the_next_look_is_told_in_the_operators_time_zone() -> None:
    policy = replace(POLICY, cron="30 3 * * *", zone="Europe/Berlin")
    found = assess(replace(ENOUGH, untrained=0), policy, NOW)
    assert isinstance(found, NotYet)
    assert found.next_look_at == datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
    assert found.reasons[-1] == "The next look is at 03:30."


def test_a_look_far_away_is_told_with_its_day() -> None:
    assert reasons(replace(ENOUGH, untrained=0), replace(POLICY, cron="0 2 1 12 *")).endswith("The next look is at 01 December, 02:00.")


def test_what_the_last_run_was_on_is_not_trained_again_by_itself_but_on_request() -> None:
    settled = replace(ENOUGH, is_settled=True)
    assert reasons(settled).startswith("The last run was on exactly these examples; approve others, or ask for a run.")
    assert "enough" not in reasons(replace(settled, look_at=LATER))
    assert isinstance(assess(replace(settled, is_requested=True), POLICY, NOW), Due)


def test_what_was_taken_back_is_a_change_like_what_was_approved() -> None:
    forgotten = replace(ENOUGH, untrained=0, vanished=50)
    assert assess(forgotten, POLICY, NOW) == Due(reason="50 examples were taken back since the live release.")
    both = assess(replace(ENOUGH, vanished=1), POLICY, NOW)
    assert both == Due(reason="60 examples were approved and 1 example was taken back since the live release.")


def test_a_look_in_quiet_hours_is_put_off_to_their_end_and_not_lost() -> None:
    policy = replace(POLICY, quiet_from=time(9), quiet_until=time(18))
    end = look_at(ENOUGH, policy)
    assert end == NOW.replace(hour=18)
    assert look_at(replace(ENOUGH, look_at=end), policy, NOW + timedelta(hours=1)) == end
    assert isinstance(assess(replace(ENOUGH, look_at=end), policy, end), Due)


def test_a_look_in_the_cool_down_is_put_off_to_its_end() -> None:
    assert look_at(replace(ENOUGH, last_run_ended_at=NOW - timedelta(minutes=90))) == NOW + timedelta(minutes=30)


def test_a_look_during_a_run_comes_again_once_the_run_has_ended() -> None:
    assert look_at(replace(ENOUGH, active_run="r7")) == ENOUGH.look_at


def test_a_look_that_finds_too_little_is_over() -> None:
    assert look_at(replace(ENOUGH, untrained=1), replace(POLICY, quiet_from=time(9), quiet_until=time(18))) == LATER


def test_a_look_that_was_put_off_yields_to_an_earlier_one_of_the_schedule() -> None:
    assert look_at(replace(ENOUGH, look_at=LATER + timedelta(hours=5))) == LATER
