"""What a program or the command line is told of versions, runs and the schedule: plain values by their names."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from feedback_db import people, releases, requests, runs
from feedback_db.database import Reader
from feedback_db.training_records import Release, Request, Run, RunEvent


def describe_state(reader: Reader) -> dict[str, Any]:
    """Return what is live, what is being trained, and when the schedule looks next."""
    live, served = releases.find_live(reader), releases.find_served(reader)
    active, schedule = runs.find_active_run(reader), requests.read_status(reader)
    swap = next(iter(releases.list_swaps(reader, limit=1)), None)
    return {
        "deployed": None if live is None else live[1].version,
        "because": None if live is None else live[0].reason,
        "served": None if served is None else served.version,
        "refused": None if swap is None else swap.error,
        "active_run": None if active is None else active.id,
        "active_run_state": None if active is None else active.state.value,
        "accounts": people.count_accounts(reader),
        "schedule": [] if schedule is None else list(schedule.reasons),
    }


def describe_run(reader: Reader, run: Run) -> dict[str, Any]:
    """Return a run, with the version that it made and the gate's verdict on it, where there are any."""
    report = runs.find_report(reader, run.id)
    version = next((one.version for one in releases.list_releases(reader) if one.run_id == run.id), None)
    told = {name: value for name, value in asdict(run).items() if name not in {"pid", "process_started_at", "recipe"}}
    verdict = None if report is None else {"decision": report.verdict.kind.value, "reasons": list(report.verdict.reasons)}
    return {**told, "version": version, "verdict": verdict}


def summarise_training(outcome: str | None, run: Mapping[str, Any] | None, *, live: int | None) -> dict[str, Any]:
    """Return what came of a wish to train: `run` is the described run, None where none was started."""
    verdict = None if run is None else run["verdict"]
    return {
        "outcome": outcome,
        "run": None if run is None else run["id"],
        "state": None if run is None else run["state"],
        "error": None if run is None else run["error"],
        "reasons": [] if verdict is None else verdict["reasons"],
        "live": live,
    }


def describe_event(event: RunEvent) -> dict[str, Any]:
    """Return one thing that a run has told."""
    return asdict(event)


def describe_release(reader: Reader, release: Release) -> dict[str, Any]:
    """Return a release, and whether it is wished to be live and served."""
    live, served = releases.find_live(reader), releases.find_served(reader)
    return {
        **asdict(release),
        "base": name_base(release.base),
        "is_deployed": live is not None and live[1].version == release.version,
        "is_served": served is not None and served.version == release.version,
    }


def name_base(base: str) -> str:
    """Return the name of a base; where on this machine it lies is nobody's business."""
    return Path(base).name if Path(base).is_absolute() else base


def describe_request(request: Request) -> dict[str, Any]:
    """Return what was asked of the supervisor, and what it answered, None before it has."""
    return {
        "id": request.id,
        "kind": request.kind.value,
        "reason": request.reason,
        "created_at": request.created_at,
        "handled_at": request.handled_at,
        "outcome": request.outcome,
    }
