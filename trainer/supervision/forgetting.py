"""Forgets a conversation or a person everywhere: in the database, in the run under way, in the folders of runs, in the log of writes.

What is gone from the database is taken out of the files after that; whoever dies in between, the next tick finishes it.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

from feedback_db import erasure, runs
from feedback_db.audit import Audit
from feedback_db.database import Database, Reader
from feedback_db.erasure import Erased
from feedback_db.errors import RunStateError, TracesLeftError
from feedback_db.records import ConversationId, PersonId
from feedback_db.training_records import Run, RunId, RunState
from trainer.errors import SnapshotChangedError
from trainer.supervision.orders import end_run, find_material
from trainer.supervision.process_lock import TRAINER_LOCK, take_lock
from trainer.supervision.trainer_process import ask_to_end

_KEPT = frozenset({"run.json", "adapter", "incumbent"})  # hashes, settings and weights; no text
_PAUSE_S = 0.1
_LEARNED_ERASED = "What it was learning from was erased. A new run goes on without it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was erased, and what is left for the next tick.

    `emptied` are runs whose folders were emptied; `run_to_end` has learned of it and could not be ended yet, None for none;
    `is_log_emptied` is False while somebody who reads the database keeps the text in its log of writes.
    """

    erased: Erased
    emptied: tuple[str, ...]
    run_to_end: RunId | None
    is_log_emptied: bool


def forget(
    db: Database,
    audit: Audit,
    runs_folder: Path,
    subject: str,
    *,
    is_person: bool,
    actor: PersonId | None,
    wait_s: float,
    now: datetime,
) -> Forgotten:
    """Erase a conversation or a person, end a run that learns from it, and take the text out of all files.

    Args:
        db: the database.
        audit: what records it.
        runs_folder: where the runs lie.
        subject: the id of the conversation or the person.
        is_person: which of the two it is.
        actor: who asks for it, None for somebody at the command line.
        wait_s: how long to wait for a trainer to end, in seconds; after that the next tick finishes what is left.
        now: the moment.

    Raises:
        NotFoundError: there is none of this id.
    """
    with db.write() as tx:
        if is_person:
            erased = erasure.erase_person(tx, PersonId(subject), now=now)
        else:
            erased = erasure.erase_conversation(tx, ConversationId(subject), now=now)
        audit.append(tx, actor=actor, action="erase", subject=subject, details=dict(erased.counts), now=now)
    run_to_end = _end_learner(db, audit, runs_folder, wait_s, now)
    emptied = _empty_ended(db, runs_folder)
    try:
        clean_up(db, runs_folder, now=now)
    except TracesLeftError:  # the erasure itself is done, and what has learned from it must be told
        return Forgotten(erased=erased, emptied=tuple(emptied), run_to_end=run_to_end, is_log_emptied=False)
    return Forgotten(erased=erased, emptied=tuple(emptied), run_to_end=run_to_end, is_log_emptied=True)


def has_learned_erased(reader: Reader, run: Run, *, salt: bytes) -> bool:
    """Say whether something of what a run learns from was erased since it was ordered."""
    if not erasure.list_uncleaned(reader):
        return False
    try:
        find_material(reader, run, salt=salt)
    except SnapshotChangedError:
        return True
    return False


def clean_up(db: Database, runs_folder: Path, *, now: datetime) -> None:
    """Take the text of what was erased out of all files but a run's that is under way.

    Raises:
        TracesLeftError: somebody reads the database all the time, so the text is in its log of writes still.
    """
    uncleaned, active = erasure.list_uncleaned(db.read()), runs.find_active_run(db.read())
    if not uncleaned:
        return
    _empty_ended(db, runs_folder)
    db.erase_traces()
    if active is None:
        with db.write() as tx:
            for one in uncleaned:
                erasure.record_cleaned(tx, one.id, now=now)


def _empty_ended(db: Database, runs_folder: Path) -> list[str]:
    active = runs.find_active_run(db.read())
    return empty_runs(runs_folder, [] if active is None else [active.id])


def empty_runs(runs_folder: Path, active: Iterable[str] = ()) -> list[str]:
    """Delete questions, replies, checkpoints, reports and logs from every run's folder but the active ones; return the runs concerned.

    All of them, since replay and guard questions may come from anybody's conversation. The database keeps the reports, scrubbed.
    """
    concerned, spared = [], {name for one in active for name in (one, f".{one}.part")}  # one is being written aside, perhaps
    for folder in _list_runs(runs_folder):
        texts = [path for path in folder.iterdir() if path.name not in _KEPT]
        if folder.name in spared or not texts:
            continue
        for path in texts:
            _delete(path)
        concerned.append(folder.name)
    return concerned


def list_backups_before(data_folder: Path, moment: datetime) -> list[Path]:
    """Return the backups older than a moment, those made before a migration included: they hold still what was erased since."""
    found = [*(data_folder / "backups").glob("*"), *data_folder.glob("errata.before-*.db")]
    return sorted(path for path in found if path.stat().st_mtime < moment.timestamp())


def _end_learner(db: Database, audit: Audit, runs_folder: Path, wait_s: float, now: datetime) -> RunId | None:
    """End the run under way if it learns from what was erased; return it if its trainer is still at work."""
    run = runs.find_active_run(db.read())
    if run is None or not has_learned_erased(db.read(), run, salt=audit.salt):
        return None
    if run.pid is not None and run.process_started_at is not None:
        ask_to_end(run.pid, run.process_started_at)
    lock = _wait_for_lock(runs_folder / TRAINER_LOCK, wait_s)
    if lock is None:
        return run.id
    try:
        with suppress(RunStateError), db.write() as tx:  # the supervisor may have ended it meanwhile
            end_run(tx, audit, run.id, RunState.FAILED, error=_LEARNED_ERASED, now=now)
    finally:
        os.close(lock)
    return None


def _wait_for_lock(path: Path, wait_s: float) -> int | None:
    deadline = monotonic() + wait_s
    while (lock := take_lock(path)) is None and monotonic() < deadline:
        sleep(_PAUSE_S)
    return lock


def _list_runs(runs_folder: Path) -> Sequence[Path]:
    return sorted(path for path in runs_folder.iterdir() if path.is_dir()) if runs_folder.is_dir() else []


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
