"""What the admin page shows, as HTML: from records to text that no browser runs. Pure; knows no Gradio."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.engine.live import Status
from assistant.plain_text import tell_count, tell_time
from assistant.web.chat_view import templates
from feedback_db.api_keys import ApiKey
from feedback_db.audit import AuditRow
from feedback_db.forecast import Forecast
from feedback_db.records import Person, PersonId
from feedback_db.reports import Asked, Outcome, Report, Suite, VerdictKind, read_report, share_right
from feedback_db.training_records import (
    Deployment,
    Example,
    ExampleId,
    Release,
    RequestId,
    Run,
    RunEvent,
    RunState,
    ScheduleStatus,
    StoredReport,
    Swap,
    SwapOutcome,
)

MOST_FORESEEN = 50  # examples of a dry run that are shown at once
_SMOOTHED = 12  # steps behind a point of the loss curve
_STATES = {
    RunState.QUEUED: "queued",
    RunState.RUNNING: "under way",
    RunState.SUCCEEDED: "succeeded",
    RunState.REJECTED: "stays out: the gate",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "cancelled",
}
_VERDICTS = {
    VerdictKind.PROMOTE: "goes live",
    VerdictKind.NEEDS_PERSON: "needs a person",
    VerdictKind.REJECTED: "stays out",
}
_OUTCOMES = {
    Outcome.LEARNED: "learned",
    Outcome.KNOWN: "right before and after",
    Outcome.NOT_LEARNED: "not learned",
    Outcome.UNLEARNED: "right before, and not now",
}
# What the subject of an action is, where its id alone does not say so.
_SUBJECTS = {
    "add_example": "example",
    "add_golden": "golden item",
    "dismiss": "question",
    "erase": "conversation",
    "finish_run": "run",
    "make_key": "key",
    "propose": "correction",
    "queue_run": "run",
    "retire_example": "example",
    "retire_golden": "golden item",
    "review": "correction",
    "revoke_key": "key",
    "start_run": "run",
    "undo": "decision",
}
_SAY_ALONE = frozenset({"role", "decision", "deed", "state", "names"})
_ID, _ID_CHARS = re.compile("[0-9a-f]{16,}"), 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the machine is: free disk and memory in bytes, `gpu` its name or None, `damage` what a check found, None before the first."""

    free_disk: int
    free_memory: int
    gpu: str | None
    engine: Status
    damage: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the run under way is: `share` of its steps, None where nobody knows; `losses` are (step, loss)."""

    run: Run
    sentence: str
    share: float | None
    losses: tuple[tuple[int, float], ...]


def read_progress(run: Run, events: Sequence[RunEvent]) -> Progress:
    """Read from what a run has told how far it is."""
    newest = events[-1] if events else None
    losses = [(event.step, event.details.get("loss")) for event in events if event.step is not None]
    steps = None if newest is None else newest.details.get("steps")
    share = newest.step / steps if newest is not None and newest.step is not None and isinstance(steps, int) and steps > 0 else None
    return Progress(
        run=run,
        sentence="starting" if newest is None else _tell_event(newest),
        share=share,
        losses=tuple((step, float(loss)) for step, loss in losses if isinstance(loss, int | float)),
    )


def render_status(
    live: tuple[Deployment, Release] | None,
    served: Swap | None,
    last: Swap | None,
    schedule: ScheduleStatus | None,
    *,
    approved: int,
    unconsented: int,
) -> str:
    """Return the status line: what should be live and what is, when the schedule looks next, and why not yet.

    `approved` examples may be trained, and `unconsented` ones only if somebody consents.
    """
    return templates.get_template("admin_status.html.jinja").render(
        wish=None if live is None else live[1].version,
        reason="" if live is None else live[0].reason,
        fact=None if served is None else served.version,
        refusal=last.error if last is not None and last.outcome is SwapOutcome.REFUSED else None,
        approved=approved,
        unconsented=unconsented,
        is_due=schedule is not None and schedule.is_due,
        reasons=() if schedule is None else schedule.reasons,
        next_look=None if schedule is None or schedule.next_look_at is None else tell_time(schedule.next_look_at),
    )


def render_progress(progress: Progress | None) -> str:
    """Return how far the run under way is, with its loss so far; None for no run."""
    return templates.get_template("admin_progress.html.jinja").render(
        progress=progress,
        percent=None if progress is None or progress.share is None else round(100 * progress.share),
        curve=None if progress is None else _draw_curve(progress.losses),
    )


def _draw_curve(losses: Sequence[tuple[int, float]]) -> dict[str, Any] | None:
    """Return the smoothed loss by step as points of a square of 100, from 0 to the highest; None for fewer than two."""
    if len(losses) < 2:
        return None
    losses = _smooth(losses)
    highest = max(loss for _, loss in losses) or 1.0
    first, last = losses[0][0], losses[-1][0]
    points = " ".join(f"{100 * (step - first) / max(last - first, 1):.2f},{100 - 100 * loss / highest:.2f}" for step, loss in losses)
    return {"points": points, "highest": highest, "first": first, "last": last, "newest": losses[-1][1]}


def _smooth(losses: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return of each step the mean of the last ones: a step of rehearsed replies alone has a loss near 0, and says nothing by itself."""
    recent = [[loss for _, loss in losses[max(0, place - _SMOOTHED + 1) : place + 1]] for place in range(len(losses))]
    return [(step, sum(some) / len(some)) for (step, _), some in zip(losses, recent, strict=True)]


def render_runs(runs: Sequence[Run], releases: Sequence[Release], *, shown: str) -> str:
    """Return the runs, the newest first, each a line that opens its report."""
    versions = {release.run_id: release.version for release in releases if release.run_id is not None}
    lines = [
        {
            "id": run.id,
            "is_shown": run.id == shown,
            "version": versions.get(run.id),
            "state": _STATES[run.state],
            "began": tell_time(run.created_at),
            "took": _tell_duration(run),
            "reason": run.error or run.reason,
        }
        for run in runs
    ]
    return templates.get_template("admin_runs.html.jinja").render(lines=lines)


def render_report(run: Run, stored: StoredReport | None) -> str:
    """Return what a run learned and what it changed, replies side by side."""
    report = None if stored is None else read_report(stored.report)
    return templates.get_template("admin_report.html.jinja").render(
        run=run,
        recipe=json.loads(run.recipe),
        verdict=None if stored is None else _VERDICTS[stored.verdict.kind],
        reasons=() if stored is None else stored.verdict.reasons,
        unwatched="" if report is None or not report.unwatched_count else tell_count(report.unwatched_count, "guard question"),
        shares=() if report is None else _list_shares(report),
        outcomes=() if report is None else _list_outcomes(report),
        changed=() if report is None else [one for one in report.of(Suite.UNTOUCHED) if one.before != one.after],
        lost=() if report is None else [one for one in report.of(Suite.KEPT) if one.is_right_before and not one.is_right_after],
    )


def render_forecast(request: RequestId, forecast: Forecast, examples: Mapping[ExampleId, Example], *, most: int) -> str:
    """Return what a dry run has foreseen, at most so many of its examples; one that was erased since is only counted."""
    there = [one for one in forecast.examples if one.id in examples]
    lines = [
        {
            "question": examples[one.id].messages[-1]["content"],
            "reply": examples[one.id].reply,
            "wordings": one.wordings,
            "rows": one.rows,
            "is_new": one.is_new,
        }
        for one in there[:most]
    ]
    return templates.get_template("admin_forecast.html.jinja").render(
        facts=_list_foreseen(forecast), lines=lines, left=len(there) - len(lines), request=request, more=most + MOST_FORESEEN
    )


def _list_foreseen(forecast: Forecast) -> dict[str, str]:
    count, new = len(forecast.examples), sum(one.is_new for one in forecast.examples)
    unwatched = f"; {forecast.unwatched} no longer watched" if forecast.unwatched else ""
    seconds = forecast.seconds
    return {
        "To be learned": f"{tell_count(count, 'example')}, {new} new to the live version",
        "An epoch": f"{tell_count(sum(one.rows for one in forecast.examples), 'row')} of {forecast.tokens:,} tokens, "
        f"and {tell_count(forecast.rehearsed, 'rehearsed question')}",
        "Steps": f"{forecast.steps:,} at most; it stops early by {tell_count(forecast.stop, 'stop question')}",
        "Time": "known after the first run" if seconds is None else f"{_tell_seconds(seconds)} at most, at the last run's pace",
        "Asked afterwards": f"{forecast.test} test, {forecast.golden} golden, {forecast.guard} guard questions{unwatched}",
    }


def render_releases(releases: Sequence[Release], deployments: Sequence[Deployment], names: Mapping[str, str]) -> str:
    """Return the releases and what was live when, and why."""
    live = deployments[0].version if deployments else None
    told = [
        {
            "version": one.version,
            "when": tell_time(one.created_at),
            "who": "Errata" if one.actor_id is None else names.get(one.actor_id, "somebody"),
            "why": one.reason,
            "is_rollback": one.undoes is not None,
        }
        for one in deployments
    ]
    lines = [
        {
            "version": release.version,
            "made": tell_time(release.created_at),
            "kind": "the base alone" if release.run_id is None else "an adapter",
            "system_message": release.system_message or "none",
            "is_live": release.version == live,
        }
        for release in releases
    ]
    return templates.get_template("admin_releases.html.jinja").render(lines=lines, deployments=told)


def render_people(people: Sequence[Person], *, own: PersonId) -> str:
    """Return who has an account."""
    lines = [
        {"id": one.id, "name": one.name, "role": one.role.value, "is_disabled": one.disabled_at is not None, "is_own": one.id == own}
        for one in people
    ]
    return templates.get_template("admin_people.html.jinja").render(lines=lines)


def render_notice(sentence: str, *, is_problem: bool = False, link: str = "") -> str:
    """Return what came of an action, "" for nothing: on the screen wherever somebody has scrolled to, until it is closed."""
    told = {"sentence": sentence, "is_problem": is_problem, "link": link}
    return templates.get_template("admin_notice.html.jinja").render(told) if sentence else ""


def render_password_link(name: str, address: str) -> str:
    """Return the link by which somebody whose password was reset chooses another one; it is shown this once."""
    sentence = (
        f"{name} is signed out everywhere, and the old password is worth nothing. Hand over this link: it chooses a new one, works once "
        "and for a day, and is not shown again."
    )
    return render_notice(sentence, link=address)


def render_audit(rows: Sequence[AuditRow], fault: str | None, people: Sequence[Person], keys: Sequence[ApiKey] = ()) -> str:
    """Return the newest rows of the audit, and whether its chain holds; `people` and `keys` are those that the rows speak of."""
    names = name_people(people) | {key.id: f"key {key.name}" for key in keys}
    lines = [
        {
            "number": row.number,
            "when": tell_time(row.happened_at),
            "who": "Errata" if row.actor_id is None else names.get(row.actor_id, "somebody"),
            "action": row.action.replace("_", " "),
            "subject": _tell_subject(row, names),
            "id": row.subject,
            "details": ", ".join(_tell_detail(name, value) for name, value in row.details.items() if value),
        }
        for row in rows
    ]
    return templates.get_template("admin_audit.html.jinja").render(lines=lines, fault=fault)


def name_people(people: Sequence[Person]) -> dict[str, str]:
    """Return by their ids how people are called who may have no name, or none any more."""
    return {one.id: "somebody erased" if one.erased_at is not None else one.name or "a visitor" for one in people}


def _tell_subject(row: AuditRow, names: Mapping[str, str]) -> str:
    """Return what something was done to: a person or a key by name, else the kind of thing with the beginning of its id."""
    return names.get(row.subject) or f"{_SUBJECTS.get(row.action, '')} {_shorten(row.subject)}".strip()


def _tell_detail(name: str, value: object) -> str:
    """Return a detail in words: the value alone where it says what it is."""
    words = name.replace("_", " ")
    if name in _SAY_ALONE:
        return str(value).replace("_", " ")
    return words if value is True else f"{words} {_shorten(str(value))}"


def _shorten(text: str) -> str:
    return f"{text[:_ID_CHARS]}…" if _ID.fullmatch(text) else text


def render_health(health: Health) -> str:
    """Return how the machine and the database are."""
    return templates.get_template("admin_health.html.jinja").render(
        disk=f"{health.free_disk / 1e9:,.1f} GB free",
        memory=f"{health.free_memory / 1e9:,.1f} GB free",
        gpu=health.gpu or "none",
        engine=_describe_engine(health.engine),
        damage=health.damage,
    )


def _describe_engine(engine: Status) -> dict[str, str]:
    first = "no reply yet" if engine.first_token_ms is None else f"{engine.first_token_ms:,.0f} ms"
    return {
        "Replies": f"{engine.rows} of {engine.max_rows} being written, {engine.waiting} waiting",
        "Speed": f"{engine.tokens_a_second:,.0f} tokens a second, first token after {first}",
        "Versions in memory": f"{', '.join(map(str, engine.loaded)) or 'none'}; {engine.swaps} swaps since the start",
    }


def _list_shares(report: Report) -> list[dict[str, object]]:
    names = {Suite.LEARNED: "other wordings", Suite.AS_ASKED: "as it was asked", Suite.KEPT: "golden set", Suite.UNTOUCHED: "guard set"}
    found = []
    for suite, name in names.items():
        asked = report.of(suite)
        before, after = share_right(asked, after=False), share_right(asked, after=True)
        if before is not None and after is not None:
            found.append({"name": name, "count": len(asked), "before": f"{before:.0%}", "after": f"{after:.0%}"})
    return found


def _list_outcomes(report: Report) -> list[dict[str, object]]:
    outcomes = report.outcomes()
    shown: dict[str | None, Asked] = {}
    asked = [one for one in report.items if one.suite in {Suite.LEARNED, Suite.AS_ASKED}]
    for one in sorted(asked, key=lambda one: one.is_right_after):  # a wrong one first: it tells why the example counts as not learned
        shown.setdefault(one.example_id, one)
    order = [Outcome.UNLEARNED, Outcome.NOT_LEARNED, Outcome.LEARNED, Outcome.KNOWN]
    return [
        {"outcome": _OUTCOMES[outcome], "is_good": outcome in {Outcome.LEARNED, Outcome.KNOWN}, "asked": shown[example_id]}
        for example_id, outcome in sorted(outcomes.items(), key=lambda pair: order.index(pair[1]))
    ]


def _tell_event(event: RunEvent) -> str:
    steps, loss, eta = (event.details.get(name) for name in ("steps", "loss", "eta_s"))
    facts = [
        *([f"step {event.step} of {steps}"] if event.step is not None and steps is not None else []),
        *([f"loss {loss:.3f}"] if isinstance(loss, int | float) else []),
        *([f"about {eta:.0f} s left"] if isinstance(eta, int | float) else []),
    ]
    return ", ".join([event.phase.replace("_", " "), *facts])


def _tell_duration(run: Run) -> str:
    if run.started_at is None or run.finished_at is None:
        return ""
    return _tell_seconds((run.finished_at - run.started_at).total_seconds())


def _tell_seconds(seconds: float) -> str:
    if seconds >= 120 * 60:
        return f"{seconds / 3600:.1f} h"
    return f"{int(seconds)} s" if seconds < 120 else f"{int(seconds // 60)} min"
