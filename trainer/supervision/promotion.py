"""From a finished run to a release, and from a release to the wish that it be live. Knows the database and the run's directory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from feedback_db import conversations, golden, releases, runs
from feedback_db.audit import Audit
from feedback_db.database import Reader, Transaction
from feedback_db.errors import ReasonNeededError
from feedback_db.files import hash_file
from feedback_db.records import PersonId, TurnId
from feedback_db.reports import Asked, Report, Suite, Verdict, VerdictKind, read_report, write_report
from feedback_db.training_records import Deployment, Release, RunId, RunState
from trainer.errors import RunDirectoryError
from trainer.run_directory import RunDirectory, RunSpec
from trainer.verdict import GatePolicy, judge

_MANIFEST = "manifest.json"
_LOOKED_BACK = 1000  # deployments; a wish by hand that is older is forgotten
_BY_THE_GATE = "The gate found that it has learned something and that nothing fell beyond its limit."
_BY_HAND = "Somebody put it live by hand."
_TAKEN_BACK = "Somebody took it back."


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a finished run left; `incumbent_hash` is the adapter that it was measured against, None for the bare base."""

    spec: RunSpec
    report: Report
    adapter_hash: str
    incumbent_hash: str | None


def read_result(directory: RunDirectory) -> Result:
    """Read what a finished run left.

    Raises:
        RunDirectoryError: the specification, the report or the adapter is missing or damaged.
        ReportShapeError: the report is of another shape.
    """
    try:
        text = directory.report.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunDirectoryError(directory.folder, f"report.json cannot be read ({error})") from error
    adapter_hash = _hash_manifest(directory.adapter)
    if adapter_hash is None:
        raise RunDirectoryError(directory.folder, "the adapter has no manifest, so it is not whole")
    return Result(
        spec=directory.read_spec(),
        report=read_report(text),
        adapter_hash=adapter_hash,
        incumbent_hash=_hash_manifest(directory.incumbent),
    )


def judge_result(reader: Reader, result: Result, policy: GatePolicy) -> Verdict:
    """Have the gate judge; what it would promote needs a person's word where people or other releases have come between.

    Where somebody took a release back, the next one is likely to be the same again; where another one went live while the run was under
    way, the comparison was with the wrong one.
    """
    verdict, live = judge(result.report, policy), releases.find_live(reader)
    if verdict.kind is not VerdictKind.PROMOTE or live is None:
        return verdict
    release, reasons = live[1], list[str]()
    by_hand = next((one for one in releases.list_deployments(reader, limit=_LOOKED_BACK) if one.actor_id is not None), None)
    if by_hand is not None and by_hand.undoes is not None:
        reasons.append(f"Somebody went back to release {by_hand.version}; until somebody promotes one, none goes live by itself.")
    if not _is_measured_against(release, result):
        reasons.append(f"While it was trained, release {release.version} went live, against which it was not measured.")
    return Verdict(kind=VerdictKind.NEEDS_PERSON, reasons=(*reasons, *verdict.reasons)) if reasons else verdict


def record_result(
    tx: Transaction,
    audit: Audit,
    run_id: RunId,
    result: Result,
    verdict: Verdict,
    *,
    sampling: Mapping[str, float | int | bool | None],
    now: datetime,
) -> Release:
    """Keep the report, end the run, make the candidate a release, and wish it live if the gate says so: all of it or nothing."""
    text = write_report(_forget_erased(tx, result.report))  # by whoever erased it, the report was not there to be scrubbed
    runs.add_report(tx, run_id, shape=result.report.shape, report=text, verdict=verdict, now=now)
    state = RunState.REJECTED if verdict.kind is VerdictKind.REJECTED else RunState.SUCCEEDED
    runs.finish_run(tx, run_id, state, now=now)
    release = _add_release(tx, run_id, result, sampling, now)
    details: dict[str, str | int | bool | None] = {"verdict": verdict.kind, "release": release.version, "adapter": result.adapter_hash}
    audit.append(tx, actor=None, action="finish_run", subject=run_id, details=details, now=now)
    if verdict.kind is VerdictKind.PROMOTE:
        releases.deploy(tx, audit, release.version, actor=None, reason=_BY_THE_GATE, now=now)
    return release


def promote(tx: Transaction, audit: Audit, version: int, *, actor: PersonId | None, reason: str, now: datetime) -> Deployment:
    """Wish that a release be live.

    Raises:
        NotFoundError: there is no such release.
        ReasonNeededError: the gate did not promote it, and no reason is given.
        TextTooLongError, HostileTextError: the reason cannot be stored as it is.
    """
    run_id = releases.find_release(tx, version).run_id
    report = None if run_id is None else runs.find_report(tx, run_id)
    if report is not None and report.verdict.kind is not VerdictKind.PROMOTE and not reason.strip():
        raise ReasonNeededError(version, report.verdict.kind)
    return releases.deploy(tx, audit, version, actor=actor, reason=reason.strip() or _BY_HAND, now=now)


def roll_back(tx: Transaction, audit: Audit, *, actor: PersonId | None, reason: str, now: datetime) -> Deployment:
    """Wish that what was live before be live again.

    Raises:
        NothingToRollBackError: nothing was live before.
        TextTooLongError, HostileTextError: the reason cannot be stored as it is.
    """
    return releases.roll_back(tx, audit, actor=actor, reason=reason.strip() or _TAKEN_BACK, now=now)


def _add_release(
    tx: Transaction, run_id: RunId, result: Result, sampling: Mapping[str, float | int | bool | None], now: datetime
) -> Release:
    return releases.add_release(
        tx,
        base=result.spec.base,
        revision=result.spec.revision,
        quantisation=result.spec.quantisation,
        template_hash=result.spec.template_hash,
        system_message=result.spec.system_message,
        sampling=sampling,
        run_id=run_id,
        adapter_hash=result.adapter_hash,
        now=now,
    )


def _forget_erased(reader: Reader, report: Report) -> Report:
    """Take out what was asked in a turn, or in a golden item, that was erased while the run was under way."""
    kept_turns = conversations.keep_turns(reader, {TurnId(one.turn_id) for one in report.items if one.turn_id is not None})
    kept_items = {(item.question, item.reply) for item in golden.list_golden(reader, is_retired_too=True)}

    def is_kept(one: Asked) -> bool:
        if one.suite is Suite.KEPT:
            return (one.question, one.expected) in kept_items
        return one.turn_id is None or one.turn_id in kept_turns

    return replace(report, items=tuple(filter(is_kept, report.items)))


def _is_measured_against(live: Release, result: Result) -> bool:
    return live.adapter_hash == result.incumbent_hash and live.revision == result.spec.revision


def _hash_manifest(adapter: Path) -> str | None:
    """Return the hash that names an adapter's exact content, as the engine computes it, None where there is no whole adapter."""
    manifest = adapter / _MANIFEST
    try:
        json.loads(manifest.read_bytes())
    except (OSError, ValueError):
        return None
    return hash_file(manifest)
