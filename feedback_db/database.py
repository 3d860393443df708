"""The one writer and its readers over one SQLite file. Knows connections, transactions, backups; no table but the migrations'.

SQLite up to 3.51.2 can corrupt a file in WAL mode when two connections write or checkpoint at once, and many machines carry an older
one. So one process holds a lock for as long as it has the file open, and in it one connection does every write and every checkpoint,
one thread at a time; readers are read-only connections, one a thread.
"""

import fcntl
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NewType

import sqlite_utils

from feedback_db.errors import (
    DatabaseCorruptError,
    DatabaseInUseError,
    DatabaseMissingError,
    DiskFullError,
    FeedbackError,
    NotFoundError,
    SchemaTooNewError,
    TracesLeftError,
)
from feedback_db.files import sync_path
from feedback_db.migrations import MIGRATIONS

Transaction = NewType("Transaction", sqlite3.Connection)  # a connection inside BEGIN IMMEDIATE … COMMIT; whoever takes one never commits
Reader = sqlite3.Connection


class _ThreadReader:
    """Holds a thread's read-only connection, and closes it when the thread ends: a connection alone would wait in a cycle."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class Database:
    """An open memory. Use as a context manager, or close it."""

    def __init__(self, path: Path) -> None:
        """Take the writer's lock, open the file (made if it is not there) and bring its schema up to date.

        Raises:
            DatabaseInUseError: another process has it open for writing.
            DatabaseCorruptError: it is no whole database.
            SchemaTooNewError: newer code wrote it.
            DiskFullError: no room to make it.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file = _take_lock(path)
        self._write_lock = threading.RLock()
        self._readers: weakref.WeakSet[_ThreadReader] = weakref.WeakSet()
        self._local = threading.local()
        try:
            with _translate_errors(path):
                self._writer = _open_writer(path)
                self._migrate()
        except BaseException:
            os.close(self._lock_file)
            raise

    def __enter__(self) -> "Database":
        """Return the database itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close all connections, fold the write-ahead log into the file, give the lock back; does nothing the second time."""
        with self._write_lock:
            if self._lock_file < 0:
                return
            for reader in list(self._readers):
                reader.connection.close()
            self._writer.close()
            os.close(self._lock_file)
            self._lock_file = -1

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Run a block as one transaction: all of it is written, or, when it raises, nothing.

        Raises:
            DiskFullError: no room; nothing was written.
        """
        with self._write_lock, _translate_errors(self.path):
            if self._writer.in_transaction:
                raise RuntimeError("expected no transaction inside a transaction; pass the outer one down")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.rollback()  # does nothing where SQLite has rolled back by itself
                raise

    def read(self) -> Reader:
        """Return this thread's read-only connection, which is closed when the thread ends."""
        if not hasattr(self._local, "reader"):
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            self._local.reader = _ThreadReader(connection)
            with self._write_lock:
                self._readers.add(self._local.reader)
        return self._local.reader.connection  # type: ignore[no-any-return]

    def back_up(self, target: Path) -> None:
        """Copy the database as it stands, whole, while others go on reading; written aside, then renamed."""
        aside = target.with_name(f".{target.name}.part")
        aside.unlink(missing_ok=True)
        with self._write_lock, _translate_errors(target):
            copy = sqlite3.connect(aside)
            try:
                self._writer.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            finally:
                copy.close()
            aside.chmod(0o600)
            sync_path(aside)
            aside.replace(target)
            sync_path(target.parent)

    def erase_traces(self) -> None:
        """Make deleted text unreadable in the file and empty the write-ahead log, in which it would otherwise stay.

        Raises:
            TracesLeftError: somebody else reads the database at this moment, so the log could not be emptied.
        """
        with self._write_lock, _translate_errors(self.path):
            (is_busy, *_) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            raise TracesLeftError(self.path)

    def _migrate(self) -> None:
        """Apply pending changes; the file as it was is kept beside it, if there was anything in it."""
        db = sqlite_utils.Database(self._writer)
        known = {migration.name for migration in MIGRATIONS._migrations}
        unknown = [migration.name for migration in MIGRATIONS.applied(db) if migration.name not in known]
        if unknown:
            raise SchemaTooNewError(self.path, unknown)
        pending = MIGRATIONS.pending(db)
        if not pending:
            return
        if MIGRATIONS.applied(db):
            self.back_up(self.path.with_name(f"{self.path.stem}.before-{pending[0].name}{self.path.suffix}"))
        with self.write():
            MIGRATIONS.apply(db)


@contextmanager
def open_reader(path: Path) -> Iterator[Reader]:
    """Open a database for reading only, also while another process writes it.

    Raises:
        DatabaseMissingError: there is none.
        DatabaseCorruptError: it is none, or damaged.
    """
    if not path.exists():
        raise DatabaseMissingError(path)
    reader = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    reader.row_factory = sqlite3.Row
    try:
        with _translate_errors(path):
            yield reader
    finally:
        reader.close()


def find_damage(reader: Reader) -> list[str]:
    """Return what SQLite finds wrong with the file and with its references; an empty list is good news."""
    damage = [row[0] for row in reader.execute("PRAGMA integrity_check") if row[0] != "ok"]
    orphans = [f"{row[0]}, row {row[1]}: refers to a missing row of {row[2]}" for row in reader.execute("PRAGMA foreign_key_check")]
    return damage + orphans


def find_row(reader: Reader, sql: str, parameters: Mapping[str, str | int], *, kind: str) -> sqlite3.Row:
    """Return the one row that a query by `:id` finds.

    Raises:
        NotFoundError: there is none; names the kind ("a person") and the id.
    """
    row = reader.execute(sql, parameters).fetchone()
    if row is None:
        raise NotFoundError(kind, parameters["id"])
    return row  # type: ignore[no-any-return]


@contextmanager
def translate_refusals(refusals: Mapping[str, FeedbackError]) -> Iterator[None]:
    """Turn the database's refusals into named errors, each found by a part of SQLite's message, such as "FOREIGN KEY"; others pass."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        for part, refusal in refusals.items():
            if part in str(error):
                raise refusal from error
        raise


def store_time(moment: datetime) -> str:
    """Return a moment as stored: UTC, so that order of text is order of time.

    Raises:
        ValueError: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("expected a moment with its time zone, found one without; give it datetime.now(UTC)")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def read_time(stored: str) -> datetime:
    """Return a stored moment."""
    return datetime.fromisoformat(stored)


def read_optional_time(stored: str | None) -> datetime | None:
    """Return a stored moment, None where none is stored."""
    return None if stored is None else read_time(stored)


def _take_lock(path: Path) -> int:
    """Take the writer's lock without waiting; it lives exactly as long as the process that holds it."""
    file = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise DatabaseInUseError(path) from error
    return file


def _open_writer(path: Path) -> sqlite3.Connection:
    """Open the writing connection with what SQLite leaves off by default."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    path.chmod(0o600)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "busy_timeout = 5000"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors that a person can do something about into sentences."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise DiskFullError(path) from error
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise DatabaseCorruptError(path, str(error)) from error
        raise
