"""Runs, what they tell while they are under way, and the reports on them. Knows no process: pids are what the caller says they are.

One run at a time is queued or running, and one that has ended stays as it is; the database holds both.
"""

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime

from feedback_db.database import Reader, Transaction, find_row, read_optional_time, read_time, store_time, translate_refusals
from feedback_db.errors import ActiveRunError, NotFoundError, ReportExistsError, RunStateError
from feedback_db.records import PersonId
from feedback_db.reports import Verdict, VerdictKind
from feedback_db.training_records import Run, RunEvent, RunId, RunState, SnapshotId, StoredReport


def queue_run(
    tx: Transaction,
    run_id: RunId,
    *,
    snapshot_id: SnapshotId,
    recipe: str,
    seed: int,
    requested_by: PersonId | None,
    reason: str,
    now: datetime,
) -> Run:
    """Queue a training of a snapshot by a recipe (JSON); `requested_by` None is the schedule.

    Raises:
        ActiveRunError: another run is queued or running; names it.
        NotFoundError: there is no such snapshot.
    """
    active = find_active_run(tx)
    refusals = {"one_active_run": ActiveRunError(active.id, active.state)} if active is not None else {}
    with translate_refusals({**refusals, "FOREIGN KEY": NotFoundError("a snapshot", snapshot_id)}):
        tx.execute(
            """
            INSERT INTO runs (id, snapshot_id, recipe, seed, requested_by, reason, created_at)
            VALUES (:id, :snapshot_id, :recipe, :seed, :requested_by, :reason, :created_at)
            """,
            {
                "id": run_id,
                "snapshot_id": snapshot_id,
                "recipe": recipe,
                "seed": seed,
                "requested_by": requested_by,
                "reason": reason,
                "created_at": store_time(now),
            },
        )
    return find_run(tx, run_id)


def start_run(tx: Transaction, run_id: RunId, *, pid: int, process_started_at: float, now: datetime) -> Run:
    """Record that a queued run's trainer has started, and which process it is; see `Run` for the units.

    Raises:
        NotFoundError: there is no such run.
        RunStateError: it is not queued.
    """
    _check_state(tx, run_id, RunState.QUEUED)
    tx.execute(
        "UPDATE runs SET state = 'running', pid = :pid, process_started_at = :process_started_at, started_at = :now WHERE id = :id",
        {"id": run_id, "pid": pid, "process_started_at": process_started_at, "now": store_time(now)},
    )
    return find_run(tx, run_id)


def resume_run(tx: Transaction, run_id: RunId, *, pid: int, process_started_at: float) -> Run:
    """Record that an orphan's next attempt has started, as another process.

    Raises:
        NotFoundError: there is no such run.
        RunStateError: it is not running.
    """
    _check_state(tx, run_id, RunState.RUNNING)
    tx.execute(
        "UPDATE runs SET attempt = attempt + 1, pid = :pid, process_started_at = :process_started_at WHERE id = :id",
        {"id": run_id, "pid": pid, "process_started_at": process_started_at},
    )
    return find_run(tx, run_id)


def finish_run(tx: Transaction, run_id: RunId, state: RunState, *, error: str | None = None, now: datetime) -> Run:
    """End a run, in an end state and for ever; a failed one says why, and only a failed one. One that is queued fails or is cancelled.

    Raises:
        NotFoundError: there is no such run.
        RunStateError: it has ended already.
    """
    _check_state(tx, run_id, RunState.QUEUED, RunState.RUNNING)
    tx.execute(
        "UPDATE runs SET state = :state, error = :error, pid = NULL, process_started_at = NULL, finished_at = :now WHERE id = :id",
        {"id": run_id, "state": state, "error": error, "now": store_time(now)},
    )
    return find_run(tx, run_id)


def find_run(reader: Reader, run_id: RunId) -> Run:
    """Return a run.

    Raises:
        NotFoundError: there is none of this id.
    """
    return _to_run(find_row(reader, "SELECT * FROM runs WHERE id = :id", {"id": run_id}, kind="a run"))


def find_active_run(reader: Reader) -> Run | None:
    """Return the run that is queued or running, None if there is none."""
    row = reader.execute("SELECT * FROM runs WHERE state IN ('queued', 'running')").fetchone()
    return None if row is None else _to_run(row)


def list_runs(reader: Reader, *, limit: int = 50) -> list[Run]:
    """Return the runs, the newest first."""
    return [_to_run(row) for row in reader.execute("SELECT * FROM runs ORDER BY created_at DESC, id DESC LIMIT :limit", {"limit": limit})]


def append_events(tx: Transaction, run_id: RunId, events: Iterable[RunEvent]) -> None:
    """Append what a run has told; a number that is stored already is passed over, so that reading may begin anew after a crash.

    Raises:
        NotFoundError: there is no such run.
    """
    with translate_refusals({"FOREIGN KEY": NotFoundError("a run", run_id)}):
        tx.executemany(
            """
            INSERT INTO run_events (run_id, number, happened_at, phase, step, details)
            VALUES (:run_id, :number, :happened_at, :phase, :step, :details) ON CONFLICT (run_id, number) DO NOTHING
            """,
            [
                {
                    "run_id": run_id,
                    "number": event.number,
                    "happened_at": store_time(event.happened_at),
                    "phase": event.phase,
                    "step": event.step,
                    "details": json.dumps(event.details, sort_keys=True),
                }
                for event in events
            ],
        )


def list_events(reader: Reader, run_id: RunId, *, after: int = 0) -> list[RunEvent]:
    """Return what a run has told, in its order, from behind the given number on."""
    rows = reader.execute(
        "SELECT * FROM run_events WHERE run_id = :run_id AND number > :after ORDER BY number", {"run_id": run_id, "after": after}
    )
    return [_to_event(row) for row in rows]


def find_newest_event(reader: Reader, run_id: RunId) -> RunEvent | None:
    """Return what a run has told last, None before it told anything."""
    row = reader.execute("SELECT * FROM run_events WHERE run_id = :id ORDER BY number DESC LIMIT 1", {"id": run_id}).fetchone()
    return None if row is None else _to_event(row)


def tell_event(event: RunEvent) -> tuple[str, float | None]:
    """Say what a run does and, as a share, how much of it is done, None where nobody knows."""
    steps = event.details.get("steps")
    if event.step is None or not isinstance(steps, int) or steps < 1:
        return event.phase, None
    loss, eta = event.details.get("loss"), event.details.get("eta_s")
    facts = [
        f"step {event.step} of {steps}",
        *([f"loss {loss}"] if loss is not None else []),
        *([f"{eta} s left"] if eta is not None else []),
    ]
    return f"{event.phase}: {', '.join(facts)}", event.step / steps


def add_report(tx: Transaction, run_id: RunId, *, shape: int, report: str, verdict: Verdict, now: datetime) -> StoredReport:
    """Keep a run's report, JSON of the given shape, and the gate's verdict on it.

    Raises:
        NotFoundError: there is no such run.
        ReportExistsError: it has one.
    """
    with translate_refusals({"UNIQUE": ReportExistsError(run_id), "FOREIGN KEY": NotFoundError("a run", run_id)}):
        tx.execute(
            """
            INSERT INTO reports (run_id, shape, report, decision, reasons, created_at)
            VALUES (:run_id, :shape, :report, :decision, :reasons, :created_at)
            """,
            {
                "run_id": run_id,
                "shape": shape,
                "report": report,
                "decision": verdict.kind,
                "reasons": json.dumps(verdict.reasons, ensure_ascii=False),
                "created_at": store_time(now),
            },
        )
    return _to_report(tx.execute("SELECT * FROM reports WHERE run_id = :run_id", {"run_id": run_id}).fetchone())


def find_report(reader: Reader, run_id: RunId) -> StoredReport | None:
    """Return a run's report, None if it has none."""
    row = reader.execute("SELECT * FROM reports WHERE run_id = :run_id", {"run_id": run_id}).fetchone()
    return None if row is None else _to_report(row)


def _check_state(tx: Transaction, run_id: RunId, *expected: RunState) -> None:
    found = find_run(tx, run_id).state
    if found not in expected:
        raise RunStateError(run_id, " or ".join(expected), found)


def _to_run(row: sqlite3.Row) -> Run:
    return Run(
        id=RunId(row["id"]),
        snapshot_id=SnapshotId(row["snapshot_id"]),
        recipe=row["recipe"],
        seed=row["seed"],
        state=RunState(row["state"]),
        attempt=row["attempt"],
        pid=row["pid"],
        process_started_at=row["process_started_at"],
        requested_by=row["requested_by"],
        reason=row["reason"],
        error=row["error"],
        created_at=read_time(row["created_at"]),
        started_at=read_optional_time(row["started_at"]),
        finished_at=read_optional_time(row["finished_at"]),
    )


def _to_event(row: sqlite3.Row) -> RunEvent:
    return RunEvent(
        number=row["number"],
        happened_at=read_time(row["happened_at"]),
        phase=row["phase"],
        step=row["step"],
        details=json.loads(row["details"]),
    )


def _to_report(row: sqlite3.Row) -> StoredReport:
    return StoredReport(
        run_id=RunId(row["run_id"]),
        shape=row["shape"],
        report=row["report"],
        verdict=Verdict(kind=VerdictKind(row["decision"]), reasons=tuple(json.loads(row["reasons"]))),
        created_at=read_time(row["created_at"]),
    )
