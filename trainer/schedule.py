"""Is a run due, and if not, why not? Pure: facts, a policy and the moment in; an answer for people out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePolicy:
    """When the schedule looks, and what it waits for.

    `cron` is the usual five fields (minute, hour, day, month, weekday) in the time zone `zone`; `cool_down` follows the end of a run;
    between `quiet_from` and `quiet_until` (local times, None for never; the night may lie between) no run starts by itself.
    """

    cron: str = "0 2 * * *"
    zone: str = "UTC"
    least_examples: int = 1
    cool_down: timedelta = timedelta(hours=1)
    quiet_from: time | None = None
    quiet_until: time | None = None

    def next_look(self, now: datetime) -> datetime:
        """Return when the schedule looks next, after this moment."""
        trigger = CronTrigger.from_crontab(self.cron, timezone=ZoneInfo(self.zone))
        found: datetime | None = trigger.get_next_fire_time(None, now + timedelta(microseconds=1))
        if found is None:
            raise ValueError(f"expected a cron expression that comes again, found {self.cron!r}, which never does")
        return found.astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the memory knows at a moment; None means never, or none.

    `untrained` are approved examples that the live release has not learned, `vanished` those that it has learned and that may not be
    trained any more; `too_long` of the `trainable` ones do not fit into the base's context. `look_at` is the look that was announced
    last; `is_settled` says that the last run was on exactly these examples.
    """

    untrained: int
    vanished: int
    trainable: int
    active_run: str | None
    last_run_ended_at: datetime | None
    is_requested: bool
    look_at: datetime | None
    is_settled: bool = False
    too_long: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A run is due, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """No run is due; the reasons are sentences for people."""

    reasons: tuple[str, ...]
    next_look_at: datetime


@dataclass(frozen=True, slots=True)
class _Wait:
    """Why no run is due, and until when; None is until something else happens."""

    reason: str
    until: datetime | None = None


def assess(facts: Facts, policy: SchedulePolicy, now: datetime) -> Due | NotYet:
    """Say whether a run is due: because somebody asks, or because the schedule looks and finds enough.

    A request waits for nothing but a run that is under way, and for something to train. A look that finds only what passes by itself, as
    quiet hours do, is put off until then.
    """
    blocking, waiting = _list_blocking(facts), _list_waiting(facts, policy, now)
    if facts.is_requested and not blocking:
        return Due(reason="Somebody asked for it.")
    is_look = facts.look_at is not None and facts.look_at <= now
    if is_look and not blocking and not waiting:
        return Due(reason=f"{_tell_changes(facts)} since the live release.")
    waits = blocking if facts.is_requested else [*blocking, *waiting]
    look = _find_look(waits, policy, now) if is_look else _announce(facts, policy, now)
    shown = look.astimezone(ZoneInfo(policy.zone))
    reasons = [wait.reason for wait in waits] or [f"{_tell_changes(facts)}: enough."]
    return NotYet(reasons=(*reasons, f"The next look is at {_tell(shown, now.astimezone(ZoneInfo(policy.zone)))}."), next_look_at=look)


def find_obstacle(facts: Facts) -> str | None:
    """Say why nothing can be trained, whoever asks; None where something can."""
    if facts.trainable == 0:
        return "No approved example may be trained."
    return "Every approved example is longer than the base's context." if facts.too_long == facts.trainable else None


def _announce(facts: Facts, policy: SchedulePolicy, now: datetime) -> datetime:
    """Return the look that lies ahead; one that was put off stays, unless the schedule's own comes first."""
    own = policy.next_look(now)
    return own if facts.look_at is None else min(own, facts.look_at)


def _find_look(waits: Sequence[_Wait], policy: SchedulePolicy, now: datetime) -> datetime:
    """Return when to look again after a look: once all that it waits for has passed, or at the schedule's next."""
    ends = [wait.until for wait in waits if wait.until is not None]
    return max(ends) if len(ends) == len(waits) > 0 else policy.next_look(now)


def _list_blocking(facts: Facts) -> list[_Wait]:
    if facts.active_run is not None:
        return [_Wait("A run is under way.", facts.look_at)]
    obstacle = find_obstacle(facts)
    return [] if obstacle is None else [_Wait(obstacle)]


def _list_waiting(facts: Facts, policy: SchedulePolicy, now: datetime) -> list[_Wait]:
    waits = []
    if facts.untrained + facts.vanished < policy.least_examples:
        waits.append(_Wait(f"{facts.untrained + facts.vanished} of {policy.least_examples} approved."))
    elif facts.is_settled:
        waits.append(_Wait("The last run was on exactly these examples; approve others, or ask for a run."))
    if facts.last_run_ended_at is not None and now < facts.last_run_ended_at + policy.cool_down:
        end = facts.last_run_ended_at + policy.cool_down
        left = max(1, round((end - now) / timedelta(minutes=1)))
        waits.append(_Wait(f"The last run has just ended; {left} minutes of cool-down are left.", end))
    quiet_end = _find_quiet_end(policy, now)
    if quiet_end is not None:
        waits.append(_Wait(f"Quiet hours last until {quiet_end:%H:%M}.", quiet_end.astimezone(UTC)))
    return waits


def _find_quiet_end(policy: SchedulePolicy, now: datetime) -> datetime | None:
    """Return when the quiet hours end, None outside of them."""
    local = now.astimezone(ZoneInfo(policy.zone))
    if policy.quiet_until is None or not _is_quiet(policy, local.time()):
        return None
    end = datetime.combine(local.date(), policy.quiet_until, local.tzinfo)
    return end if end > local else end + timedelta(days=1)


def _is_quiet(policy: SchedulePolicy, local: time) -> bool:
    if policy.quiet_from is None or policy.quiet_until is None:
        return False
    if policy.quiet_from <= policy.quiet_until:
        return policy.quiet_from <= local < policy.quiet_until
    return local >= policy.quiet_from or local < policy.quiet_until


def _tell_changes(facts: Facts) -> str:
    """Say what is new since the live release."""
    told = [f"{_count(facts.untrained)} approved"] if facts.untrained or not facts.vanished else []
    told += [f"{_count(facts.vanished)} taken back"] if facts.vanished else []
    return " and ".join(told)


def _count(number: int) -> str:
    return "1 example was" if number == 1 else f"{number} examples were"


def _tell(moment: datetime, now: datetime) -> str:
    """Tell a moment as briefly as it is clear."""
    return f"{moment:%H:%M}" if moment.date() == now.date() or moment - now < timedelta(hours=24) else f"{moment:%d %B, %H:%M}"
