"""Looks after training as a whole: takes in what was approved, answers what was asked, starts a run when one is due. Effects only.

What is due and what contradicts what, pure modules decide; the run under way is the caretaker's. Knows no torch.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import sleep

from feedback_db import requests, runs
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.errors import EmptySnapshotError, NotTrainableError
from feedback_db.forecast import Forecast
from feedback_db.recipe import Recipe, read_recipe
from feedback_db.records import PersonId
from feedback_db.training_records import Deployment, ExampleId, Request, RequestKind, Run
from trainer.planning import Plan, ServedBase
from trainer.schedule import Due, Facts, NotYet, SchedulePolicy, assess, find_obstacle
from trainer.supervision import promotion
from trainer.supervision.caretaker import Caretaker
from trainer.supervision.forgetting import clean_up
from trainer.supervision.intake import merge_wordings, settle_contradictions, take_in
from trainer.supervision.orders import gather, hash_material, name_material, order_run
from trainer.supervision.outlook import foresee, is_settled, read_facts, read_version, tell_dry_run
from trainer.supervision.trainer_process import COMMAND
from trainer.verdict import GatePolicy

_PAUSE_S = 0.2
Publish = Callable[[str, float | None], None]


class Supervisor:
    """Ticks; each tick takes what has happened since the last one a step further, and may die at any point."""

    def __init__(
        self,
        db: Database,
        audit: Audit,
        runs_folder: Path,
        plan: Plan,
        *,
        served: ServedBase,
        recipe: Recipe | None = None,
        schedule: SchedulePolicy | None = None,
        gate: GatePolicy | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """Take what it works with; `command` is what trains a run directory."""
        self._db, self._audit, self._plan, self._served = db, audit, plan, served
        self._recipe, self._schedule = recipe or Recipe(), schedule or SchedulePolicy()
        self._caretaker = Caretaker(
            db=db, audit=audit, folder=runs_folder, plan=plan, served=served, gate=gate or GatePolicy(), command=command
        )
        self._folder = runs_folder
        self._known: tuple[object, bool, int] | None = None
        self._ticking = threading.Lock()

    def tick(self, now: datetime) -> None:
        """Look after the active run, take in what was approved, answer what was asked, start a run if one is due.

        A part that fails does not keep the others from their work; the first failure is raised at the end, and the next tick tries again.
        """
        failures: list[Exception] = []
        with self._ticking:
            for part in (self._caretaker.look_after, self._take_in, self._answer_all, self._follow_schedule, self._forget, self._publish):
                try:
                    part(now)
                except Exception as error:  # noqa: BLE001  raised below
                    failures.append(error)
        if failures:
            raise failures[0]

    def run_until_idle(self, clock: Callable[[], datetime], *, publish: Publish) -> None:
        """Tick until no run is under way; `publish` is told what the trainer does and, as a share, how much of that is done."""
        self.tick(clock())
        while (run := runs.find_active_run(self._db.read())) is not None:
            event = runs.find_newest_event(self._db.read(), run.id)
            publish(*(("starting", None) if event is None else runs.tell_event(event)))
            sleep(_PAUSE_S)
            self.tick(clock())

    def reconfigure(self, plan: Plan, *, served: ServedBase, schedule: SchedulePolicy, now: datetime) -> None:
        """Go on with another system message and schedule; a run under way keeps those that it began with."""
        with self._ticking:
            self._plan = self._caretaker.plan = plan
            self._served = self._caretaker.served = served
            if schedule != self._schedule:
                self._schedule = schedule
                with self._db.write() as tx:  # the look that was announced is the old schedule's
                    requests.publish_status(tx, is_due=False, reasons=["The schedule was changed."], next_look_at=None, now=now)
            self._known = None

    def stop(self) -> None:
        """Let go of the trainer, which goes on; the next supervisor adopts it."""
        with self._ticking:
            self._caretaker.stop()

    def end_trainer(self, *, wait_s: float) -> bool:
        """Have the trainer save and end, which the next supervisor resumes; say whether it has ended within so many seconds."""
        with self._ticking:
            run = runs.find_active_run(self._db.read())
            return run is None or self._caretaker.end_trainer(run, wait_s=wait_s)

    def cancel(self, run: Run) -> None:
        """Ask a run's trainer and its children to save and end."""
        self._caretaker.cancel(run)

    def promote(self, version: int, *, actor: PersonId | None, reason: str, now: datetime) -> Deployment:
        """Wish that a release be live; see `promotion.promote` for what it raises."""
        with self._db.write() as tx:
            deployment = promotion.promote(tx, self._audit, version, actor=actor, reason=reason, now=now)
        self._audit.publish_head(self._db)
        return deployment

    def roll_back(self, *, actor: PersonId | None, reason: str, now: datetime) -> Deployment:
        """Wish that what was live before be live again; see `promotion.roll_back` for what it raises."""
        with self._db.write() as tx:
            deployment = promotion.roll_back(tx, self._audit, actor=actor, reason=reason, now=now)
        self._audit.publish_head(self._db)
        return deployment

    def _take_in(self, now: datetime) -> None:
        take_in(self._db, self._audit, self._served, now=now)

    def _answer_all(self, now: datetime) -> None:
        for request in requests.list_open(self._db.read()):
            self._answer(request, now)

    def _forget(self, now: datetime) -> None:
        """Finish what an erasure has left, once no run is under way that may hold it."""
        if runs.find_active_run(self._db.read()) is None:
            clean_up(self._db, self._folder, now=now)

    def _publish(self, _: datetime) -> None:
        self._audit.publish_head(self._db)

    def _answer(self, request: Request, now: datetime) -> None:
        """Close a request that can be answered at once; one for a run waits until it starts, a cancellation until the run has ended."""
        active = runs.find_active_run(self._db.read())
        outcome, forecast = None, None
        if request.kind is RequestKind.DRY_RUN:
            outcome, forecast = self._try_out(request, now)
        elif request.kind is RequestKind.CANCEL and active is None:
            outcome = "No run is under way."
        elif request.kind is RequestKind.CANCEL and active is not None:
            self._caretaker.cancel(active)
        elif active is None and (obstacle := find_obstacle(self._read_facts(now))) is not None:
            outcome = f"No run was started: {obstacle}"
        if outcome is not None:
            with self._db.write() as tx:
                requests.handle(tx, request.id, outcome=outcome, forecast=forecast, now=now)

    def _try_out(self, request: Request, now: datetime) -> tuple[str, Forecast | None]:
        """Say what a run would do that somebody asked for now, and foresee it where one would start."""
        found = assess(replace(self._read_facts(now), is_requested=True), self._schedule, now)
        if isinstance(found, NotYet):
            return f"No run would start: {' '.join(found.reasons)}", None
        reader, recipe = self._db.read(), self._find_recipe(request)
        gathered = gather(reader, self._served, until=now)
        rows = self._plan(gathered.material, recipe)
        return tell_dry_run(rows, gathered.too_long), foresee(reader, gathered.material, rows, recipe, self._served)

    def _follow_schedule(self, now: datetime) -> None:
        """Start a run if one is due, and publish why or why not."""
        found = assess(self._read_facts(now), self._schedule, now)
        if isinstance(found, Due):
            self._start(found, now)
            return
        said = requests.read_status(self._db.read())
        if said is None or said.is_due or (said.reasons, said.next_look_at) != (found.reasons, found.next_look_at):
            with self._db.write() as tx:
                requests.publish_status(tx, is_due=False, reasons=found.reasons, next_look_at=found.next_look_at, now=now)

    def _read_facts(self, now: datetime) -> Facts:
        """Return what the schedule must know; what takes long to find out is found out anew only where something has changed."""
        version = read_version(self._db.read())
        if self._known is None or self._known[0] != version:
            gathered = gather(self._db.read(), self._served, until=now)
            snapshot_id = name_material(gathered.material, self._audit.salt)
            self._known = version, is_settled(self._db.read(), snapshot_id, self._recipe), len(gathered.too_long)
        return replace(read_facts(self._db.read()), is_settled=self._known[1], too_long=self._known[2])

    def _start(self, due: Due, now: datetime) -> None:
        """Order a run and start it; where the trainer of the last one has still to end, the next tick does."""
        lock = self._caretaker.take_lock()
        if lock is None:
            return
        try:
            settle_contradictions(self._db, self._audit, now=now)
            merge_wordings(self._db, now=now)
            hashes = hash_material(gather(self._db.read(), self._served, until=now).material, self._audit.salt)
            with suppress(NotTrainableError, EmptySnapshotError):  # withdrawn this very moment; the next tick goes on without it
                self._caretaker.begin(self._order(hashes, due, now), lock, now)
        finally:
            os.close(lock)

    def _order(self, hashes: Mapping[ExampleId, str], due: Due, now: datetime) -> Run:
        """Take the snapshot, queue the run and answer who asked for it: all of it or nothing."""
        with self._db.write() as tx:
            asked = [request for request in requests.list_open(tx) if request.kind is RequestKind.TRAIN]
            by, recipe = (asked[0].person_id, self._find_recipe(asked[0])) if asked else (None, self._recipe)
            run = order_run(tx, self._audit, hashes, recipe, requested_by=by, reason=due.reason, now=now)
            for request in asked:
                if self._find_recipe(request) == recipe:  # who asks for another one gets a run of their own after this
                    requests.handle(tx, request.id, outcome=f"Run '{run.id}' was started.", now=now)
            look = self._schedule.next_look(now)
            requests.publish_status(tx, is_due=True, reasons=[due.reason], next_look_at=look, now=now)
        return run

    def _find_recipe(self, request: Request) -> Recipe:
        return self._recipe if request.recipe is None else read_recipe(request.recipe)
