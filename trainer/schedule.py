"""Is a run due, and if not, why not? Pure: facts, a policy and the moment in; an answer for people out."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
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
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the memory knows at a moment; None means never, or none.

    `untrained` are approved examples that no successful run has learned; `is_look` says that the schedule's own moment has come,
    `is_rejected` that the gate has rejected the last run on exactly these examples.
    """

    untrained: int
    trainable: int
    active_run: str | None
    last_run_ended_at: datetime | None
    is_requested: bool
    is_look: bool
    is_rejected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A run is due, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """No run is due; the reasons are sentences for people."""

    reasons: tuple[str, ...]
    next_look_at: datetime


def assess(facts: Facts, policy: SchedulePolicy, now: datetime) -> Due | NotYet:
    """Say whether a run is due: because somebody asks, or because the schedule looks and finds enough.

    A request waits for nothing but a run that is under way, and for something to train.
    """
    blocking = _list_blocking(facts)
    if facts.is_requested and not blocking:
        return Due(reason="Somebody asked for it.")
    waiting = [*blocking, *([] if facts.is_requested else _list_waiting(facts, policy, now))]
    if not waiting and facts.is_look:
        return Due(reason=f"{_count(facts.untrained)} approved since the last run.")
    look = policy.next_look(now)
    shown = look.astimezone(ZoneInfo(policy.zone))
    reasons = waiting or [f"{_count(facts.untrained)} approved: enough."]
    return NotYet(reasons=(*reasons, f"The next look is at {_tell(shown, now.astimezone(ZoneInfo(policy.zone)))}."), next_look_at=look)


def _list_blocking(facts: Facts) -> list[str]:
    if facts.active_run is not None:
        return ["A run is under way."]
    return [] if facts.trainable else ["No approved example may be trained."]


def _list_waiting(facts: Facts, policy: SchedulePolicy, now: datetime) -> list[str]:
    reasons = []
    if facts.untrained < policy.least_examples:
        reasons.append(f"{facts.untrained} of {policy.least_examples} approved.")
    if facts.is_rejected:
        reasons.append("The gate has rejected what these examples made; approve others, or ask for a run.")
    if facts.last_run_ended_at is not None and now < facts.last_run_ended_at + policy.cool_down:
        rest = facts.last_run_ended_at + policy.cool_down - now
        reasons.append(f"The last run has just ended; {max(1, round(rest / timedelta(minutes=1)))} minutes of cool-down are left.")
    local = now.astimezone(ZoneInfo(policy.zone)).time()
    if _is_quiet(policy, local):
        reasons.append(f"Quiet hours last until {policy.quiet_until:%H:%M}.")
    return reasons


def _is_quiet(policy: SchedulePolicy, local: time) -> bool:
    if policy.quiet_from is None or policy.quiet_until is None:
        return False
    if policy.quiet_from <= policy.quiet_until:
        return policy.quiet_from <= local < policy.quiet_until
    return local >= policy.quiet_from or local < policy.quiet_until


def _count(number: int) -> str:
    return "1 example was" if number == 1 else f"{number} examples were"


def _tell(moment: datetime, now: datetime) -> str:
    """Tell a moment as briefly as it is clear."""
    return f"{moment:%H:%M}" if moment.date() == now.date() or moment - now < timedelta(hours=24) else f"{moment:%d %B, %H:%M}"
