"""Who did what and when: a chain in which every row holds a keyed hash of itself and of the row before. Never holds message text.

The head of the chain is also written outside the database, so that a tail that was cut off is found, too.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from feedback_db.database import Database, Reader, Transaction, store_time
from feedback_db.records import PersonId

_FIRST = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFault:
    """Where the chain does not hold: the first row concerned, and what is wrong with it."""

    number: int
    what: str


class Audit:
    """Appends to the chain and verifies it; `key_file` and `head_file` lie outside the database."""

    def __init__(self, key_file: Path, head_file: Path) -> None:
        """Read the key, or make one."""
        self._head_file = head_file
        if not key_file.exists():
            key_file.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(os.urandom(32))
        self._key = key_file.read_bytes()
        self._published = ""  # the hash of the newest row that the head file tells, as far as this object knows

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
        """Write the newest row's number and hash to the head file; called after commits, so it may lag by what was in flight."""
        last = db.read().execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        if last is None or last["hash"] == self._published:
            return
        aside = self._head_file.with_name(f".{self._head_file.name}.part")
        aside.write_text(f"{last['number']} {last['hash']}\n")
        aside.replace(self._head_file)
        self._published = last["hash"]

    def find_fault(self, reader: Reader) -> ChainFault | None:
        """Walk the whole chain and return where it first does not hold, None if it holds."""
        previous, number, hashes = _FIRST, 0, {}
        for stored in reader.execute("SELECT * FROM audit ORDER BY number"):
            row = dict(stored)
            found = row.pop("hash")
            number += 1
            if row["number"] != number:
                return ChainFault(number=number, what="the row is missing")
            if row["previous_hash"] != previous or not hmac.compare_digest(found, self._hash(row)):
                return ChainFault(number=number, what="the row was changed")
            previous = hashes[number] = found
        return self._compare_head(number, hashes)

    def _compare_head(self, newest: int, hashes: Mapping[int, str]) -> ChainFault | None:
        if not self._head_file.exists():
            return None if newest == 0 else ChainFault(number=newest, what="the head file is missing")
        number, expected = self._head_file.read_text().split()
        if int(number) > newest:
            return ChainFault(number=newest + 1, what=f"the rows up to {number} were cut off")
        return None if hashes[int(number)] == expected else ChainFault(number=int(number), what="the head file tells another hash")

    def _hash(self, row: Mapping[str, object]) -> str:
        return hmac.new(self._key, json.dumps(row, sort_keys=True).encode(), hashlib.sha256).hexdigest()
