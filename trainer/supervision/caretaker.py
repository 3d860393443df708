"""Brings a run to its end, whoever dies in between: begins its attempts, follows them, concludes. Effects only.

What becomes of a run, `aftermath` decides, and what goes live, the gate. A run is started, resumed or ended only with the lock in hand,
which the trainer inherits and which is free only when it and all its children are gone.
"""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feedback_db import releases, requests, runs
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.errors import FeedbackError
from feedback_db.recipe import read_recipe
from feedback_db.training_records import RequestKind, Run, RunEvent, RunId, RunState
from trainer.errors import RunNotStartedError, SnapshotChangedError, TrainerError
from trainer.planning import Plan, ServedBase
from trainer.run_directory import RunDirectory, RunSpec, write_run
from trainer.supervision import promotion
from trainer.supervision.aftermath import Aftermath, Step, judge_end
from trainer.supervision.forgetting import has_learned_erased
from trainer.supervision.orders import end_run, find_material
from trainer.supervision.process_lock import TRAINER_LOCK, is_alive, take_lock
from trainer.supervision.trainer_process import abandon, ask_to_end, end_leftovers, let_go, read_start_time, spawn_trainer
from trainer.verdict import GatePolicy

_LAST_WORDS_S = 5.0  # how long a process that has let go of the lock may take to be gone

_PAUSE_S = 0.1  # between two looks whether a trainer has ended


@dataclass(slots=True, kw_only=True)
class Caretaker:
    """Looks after the run under way; `command` is what trains a run directory."""

    db: Database
    audit: Audit
    folder: Path
    plan: Plan
    served: ServedBase
    gate: GatePolicy
    command: Sequence[str]
    _trainer: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _told: dict[RunId, int] = field(default_factory=dict, init=False)

    def take_lock(self) -> int | None:
        """Take the lock that says that nobody trains; None if somebody does."""
        return take_lock(self.folder / TRAINER_LOCK)

    def look_after(self, now: datetime) -> None:
        """Take the run under way a step further, if there is one."""
        run = runs.find_active_run(self.db.read())
        if run is None:
            return
        self._tail(run)
        lock = self.take_lock()
        if lock is None:
            self._attend(run)
            return
        try:
            self._take_further(run, lock, now)
        finally:
            os.close(lock)

    def begin(self, run: Run, lock: int, now: datetime) -> None:
        """Start a queued run, or the next attempt of one whose trainer is gone."""
        try:
            self._prepare(run)
            process = spawn_trainer(self.command, self._directory(run).folder, lock)
        except (TrainerError, FeedbackError, OSError) as error:
            told = RunNotStartedError(self._directory(run).folder, error) if isinstance(error, OSError) else error
            self._end(run, RunState.FAILED, error=str(told), now=now)
            return
        try:
            self._record_start(run, process, now)
        except BaseException:
            abandon(process)
            raise
        let_go(process)
        self._trainer = process

    def cancel(self, run: Run) -> None:
        """Ask a run's trainer and its children to save and end."""
        if run.pid is not None and run.process_started_at is not None:
            ask_to_end(run.pid, run.process_started_at)

    def end_trainer(self, run: Run, *, wait_s: float) -> bool:
        """Have a run's trainer save and end, and say whether it has within so many seconds; the run is resumed some other time."""
        self.cancel(run)
        until = time.monotonic() + wait_s
        while run.pid is not None and run.process_started_at is not None and is_alive(run.pid, run.process_started_at):
            if time.monotonic() > until:
                return False
            time.sleep(_PAUSE_S)
            self.stop()  # or it would stay as a zombie
        return True

    def stop(self) -> None:
        """Let go of the trainer, which goes on; the next supervisor adopts it."""
        if self._trainer is not None:
            self._trainer.poll()

    def _attend(self, run: Run) -> None:
        """Do what a run under way needs: pass on that it is to end, and end children that have outlived their trainer."""
        if self._is_cancelled() or has_learned_erased(self.db.read(), run, salt=self.audit.salt):
            self.cancel(run)
        if run.pid is not None and run.process_started_at is not None and not is_alive(run.pid, run.process_started_at):
            end_leftovers(run.pid, run.process_started_at)

    def _take_further(self, run: Run, lock: int, now: datetime) -> None:
        """Start, resume or end a run that nobody trains; the lock is held."""
        return_code = self._bury(run)
        if run.pid is not None and run.process_started_at is not None and is_alive(run.pid, run.process_started_at):
            return  # it has let go of the lock only to end
        if run.state is RunState.QUEUED:
            end = Aftermath(step=Step.CANCEL if self._is_cancelled() else Step.RESUME)
        else:
            self._tail(run)
            directory = self._directory(run)
            end = judge_end(
                list(directory.read_events()),
                attempt=run.attempt,
                has_report=directory.report.exists(),
                is_cancelled=self._is_cancelled(),
                return_code=return_code,
            )
        if end.step is Step.RESUME:
            self.begin(run, lock, now)
        elif end.step is Step.CONCLUDE:
            self._conclude(run, now)
        else:
            self._end(run, RunState.CANCELLED if end.step is Step.CANCEL else RunState.FAILED, error=end.error, now=now)

    def _record_start(self, run: Run, process: "subprocess.Popen[bytes]", now: datetime) -> None:
        pid, started_at = process.pid, read_start_time(process)
        with self.db.write() as tx:
            if run.state is RunState.QUEUED:
                started = runs.start_run(tx, run.id, pid=pid, process_started_at=started_at, now=now)
            else:
                started = runs.resume_run(tx, run.id, pid=pid, process_started_at=started_at)
            self.audit.append(tx, actor=None, action="start_run", subject=run.id, details={"attempt": started.attempt}, now=now)

    def _prepare(self, run: Run) -> None:
        """Write the run's directory, unless it is whole and an earlier attempt has worked in it.

        Raises:
            SnapshotChangedError: something was erased, or its consent withdrawn, since the run was ordered.
        """
        directory, material = self._directory(run), find_material(self.db.read(), run, salt=self.audit.salt)
        if run.state is RunState.RUNNING and directory.folder.exists():
            return
        recipe = read_recipe(run.recipe)
        spec = RunSpec(
            run_id=run.id,
            snapshot_id=run.snapshot_id,
            base=self.served.name,
            revision=self.served.revision,
            quantisation=self.served.quantisation,
            device=self.served.device,
            template_hash=self.served.template_hash,
            system_message=self.served.system_message,
            recipe=recipe,
            hashes={},
            unwatched_count=len(material.unwatched),
        )
        write_run(directory.folder, spec, self.plan(material, recipe), incumbent=self._find_incumbent())

    def _conclude(self, run: Run, now: datetime) -> None:
        """Judge what a finished run left, and make it a release, unless it has learned what was erased meanwhile."""
        try:
            result = promotion.read_result(self._directory(run))
        except (TrainerError, FeedbackError) as error:
            self._end(run, RunState.FAILED, error=str(error), now=now)
            return
        try:
            with self.db.write() as tx:
                find_material(tx, run, salt=self.audit.salt)
                verdict = promotion.judge_result(tx, result, self.gate)
                promotion.record_result(tx, self.audit, run.id, result, verdict, sampling=self.served.sampling, now=now)
        except SnapshotChangedError as error:
            self._end(run, RunState.FAILED, error=str(error), now=now)

    def _end(self, run: Run, state: RunState, *, error: str | None, now: datetime) -> None:
        with self.db.write() as tx:
            end_run(tx, self.audit, run.id, state, error=error, now=now)

    def _tail(self, run: Run) -> None:
        """Keep what the trainer has told since the last time."""
        if run.id not in self._told:
            newest = runs.find_newest_event(self.db.read(), run.id)
            self._told[run.id] = 0 if newest is None else newest.number
        new = list(enumerate(self._directory(run).read_events(after=self._told[run.id]), start=self._told[run.id] + 1))
        if new:
            with self.db.write() as tx:
                runs.append_events(tx, run.id, [_to_run_event(number, event) for number, event in new])
            self._told[run.id] = new[-1][0]

    def _bury(self, run: Run) -> int | None:
        """Return the code with which a run's trainer has ended, None where it was another process' child."""
        if self._trainer is None or self._trainer.pid != run.pid:
            return None
        with suppress(subprocess.TimeoutExpired):
            return self._trainer.wait(_LAST_WORDS_S)
        return None

    def _find_incumbent(self) -> Path | None:
        """Return the live release's adapter, None for the bare base."""
        live = releases.find_live(self.db.read())
        return None if live is None or live[1].run_id is None else RunDirectory(self.folder / live[1].run_id).adapter

    def _is_cancelled(self) -> bool:
        return any(request.kind is RequestKind.CANCEL for request in requests.list_open(self.db.read()))

    def _directory(self, run: Run) -> RunDirectory:
        return RunDirectory(self.folder / run.id)


def _to_run_event(number: int, told: Mapping[str, Any]) -> RunEvent:
    return RunEvent(
        number=number,
        happened_at=datetime.fromtimestamp(told.get("at", 0.0), UTC),
        phase=told["phase"],
        step=told.get("step"),
        details={name: value for name, value in told.items() if name not in {"at", "phase", "step"}},
    )
