import json
import sqlite3
from datetime import datetime, timedelta

import pytest

from feedback_db import runs
from feedback_db.database import Database
from feedback_db.errors import ActiveRunError, NotFoundError, ReportExistsError, RunStateError
from feedback_db.records import PersonId
from feedback_db.reports import Verdict, VerdictKind
from feedback_db.training_records import Run, RunEvent, RunId, RunState, SnapshotId

END_STATES = (RunState.SUCCEEDED, RunState.REJECTED, RunState.FAILED, RunState.CANCELLED)
VERDICT = Verdict(kind=VerdictKind.NEEDS_PERSON, reasons=("The guard set is too small.",))
REPORT = json.dumps({"shape": 1, "items": []})


def queue(db: Database, snapshot: SnapshotId, now: datetime, key: str, requested_by: PersonId | None = None) -> Run:
    with db.write() as tx:
        return runs.queue_run(
            tx, RunId(key), snapshot_id=snapshot, recipe='{"rank": 8}', seed=3, requested_by=requested_by, reason="by hand", now=now
        )


def start(db: Database, run: RunId, now: datetime) -> Run:
    with db.write() as tx:
        return runs.start_run(tx, run, pid=7, process_started_at=12.25, now=now)


def finish(db: Database, run: RunId, state: RunState, now: datetime) -> Run:
    with db.write() as tx:
        return runs.finish_run(tx, run, state, error="out of memory" if state is RunState.FAILED else None, now=now)


def change(db: Database, sql: str) -> None:
    with db.write() as tx:
        tx.execute(sql)


def tell(number: int, now: datetime) -> RunEvent:
    return RunEvent(number=number, happened_at=now, phase="train", step=number * 10, details={"loss": 0.5})


def test_a_run_waits_with_what_was_ordered(db: Database, snapshot: SnapshotId, bob: PersonId, now: datetime) -> None:
    queued = queue(db, snapshot, now, "r1", bob)
    assert queued == runs.find_run(db.read(), queued.id)
    assert (queued.state, queued.attempt, queued.recipe, queued.seed) == (RunState.QUEUED, 1, '{"rank": 8}', 3)
    assert (queued.requested_by, queued.reason, queued.created_at) == (bob, "by hand", now)
    assert (queued.pid, queued.started_at, queued.finished_at) == (None, None, None)


def test_a_run_goes_from_queued_to_its_end(db: Database, run: RunId, now: datetime) -> None:
    started = start(db, run, now)
    assert (started.state, started.pid, started.process_started_at, started.started_at) == (RunState.RUNNING, 7, 12.25, now)
    ended = finish(db, run, RunState.SUCCEEDED, now + timedelta(minutes=2))
    assert (ended.state, ended.pid, ended.process_started_at, ended.error) == (RunState.SUCCEEDED, None, None, None)
    assert (ended.started_at, ended.finished_at) == (now, now + timedelta(minutes=2))


def test_an_orphan_is_resumed_as_the_same_run(db: Database, run: RunId, now: datetime) -> None:
    start(db, run, now)
    with db.write() as tx:
        resumed = runs.resume_run(tx, run, pid=8, process_started_at=99.5)
    assert (resumed.state, resumed.attempt, resumed.pid, resumed.process_started_at) == (RunState.RUNNING, 2, 8, 99.5)
    assert resumed.started_at == now


@pytest.mark.parametrize("is_started", [False, True])
def test_a_second_run_is_refused_while_one_is_under_way(
    db: Database, run: RunId, snapshot: SnapshotId, now: datetime, is_started: bool
) -> None:
    if is_started:
        start(db, run, now)
    with pytest.raises(ActiveRunError, match=f"'r1' is {'running' if is_started else 'queued'}. Wait") as caught:
        queue(db, snapshot, now, "r2")
    assert caught.value.run_id == run


def test_the_database_itself_admits_one_active_run(db: Database, run: RunId) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="one_active_run"):
        change(db, "INSERT INTO runs (id, snapshot_id, recipe, seed, reason, created_at) VALUES ('r2', 's1', '{}', 1, '', '2026')")


@pytest.mark.parametrize("state", END_STATES)
def test_after_its_end_the_next_one_may_come(db: Database, run: RunId, snapshot: SnapshotId, now: datetime, state: RunState) -> None:
    start(db, run, now)
    finish(db, run, state, now)
    assert runs.find_active_run(db.read()) is None
    following = queue(db, snapshot, now + timedelta(days=1), "r2")
    assert runs.find_active_run(db.read()) == following
    assert [found.id for found in runs.list_runs(db.read())] == ["r2", "r1"]
    assert [found.id for found in runs.list_runs(db.read(), limit=1)] == ["r2"]


def test_a_run_needs_a_snapshot(db: Database, now: datetime) -> None:
    with pytest.raises(NotFoundError, match="a snapshot 'nowhere'"):
        queue(db, SnapshotId("nowhere"), now, "r1")


def test_an_unknown_run_is_not_found(db: Database, now: datetime) -> None:
    with pytest.raises(NotFoundError, match="a run 'nowhere'"):
        start(db, RunId("nowhere"), now)


@pytest.mark.parametrize("state", END_STATES)
def test_a_run_that_has_ended_stays_so(db: Database, run: RunId, now: datetime, state: RunState) -> None:
    start(db, run, now)
    finish(db, run, state, now)
    with pytest.raises(RunStateError, match=f"'r1' to be queued or running. Found it {state}"):
        finish(db, run, RunState.CANCELLED, now)
    with pytest.raises(RunStateError, match=f"'r1' to be queued. Found it {state}"):
        start(db, run, now)
    with pytest.raises(sqlite3.IntegrityError, match="does not go back"):
        change(db, "UPDATE runs SET attempt = 2")


def test_only_a_running_run_is_resumed(db: Database, run: RunId) -> None:
    with pytest.raises(RunStateError, match="to be running"), db.write() as tx:
        runs.resume_run(tx, run, pid=8, process_started_at=1.0)


@pytest.mark.parametrize("sql", ["state = 'queued', pid = NULL, process_started_at = NULL, started_at = NULL", "attempt = 0"])
def test_a_running_run_does_not_go_back(db: Database, run: RunId, now: datetime, sql: str) -> None:
    start(db, run, now)
    with pytest.raises(sqlite3.IntegrityError, match="does not go back"):
        change(db, f"UPDATE runs SET {sql}")


@pytest.mark.parametrize("column", ["snapshot_id", "recipe", "seed", "requested_by", "reason", "created_at"])
def test_a_run_keeps_what_was_ordered(db: Database, run: RunId, column: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="keeps what was ordered"):
        change(db, f"UPDATE runs SET {column} = {column}")


def test_a_run_is_not_deleted(db: Database, run: RunId) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="not deleted"):
        change(db, "DELETE FROM runs")


@pytest.mark.parametrize(
    "sql",
    [
        "state = 'failed', finished_at = '2027'",
        "state = 'cancelled', error = 'boom', finished_at = '2027'",
        "state = 'failed', error = ' ', finished_at = '2027'",
        "state = 'cancelled'",
        "finished_at = '2027'",
        "state = 'running', started_at = '2027'",
        "state = 'running', started_at = '2027', pid = 7",
        "state = 'running', pid = 7, process_started_at = 1.0",
        "pid = 7, process_started_at = 1.0",
        "started_at = '2027'",
        "state = 'succeeded', finished_at = '2027'",
        "state = 'rejected', finished_at = '2027'",
        "state = 'asleep'",
    ],
)
def test_states_that_contradict_themselves_are_refused(db: Database, run: RunId, sql: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        change(db, f"UPDATE runs SET {sql}")


def test_a_queued_run_can_be_cancelled(db: Database, run: RunId, now: datetime) -> None:
    cancelled = finish(db, run, RunState.CANCELLED, now)
    assert (cancelled.state, cancelled.started_at, cancelled.finished_at) == (RunState.CANCELLED, None, now)


def test_what_a_run_tells_is_kept_once_and_in_its_order(db: Database, run: RunId, now: datetime) -> None:
    first, second, third = (tell(number, now) for number in (1, 2, 3))
    for batch in ([second, first], [first, second, third]):
        with db.write() as tx:
            runs.append_events(tx, run, batch)
    assert runs.list_events(db.read(), run) == [first, second, third]
    assert runs.list_events(db.read(), run, after=2) == [third]
    assert runs.find_newest_event(db.read(), run) == third


def test_only_a_run_tells_something(db: Database, now: datetime) -> None:
    with pytest.raises(NotFoundError, match="a run 'nowhere'"), db.write() as tx:
        runs.append_events(tx, RunId("nowhere"), [tell(1, now)])


def test_an_event_is_numbered_from_one(db: Database, run: RunId, now: datetime) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"), db.write() as tx:
        runs.append_events(tx, run, [tell(0, now)])


@pytest.mark.parametrize("sql", ["UPDATE run_events SET step = 1", "DELETE FROM run_events"])
def test_what_a_run_told_is_append_only(db: Database, run: RunId, now: datetime, sql: str) -> None:
    with db.write() as tx:
        runs.append_events(tx, run, [tell(1, now)])
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        change(db, sql)


def test_a_report_is_kept_with_its_verdict(db: Database, run: RunId, now: datetime) -> None:
    assert runs.find_report(db.read(), run) is None
    with db.write() as tx:
        added = runs.add_report(tx, run, shape=1, report=REPORT, verdict=VERDICT, now=now)
    assert runs.find_report(db.read(), run) == added
    assert (added.shape, added.report, added.verdict, added.created_at) == (1, REPORT, VERDICT, now)


def test_a_run_has_one_report(db: Database, run: RunId, now: datetime) -> None:
    def add(key: str) -> None:
        with db.write() as tx:
            runs.add_report(tx, RunId(key), shape=1, report=REPORT, verdict=VERDICT, now=now)

    add(run)
    with pytest.raises(ReportExistsError, match="Found that 'r1' has one"):
        add(run)
    with pytest.raises(NotFoundError, match="a run 'nowhere'"):
        add("nowhere")


@pytest.mark.parametrize("report", ['{"shape": 1}', "[]", '{"items": 3}'])
def test_a_report_lists_what_was_asked(db: Database, run: RunId, now: datetime, report: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"), db.write() as tx:
        runs.add_report(tx, run, shape=1, report=report, verdict=VERDICT, now=now)


@pytest.mark.parametrize("sql", ["UPDATE reports SET decision = 'promote'", "UPDATE reports SET reasons = '[]'", "DELETE FROM reports"])
def test_a_verdict_stays(db: Database, run: RunId, now: datetime, sql: str) -> None:
    with db.write() as tx:
        runs.add_report(tx, run, shape=1, report=REPORT, verdict=VERDICT, now=now)
    with pytest.raises(sqlite3.IntegrityError, match=r"keeps its verdict|not deleted"):
        change(db, sql)
