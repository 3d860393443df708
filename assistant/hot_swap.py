"""Follows the deployments: makes the wish for a release the fact that the engine serves it, and records it."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from assistant.engine.base_model import BaseModel
from assistant.engine.live import LiveAssistant, ServedRelease
from assistant.engine.rendering import hash_template
from assistant.engine.reply import Sampling
from assistant.errors import AssistantError
from feedback_db import releases
from feedback_db.database import Database
from feedback_db.training_records import DeploymentId, Release, Swap


class HotSwap:
    """Keeps one live assistant at what is deployed; `runs_folder` holds the runs, and in them the adapters."""

    def __init__(self, db: Database, live: LiveAssistant, runs_folder: Path) -> None:
        self._db, self._live, self._runs_folder = db, live, runs_folder
        self._done: DeploymentId | None = None  # of this process: the newest deployment that was tried

    def sync_once(self, *, now: datetime) -> Swap | None:
        """Swap to the release that is deployed, if it has not been tried yet; return what came of it, None where nothing was to do.

        A refused release leaves the old one serving, and is not tried again before the next deployment or start.
        """
        found = releases.find_live(self._db.read())
        if found is None or found[0].id == self._done:
            return None
        deployment, release = found
        error, duration_ms = None, 0.0
        try:
            duration_ms = self._live.swap_to(ServedRelease(version=release.version, adapter=self._adapter_of(release)))
        except AssistantError as refused:
            error = str(refused)
        self._done = deployment.id
        with self._db.write() as tx:
            return releases.record_swap(tx, deployment.id, version=release.version, error=error, duration_ms=duration_ms, now=now)

    def _adapter_of(self, release: Release) -> Path | None:
        return None if release.run_id is None else adapter_folder(self._runs_folder, release.run_id)


def adapter_folder(runs_folder: Path, run_id: str) -> Path:
    """Return where a run leaves its adapter."""
    return runs_folder / run_id / "adapter"


def deploy_base(db: Database, base: BaseModel, *, system_message: str | None, sampling: Sampling, now: datetime) -> Release:
    """Make sure that there is a release of this base, and that one of it is live; return the live one.

    A live release with an adapter for this base stays, under the system message that it was trained with.
    """
    with db.write() as tx:
        found = releases.find_live(tx)
        if found is not None and found[1].revision == base.revision:
            live = found[1]
            if live.run_id is not None or (live.system_message, dict(live.sampling)) == (system_message, asdict(sampling)):
                return live
        release = releases.add_release(
            tx,
            base=base.name,
            revision=base.revision,
            quantisation=base.quantisation,
            template_hash=hash_template(base.tokenizer),
            system_message=system_message,
            sampling=asdict(sampling),
            now=now,
        )
        releases.deploy(tx, release.version, actor=None, reason="The base as the settings name it.", now=now)
        return release
