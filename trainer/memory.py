"""Where the memory of one data folder lies, and how it is opened for writing: the database and its audit together."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assistant.settings import Settings
from feedback_db.audit import Audit
from feedback_db.database import Database


def database_path(settings: Settings) -> Path:
    """Return where the database lies."""
    return settings.data_folder / "errata.db"


@contextmanager
def open_memory(settings: Settings) -> Iterator[tuple[Database, Audit]]:
    """Open the database for writing, with its audit, whose head is published at the end; see `Database` for what it raises."""
    with Database(database_path(settings)) as db:
        audit = Audit(settings.data_folder / "audit.key", settings.data_folder / "audit.head")
        try:
            yield db, audit
        finally:
            audit.publish_head(db)
