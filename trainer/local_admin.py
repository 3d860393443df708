"""An admin's deeds on a data folder that no Errata serves at the moment, done by this process itself."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from assistant.api.admin_view import describe_release, describe_run, describe_state, summarise_training
from assistant.api.keys import OPERATOR
from assistant.settings import Settings
from feedback_db import people, releases, requests, runs
from feedback_db.database import Transaction, open_reader
from feedback_db.records import PersonId
from feedback_db.training_records import RequestKind
from trainer.memory import database_path, open_memory
from trainer.supervision import promotion

Publish = Callable[[str, float | None], None]  # is told what is done, and how much of that as a share


class LocalAdmin:
    """Does for one data folder what `RemoteAdmin` asks for; each deed opens the memory by itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def train(self, reason: str, *, publish: Publish) -> dict[str, Any]:
        """Train on all approved corrections, publish how the run goes on, and return what came of it.

        Raises:
            AssistantError, FeedbackError: the base cannot be loaded, or the memory not be opened.
        """
        from trainer.composition import open_errata  # noqa: PLC0415  torch is imported late

        with open_errata(self._settings) as errata:
            now = datetime.now(UTC)
            with errata.db.write() as tx:
                request = requests.add_request(tx, RequestKind.TRAIN, person_id=find_operator(tx, now), reason=reason, now=now)
            before = {run.id for run in runs.list_runs(errata.db.read())}
            errata.supervisor.run_until_idle(lambda: datetime.now(UTC), publish=publish)
            errata.hot_swap.sync_once(now=datetime.now(UTC))
            reader = errata.db.read()
            run = next((run for run in runs.list_runs(reader) if run.id not in before), None)
            outcome = requests.find_request(reader, request.id).outcome
            return summarise_training(outcome, None if run is None else describe_run(reader, run), live=errata.live.status().version)

    def promote(self, version: int, reason: str) -> str:
        """Put a version live; return a sentence that says what comes of it."""
        now = datetime.now(UTC)
        with open_memory(self._settings) as (db, audit), db.write() as tx:
            promotion.promote(tx, audit, version, actor=find_operator(tx, now), reason=reason, now=now)
        return f"Version {version} goes live with the next start."

    def roll_back(self, reason: str) -> str:
        """Put live again what was live before; return a sentence that says what comes of it."""
        now = datetime.now(UTC)
        with open_memory(self._settings) as (db, audit), db.write() as tx:
            deployment = promotion.roll_back(tx, audit, actor=find_operator(tx, now), reason=reason, now=now)
        return f"Version {deployment.version} goes live with the next start."

    def cancel(self, reason: str) -> str:
        """Ask for the end of the run under way, which the next start sees to; return a sentence that says what comes of it."""
        now = datetime.now(UTC)
        with open_memory(self._settings) as (db, _), db.write() as tx:
            active = runs.find_active_run(tx)
            if active is None:
                return "No run is under way."
            requests.add_request(tx, RequestKind.CANCEL, person_id=find_operator(tx, now), reason=reason, now=now)
        return f"Run '{active.id}' ends with the next start."

    def read_state(self) -> dict[str, Any]:
        """Return what is live, what is being trained, and when the schedule looks next."""
        with open_reader(database_path(self._settings)) as reader:
            return describe_state(reader)

    def list_runs(self) -> list[dict[str, Any]]:
        """Return the runs, the newest first."""
        with open_reader(database_path(self._settings)) as reader:
            return [describe_run(reader, run) for run in runs.list_runs(reader)]

    def list_versions(self) -> list[dict[str, Any]]:
        """Return the versions, the newest first."""
        with open_reader(database_path(self._settings)) as reader:
            return [describe_release(reader, release) for release in releases.list_releases(reader)]


def find_operator(tx: Transaction, now: datetime) -> PersonId:
    """Return who acts from the command line: somebody with the machine's rights, and no account."""
    return people.find_or_add_external(tx, PersonId(uuid.uuid4().hex), name=OPERATOR, now=now).id
