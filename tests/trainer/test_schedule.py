from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from trainer.schedule import Due, Facts, NotYet, SchedulePolicy, assess

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
POLICY = SchedulePolicy(least_examples=50, cool_down=timedelta(hours=2))
ENOUGH = Facts(untrained=60, trainable=80, active_run=None, last_run_ended_at=None, is_requested=False, is_look=True)


def reasons(facts: Facts, policy: SchedulePolicy = POLICY, now: datetime = NOW) -> str:
    found = assess(facts, policy, now)
    assert isinstance(found, NotYet)
    return " ".join(found.reasons)


def test_a_look_that_finds_enough_is_due() -> None:
    assert assess(ENOUGH, POLICY, NOW) == Due(reason="60 examples were approved since the last run.")


def test_between_looks_nothing_is_due_and_the_next_look_is_told() -> None:
    assert reasons(replace(ENOUGH, is_look=False)) == "60 examples were approved: enough. The next look is at 02:00."


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
    facts = replace(ENOUGH, untrained=1, trainable=1, last_run_ended_at=NOW, is_requested=True, is_look=False)
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


def test_what_the_gate_has_rejected_is_not_trained_again_by_itself_but_on_request() -> None:
    rejected = replace(ENOUGH, is_rejected=True)
    assert reasons(rejected).startswith("The gate has rejected what these examples made; approve others, or ask for a run.")
    assert isinstance(assess(replace(rejected, is_requested=True), POLICY, NOW), Due)
