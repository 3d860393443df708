"""The memory of one data folder: where it lies, how it is opened for writing, and how it is copied whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assistant.settings import Settings
from feedback_db import releases
from feedback_db.audit import Audit
from feedback_db.database import Database, Reader
from feedback_db.errors import BackupExistsError
from trainer.errors import BackupError, DataFolderError

_KEY, _HEAD = "audit.key", "audit.head"


def database_path(settings: Settings) -> Path:
    """Return where the database lies."""
    return settings.data_folder / "errata.db"


@contextmanager
def open_memory(settings: Settings) -> Iterator[tuple[Database, Audit]]:
    """Open the database for writing, with its audit, whose head is published at the end; see `Database` for what else it raises.

    Raises:
        DataFolderError: the data folder cannot be made or written.
    """
    try:
        settings.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # it holds what people wrote
        database_path(settings).with_name(f"{database_path(settings).name}.lock").touch(0o600)
    except OSError as error:
        raise DataFolderError(settings.data_folder, error.strerror or str(error)) from error
    with Database(database_path(settings)) as db:
        audit = Audit(settings.data_folder / _KEY, settings.data_folder / _HEAD)
        try:
            yield db, audit
        finally:
            audit.publish_head(db)


def find_audit_fault(settings: Settings, reader: Reader) -> list[str]:
    """Say where the audit does not hold; nothing is written, as a missing key would be by opening the memory."""
    key, head = settings.data_folder / _KEY, settings.data_folder / _HEAD
    if not key.exists():
        return ["audit: its key is missing, so nothing of it can be verified"]
    fault = Audit(key, head).find_fault(reader)
    return [] if fault is None else [f"audit, row {fault.number}: {fault.what}"]


def back_up(settings: Settings, db: Database, target: Path) -> list[int]:
    """Copy all that a data folder needs to go on: the database, the audit's key and head, the adapters of the releases.

    Written aside and renamed, so that a backup that exists is whole; to restore it, put it in the place of the data folder.

    Returns:
        The releases whose adapters were not there to copy.

    Raises:
        BackupExistsError: something is at the target already.
        DiskFullError, BackupError: it could not be copied; nothing is left behind.
    """
    if target.exists():
        raise BackupExistsError(target)
    aside = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True, mode=0o700)
        shutil.copy2(settings.data_folder / _KEY, aside / _KEY)
        if (settings.data_folder / _HEAD).exists():  # it is not there before the first row
            shutil.copy2(settings.data_folder / _HEAD, aside / _HEAD)  # before the database: a head may lag, and must not run ahead
        db.back_up(aside / database_path(settings).name)
        missing = _copy_adapters(settings, db, aside)
        aside.replace(target)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise BackupError(target, error) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return missing


def _copy_adapters(settings: Settings, db: Database, target: Path) -> list[int]:
    """Copy what the releases are served from; texts that were trained stay behind. Return the releases that have nothing to copy."""
    missing = []
    for release in releases.list_releases(db.read()):
        if release.run_id is None:
            continue
        source, copy = (folder / "runs" / release.run_id for folder in (settings.data_folder, target))
        if not (source / "adapter").is_dir():
            missing.append(release.version)
            continue
        shutil.copytree(source / "adapter", copy / "adapter")
        shutil.copy2(source / "run.json", copy / "run.json")
    return missing
