"""Keys of programs that use the API: what each may do, and when it was last used. Knows no tokens, only their hashes."""

import json
import sqlite3
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from feedback_db.database import Reader, Transaction, find_row, read_optional_time, read_time, store_time
from feedback_db.errors import KeyNameError, NameTakenError
from feedback_db.records import ApiKeyId, PersonId
from feedback_db.text_checks import check_text

_MAX_NAME_CHARS = 60
_NOTED_EVERY = timedelta(minutes=1)  # a write for each request would cost more than it tells


class Scope(StrEnum):
    """What a key opens: asking for replies, saying what is wrong with them, all that an admin may do."""

    CHAT = "chat"
    FEEDBACK = "feedback"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key; `hint` are the last characters of its token, `used_at` is right to the minute, None before its first use.

    Keys of one name follow one another: they know the same people.
    """

    id: ApiKeyId
    name: str
    hint: str
    scopes: frozenset[Scope]
    made_by: PersonId
    made_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


def add_key(
    tx: Transaction, key_id: ApiKeyId, *, name: str, token_hash: str, hint: str, scopes: Set[Scope], made_by: PersonId, now: datetime
) -> ApiKey:
    """Add a key.

    Raises:
        KeyNameError: the name holds a slash.
        NameTakenError: a key that is not revoked has this name, whatever its case.
        EmptyTextError, TextTooLongError, HostileTextError: the name cannot be one.
    """
    name = check_text(name, what="a key's name", max_chars=_MAX_NAME_CHARS)
    if "/" in name:
        raise KeyNameError(name)
    try:
        tx.execute(
            """
            INSERT INTO api_keys (id, name, token_hash, hint, scopes, made_by, made_at)
            VALUES (:id, :name, :token_hash, :hint, :scopes, :made_by, :made_at)
            """,
            {
                "id": key_id,
                "name": name,
                "token_hash": token_hash,
                "hint": hint,
                "scopes": json.dumps(sorted(scopes)),
                "made_by": made_by,
                "made_at": store_time(now),
            },
        )
    except sqlite3.IntegrityError as error:
        if "UNIQUE" in str(error):
            raise NameTakenError(name, kind="key") from error
        raise
    return find_key(tx, key_id)


def find_key(reader: Reader, key_id: ApiKeyId) -> ApiKey:
    """Return a key.

    Raises:
        NotFoundError: there is none of this id.
    """
    return _to_key(find_row(reader, "SELECT * FROM api_keys WHERE id = :id", {"id": key_id}, kind="a key"))


def find_key_by_token(reader: Reader, token_hash: str) -> ApiKey | None:
    """Return the key that a token opens with, None if it is unknown or revoked."""
    row = reader.execute(
        "SELECT * FROM api_keys WHERE token_hash = :token_hash AND revoked_at IS NULL", {"token_hash": token_hash}
    ).fetchone()
    return None if row is None else _to_key(row)


def list_keys(reader: Reader) -> list[ApiKey]:
    """Return the keys, the newest first, the revoked ones last."""
    rows = reader.execute("SELECT * FROM api_keys ORDER BY revoked_at IS NOT NULL, made_at DESC, id")
    return [_to_key(row) for row in rows]


def is_use_to_note(key: ApiKey, *, now: datetime) -> bool:
    """Say whether a key's last use is noted again."""
    return key.used_at is None or now - key.used_at >= _NOTED_EVERY


def note_use(tx: Transaction, key_id: ApiKeyId, *, now: datetime) -> None:
    """Note that a key was used; one that is revoked stays as it is."""
    tx.execute("UPDATE api_keys SET used_at = :now WHERE id = :id AND revoked_at IS NULL", {"id": key_id, "now": store_time(now)})


def revoke_key(tx: Transaction, key_id: ApiKeyId, *, now: datetime) -> ApiKey:
    """Let a key open nothing any more; doing so twice changes nothing.

    Raises:
        NotFoundError: there is none of this id.
    """
    tx.execute("UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL", {"id": key_id, "now": store_time(now)})
    return find_key(tx, key_id)


def _to_key(row: sqlite3.Row) -> ApiKey:
    return ApiKey(
        id=ApiKeyId(row["id"]),
        name=row["name"],
        hint=row["hint"],
        scopes=frozenset(Scope(scope) for scope in json.loads(row["scopes"])),
        made_by=PersonId(row["made_by"]),
        made_at=read_time(row["made_at"]),
        used_at=read_optional_time(row["used_at"]),
        revoked_at=read_optional_time(row["revoked_at"]),
    )
