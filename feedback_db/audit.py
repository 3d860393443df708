"""Who did what and when: a chain in which every row holds a keyed hash of itself and of the row before. Never holds message text.

The head of the chain is also written outside the database, so that a tail that was cut off is found, too.
"""

import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from feedback_db.database import Database, Reader, Transaction, read_time, store_time
from feedback_db.errors import AuditBrokenError
from feedback_db.files import sync_path, write_whole
from feedback_db.records import PersonId

_FIRST = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFault:
    """Where the chain does not hold: the first row concerned, and what is wrong with it."""

    number: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One thing that somebody did; `actor_id` None is the program itself, `subject` is the id of whatever it was done to."""

    number: int
    happened_at: datetime
    actor_id: PersonId | None
    action: str
    subject: str
    details: Mapping[str, str | int | bool | None]


def list_newest(reader: Reader, *, limit: int = 50) -> list[AuditRow]:
    """Return what was done last, the newest first."""
    rows = reader.execute("SELECT * FROM audit ORDER BY number DESC LIMIT :limit", {"limit": limit})
    return [
        AuditRow(
            number=row["number"],
            happened_at=read_time(row["happened_at"]),
            actor_id=row["actor_id"],
            action=row["action"],
            subject=row["subject"],
            details=json.loads(row["details"]),
        )
        for row in rows
    ]


class Audit:
    """Appends to the chain and verifies it; `key_file` and `head_file` lie outside the database."""

    def __init__(self, key_file: Path, head_file: Path) -> None:
        """Read the key, or make one."""
        self._key_file, self._head_file = key_file, head_file
        if not key_file.exists():
            key_file.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(os.urandom(32))
            sync_path(key_file)
            sync_path(key_file.parent)
        self._key = key_file.read_bytes()

    @property
    def salt(self) -> bytes:
        """A secret for hashes of what people wrote: without it nobody can try out whether they said something."""
        return hmac.new(self._key, b"salt", hashlib.sha256).digest()

    def append(
        self,
        tx: Transaction,
        *,
        actor: PersonId | None,
        action: str,
        subject: str,
        details: Mapping[str, str | int | bool | None],
        now: datetime,
    ) -> int:
        """Append a row and return its number; `actor` None is the program itself.

        `details` holds ids, counts and names of settings, and no text that a person wrote.
        """
        last = tx.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        number, previous = (1, _FIRST) if last is None else (last["number"] + 1, last["hash"])
        row = {
            "number": number,
            "happened_at": store_time(now),
            "actor_id": actor,
            "action": action,
            "subject": subject,
            "details": json.dumps(details, sort_keys=True),
            "previous_hash": previous,
        }
        tx.execute(
            """
            INSERT INTO audit (number, happened_at, actor_id, action, subject, details, previous_hash, hash)
            VALUES (:number, :happened_at, :actor_id, :action, :subject, :details, :previous_hash, :hash)
            """,
            {**row, "hash": self._hash(row)},
        )
        return number

    def publish_head(self, db: Database) -> None:
        """Write the newest row's number and hash to the head file; called after commits, so it may lag by what was in flight.

        Raises:
            AuditBrokenError: the head file tells of a row that is not there any more; it stays as it is.
        """
        with self._hold_head():
            fault = self._compare_head(db.read()) if self._head_file.exists() else None
            if fault is not None:
                raise AuditBrokenError(self._head_file, fault.number, fault.what)
            last = db.read().execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
            if last is not None:
                self._write_head(f"{last['number']} {last['hash']}\n")

    def find_fault(self, reader: Reader) -> ChainFault | None:
        """Walk the whole chain and return where it first does not hold, None if it holds."""
        previous = _FIRST
        for number, stored in enumerate(reader.execute("SELECT * FROM audit ORDER BY number"), start=1):
            row = dict(stored)
            found = row.pop("hash")
            if row["number"] != number:
                return ChainFault(number=number, what="the row is missing")
            if row["previous_hash"] != previous or not hmac.compare_digest(found, self._hash(row)):
                return ChainFault(number=number, what="the row was changed")
            previous = found
        return self._compare_head(reader)

    def _compare_head(self, reader: Reader) -> ChainFault | None:
        """Say where the head file tells of another chain than the database's."""
        told = self._head_file.read_text().split() if self._head_file.exists() else None
        newest = int(reader.execute("SELECT coalesce(max(number), 0) FROM audit").fetchone()[0])  # after the file: never older than it
        if told is None:
            return None if newest == 0 else ChainFault(number=newest, what="the head file is missing")
        if len(told) != 2 or not told[0].isdecimal():
            return ChainFault(number=newest, what="the head file cannot be read")
        number, expected = int(told[0]), told[1]
        if number > newest:
            return ChainFault(number=newest + 1, what=f"the rows up to {number} were cut off")
        row = reader.execute("SELECT hash FROM audit WHERE number = :number", {"number": number}).fetchone()
        return None if row is not None and row["hash"] == expected else ChainFault(number=number, what="the head file tells another hash")

    @contextmanager
    def _hold_head(self) -> Iterator[None]:
        """Let nobody else, be it a thread or a process, publish meanwhile."""
        with self._key_file.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
            yield

    def _write_head(self, head: str) -> None:
        """Replace the head file, on the disk before going on, unless it tells so already."""
        if self._head_file.exists() and self._head_file.read_text() == head:
            return
        write_whole(self._head_file, head)

    def _hash(self, row: Mapping[str, object]) -> str:
        return hmac.new(self._key, json.dumps(row, sort_keys=True).encode(), hashlib.sha256).hexdigest()
