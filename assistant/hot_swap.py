"""Follows the deployments: makes the wish for a release the fact that the engine serves it, and records it.

Where the fact cannot become the wish, the wish gives way: a release that the engine refuses is rolled back.
"""

import textwrap
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from assistant.engine.base_model import BaseModel
from assistant.engine.live import LiveAssistant, ServedRelease
from assistant.engine.rendering import hash_template
from assistant.engine.reply import Sampling
from assistant.errors import AssistantClosedError, AssistantError, ReleaseRefusedError
from feedback_db import releases
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.errors import HostileTextError, NothingToRollBackError, TextTooLongError
from feedback_db.text_checks import check_text
from feedback_db.training_records import Deployment, DeploymentId, Release, Swap

_TRY_AGAIN_AFTER = timedelta(seconds=30)
_MAX_REASON_CHARS = 1000


class HotSwap:
    """Keeps one live assistant at what is deployed; `runs_folder` holds the runs, and in them the adapters."""

    def __init__(self, db: Database, audit: Audit, live: LiveAssistant, runs_folder: Path) -> None:
        self._db, self._audit, self._live, self._runs_folder = db, audit, live, runs_folder
        self._tried: DeploymentId | None = None  # of this process: the newest deployment that was tried
        self._again_at: datetime | None = None  # when it is tried again, None where it is settled

    def sync_once(self, *, now: datetime) -> Swap | None:
        """Swap to the release that is deployed, unless that is settled; return what came of it, None where nothing new did.

        A refused release leaves the old one serving and is rolled back, so that the next call swaps to the one before it; while nothing
        is served at all, this call goes on to it at once. Where only memory was short, the deployment stays and is tried again later.
        """
        last = None
        while (swap := self._follow(now)) is not None:
            last = swap
            if self._live.status().version is not None:
                break
        return last

    def _follow(self, now: datetime) -> Swap | None:
        """Try the newest deployment once, if it is due; return what is worth a record, None where nothing is."""
        found = releases.find_live(self._db.read())
        if found is None or (found[0].id == self._tried and (self._again_at is None or now < self._again_at)):
            return None
        deployment, release = found
        error, duration_ms = None, 0.0
        try:
            duration_ms = self._live.swap_to(describe_release(release, self._runs_folder))
        except AssistantClosedError:
            return None
        except AssistantError as refused:
            error = refused
        is_settled = error is None or isinstance(error, ReleaseRefusedError)
        swap = None
        if is_settled or deployment.id != self._tried:
            swap = self._record(deployment, error, duration_ms, now)
        self._tried, self._again_at = deployment.id, None if is_settled else now + _TRY_AGAIN_AFTER
        return swap

    def _record(self, deployment: Deployment, error: AssistantError | None, duration_ms: float, now: datetime) -> Swap:
        """Record a swap, or a refusal and, if it is for good and nobody has deployed another release meanwhile, the rollback."""
        told = None if error is None else str(error)
        with self._db.write() as tx:
            swap = releases.record_swap(tx, deployment.id, version=deployment.version, error=told, duration_ms=duration_ms, now=now)
            newest = releases.find_live(tx)
            if isinstance(error, ReleaseRefusedError) and newest is not None and newest[0].id == deployment.id:
                with suppress(NothingToRollBackError):
                    releases.roll_back(tx, self._audit, actor=None, reason=_word_reason(deployment.version, error), now=now)
        return swap


def _word_reason(version: int, error: ReleaseRefusedError) -> str:
    """Say why a release is rolled back, in a text that may be stored: the error can quote names out of an adapter's files."""
    reason = textwrap.shorten(f"The engine refused release {version}. {error}", _MAX_REASON_CHARS, placeholder=" …")
    try:
        return check_text(reason, what="a reason", max_chars=_MAX_REASON_CHARS)
    except (HostileTextError, TextTooLongError):
        return f"The engine refused release {version}; its swap says why."


def describe_release(release: Release, runs_folder: Path) -> ServedRelease:
    """Return what the engine needs of a release whose run's files lie in `runs_folder`."""
    return ServedRelease(
        version=release.version,
        revision=release.revision,
        quantisation=release.quantisation,
        template_hash=release.template_hash,
        adapter=None if release.run_id is None else adapter_folder(runs_folder, release.run_id),
        adapter_hash=release.adapter_hash,
    )


def adapter_folder(runs_folder: Path, run_id: str) -> Path:
    """Return where a run leaves its adapter."""
    return runs_folder / run_id / "adapter"


def deploy_base(db: Database, audit: Audit, base: BaseModel, *, system_message: str | None, sampling: Sampling, now: datetime) -> Release:
    """Make sure that there is a release of this base, and that one of it is live; return the live one.

    A live release with an adapter for this base stays, under the system message that it was trained with.
    """
    with db.write() as tx:
        found = releases.find_live(tx)
        if found is not None and _is_of(found[1], base):
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
        releases.deploy(tx, audit, release.version, actor=None, reason="The base as the settings name it.", now=now)
        return release


def _is_of(release: Release, base: BaseModel) -> bool:
    return (release.revision, release.quantisation, release.template_hash) == (
        base.revision,
        base.quantisation,
        hash_template(base.tokenizer),
    )
