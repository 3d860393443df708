"""People: accounts with roles, visitors, persons that a program names. Knows no passwords, only their hashes."""

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime

from feedback_db.database import Reader, Transaction, find_row, read_optional_time, read_time, store_time
from feedback_db.errors import NameTakenError, NotFoundError
from feedback_db.records import Person, PersonId, PersonKind, Role
from feedback_db.text_checks import check_text

_MAX_ACCOUNT_CHARS = 80
MAX_NAME_CHARS = 300  # of a person whom a program names


def add_account(tx: Transaction, person_id: PersonId, *, name: str, role: Role, password_hash: str, now: datetime) -> Person:
    """Add somebody who signs in; `password_hash` is argon2id's encoded form.

    Raises:
        NameTakenError: an account has this name, whatever its case.
        EmptyTextError, TextTooLongError, HostileTextError: the name cannot be one.
    """
    name = check_text(name, what="an account's name", max_chars=_MAX_ACCOUNT_CHARS)
    try:
        _insert(tx, person_id, PersonKind.ACCOUNT, name, role, password_hash, now)
    except sqlite3.IntegrityError as error:
        raise NameTakenError(name) from error
    return find_person(tx, person_id)


def add_visitor(tx: Transaction, person_id: PersonId, *, now: datetime) -> Person:
    """Add somebody who chats without an account."""
    _insert(tx, person_id, PersonKind.VISITOR, "", Role.END_USER, None, now)
    return find_person(tx, person_id)


def find_or_add_external(tx: Transaction, person_id: PersonId, *, name: str, now: datetime) -> Person:
    """Return the person whom a program names so, added under `person_id` if the name is new.

    The case of letters counts: programs make names of it.

    Raises:
        EmptyTextError, TextTooLongError, HostileTextError: the name cannot be one.
    """
    name = check_text(name, what="a person's name", max_chars=MAX_NAME_CHARS)
    row = tx.execute("SELECT id FROM people WHERE kind = 'external' AND name = :name AND erased_at IS NULL", {"name": name}).fetchone()
    if row is not None:
        return find_person(tx, row["id"])
    _insert(tx, person_id, PersonKind.EXTERNAL, name, Role.END_USER, None, now)
    return find_person(tx, person_id)


def find_external(reader: Reader, name: str) -> Person:
    """Return the person whom a program names so.

    Raises:
        NotFoundError: nobody is.
    """
    sql = "SELECT * FROM people WHERE kind = 'external' AND name = :id AND erased_at IS NULL"
    return _to_person(find_row(reader, sql, {"id": name}, kind="a person that a program names"))


def find_person(reader: Reader, person_id: PersonId) -> Person:
    """Return a person.

    Raises:
        NotFoundError: there is none of this id.
    """
    return _to_person(find_row(reader, "SELECT * FROM people WHERE id = :id", {"id": person_id}, kind="a person"))


def find_account(reader: Reader, name: str) -> tuple[Person, str] | None:
    """Return the account of this name (whatever its case) and its password hash, None if there is none."""
    row = reader.execute(
        "SELECT * FROM people WHERE kind = 'account' AND name = :name COLLATE NOCASE AND erased_at IS NULL", {"name": name.strip()}
    ).fetchone()
    return None if row is None else (_to_person(row), row["password_hash"])


def set_role(tx: Transaction, person_id: PersonId, role: Role) -> None:
    """Give an account another role.

    Raises:
        NotFoundError: there is no such account.
    """
    _update_account(tx, person_id, "UPDATE people SET role = :value WHERE id = :id AND kind = 'account'", role.value)


def set_password_hash(tx: Transaction, person_id: PersonId, password_hash: str) -> None:
    """Give an account another password.

    Raises:
        NotFoundError: there is no such account.
    """
    _update_account(tx, person_id, "UPDATE people SET password_hash = :value WHERE id = :id AND kind = 'account'", password_hash)


def disable(tx: Transaction, person_id: PersonId, *, now: datetime) -> None:
    """Shut an account out from now on: its sessions are over, even if it is let in again; doing so twice changes nothing.

    Raises:
        NotFoundError: there is no such account.
    """
    sql = "UPDATE people SET disabled_at = coalesce(disabled_at, :value) WHERE id = :id AND kind = 'account'"
    _update_account(tx, person_id, sql, store_time(now))
    ended = "UPDATE sessions SET ended_at = :now WHERE person_id = :id AND ended_at IS NULL"
    tx.execute(ended, {"id": person_id, "now": store_time(now)})


def enable(tx: Transaction, person_id: PersonId) -> None:
    """Let a disabled account in again.

    Raises:
        NotFoundError: there is no such account.
    """
    _update_account(tx, person_id, "UPDATE people SET disabled_at = :value WHERE id = :id AND kind = 'account'", None)


def count_accounts(reader: Reader) -> int:
    """Return how many accounts may sign in."""
    row = reader.execute("SELECT count(*) FROM people WHERE kind = 'account' AND disabled_at IS NULL AND erased_at IS NULL").fetchone()
    return int(row[0])


def list_accounts(reader: Reader) -> list[Person]:
    """Return the accounts, by name."""
    rows = reader.execute("SELECT * FROM people WHERE kind = 'account' AND erased_at IS NULL ORDER BY name COLLATE NOCASE")
    return [_to_person(row) for row in rows]


def find_people(reader: Reader, ids: Iterable[str]) -> list[Person]:
    """Return those of the ids that are somebody's, in no order; an erased person is among them, nameless."""
    rows = reader.execute("SELECT * FROM people WHERE id IN (SELECT value FROM json_each(:ids))", {"ids": json.dumps(list(ids))})
    return [_to_person(row) for row in rows]


def count_reviewers(reader: Reader) -> int:
    """Return how many accounts may review."""
    row = reader.execute(
        "SELECT count(*) FROM people WHERE kind = 'account' AND role <> 'end_user' AND disabled_at IS NULL AND erased_at IS NULL"
    ).fetchone()
    return int(row[0])


def _insert(
    tx: Transaction, person_id: PersonId, kind: PersonKind, name: str, role: Role, password_hash: str | None, now: datetime
) -> None:
    tx.execute(
        """
        INSERT INTO people (id, kind, name, role, password_hash, created_at)
        VALUES (:id, :kind, :name, :role, :password_hash, :created_at)
        """,
        {"id": person_id, "kind": kind, "name": name, "role": role, "password_hash": password_hash, "created_at": store_time(now)},
    )


def _update_account(tx: Transaction, person_id: PersonId, sql: str, value: str | None) -> None:
    if tx.execute(sql, {"id": person_id, "value": value}).rowcount == 0:
        raise NotFoundError("an account", person_id)


def _to_person(row: sqlite3.Row) -> Person:
    return Person(
        id=PersonId(row["id"]),
        kind=PersonKind(row["kind"]),
        name=row["name"],
        role=Role(row["role"]),
        created_at=read_time(row["created_at"]),
        disabled_at=read_optional_time(row["disabled_at"]),
        erased_at=read_optional_time(row["erased_at"]),
    )
