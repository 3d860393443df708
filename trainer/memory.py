"""The memory of one data folder: where it lies, how it is opened for writing, and how it is copied whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assistant.settings import Settings
from feedback_db import releases
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.errors import BackupExistsError

_KEY, _HEAD = "audit.key", "audit.head"
_RUN_PARTS = ("run.json", "adapter")


def database_path(settings: Settings) -> Path:
    """Return where the database lies."""
    return settings.data_folder / "errata.db"


@contextmanager
def open_memory(settings: Settings) -> Iterator[tuple[Database, Audit]]:
    """Open the database for writing, with its audit, whose head is published at the end; see `Database` for what it raises."""
    with Database(database_path(settings)) as db:
        audit = Audit(settings.data_folder / _KEY, settings.data_folder / _HEAD)
        try:
            yield db, audit
        finally:
            audit.publish_head(db)


def back_up(settings: Settings, db: Database, target: Path) -> None:
    """Copy all that a data folder needs to go on: the database, the audit's key and head, the adapters of the releases.

    Written aside and renamed, so that a backup that exists is whole; to restore it, put it in the place of the data folder.

    Raises:
        BackupExistsError: something is at the target already.
        DiskFullError: no room; nothing is left behind.
    """
    if target.exists():
        raise BackupExistsError(target)
    aside = target.with_name(f".{target.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, mode=0o700)
    try:
        db.back_up(aside / database_path(settings).name)
        shutil.copy2(settings.data_folder / _KEY, aside / _KEY)
        if (settings.data_folder / _HEAD).exists():  # it is not there before the first row
            shutil.copy2(settings.data_folder / _HEAD, aside / _HEAD)
        for release in releases.list_releases(db.read()):
            if release.run_id is not None:
                _copy_run(settings.data_folder / "runs" / release.run_id, aside / "runs" / release.run_id)
        aside.replace(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _copy_run(run: Path, target: Path) -> None:
    """Copy what a release is served from; texts that were trained stay behind."""
    for name in _RUN_PARTS:
        source = run / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        elif source.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
