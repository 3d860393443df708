import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.records import PersonId


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "keys" / "audit.key", tmp_path / "audit.head")


@pytest.fixture
def filled(db: Database, audit: Audit, now: datetime) -> Database:
    for number in range(5):
        with db.write() as tx:
            audit.append(tx, actor=PersonId("ann"), action="review", subject=f"correction {number}", details={"count": number}, now=now)
    audit.publish_head(db)
    return db


def tamper(db: Database, sql: str) -> None:
    """Change rows as somebody with the file in hand could: without the triggers."""
    with db.write() as tx:
        for name in ("audit_is_not_updated", "audit_is_not_deleted"):
            tx.execute(f"DROP TRIGGER {name}")
        tx.execute(sql)


def test_an_untouched_chain_holds(filled: Database, audit: Audit) -> None:
    assert audit.find_fault(filled.read()) is None


def test_an_empty_chain_holds(db: Database, audit: Audit) -> None:
    audit.publish_head(db)
    assert audit.find_fault(db.read()) is None


@pytest.mark.parametrize("sql", ["UPDATE audit SET subject = 'x'", "DELETE FROM audit"])
def test_the_database_refuses_to_change_the_past(filled: Database, sql: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), filled.write() as tx:
        tx.execute(sql)


@pytest.mark.parametrize(
    ("sql", "number", "what"),
    [
        ("UPDATE audit SET actor_id = 'bob' WHERE number = 3", 3, "changed"),
        ("UPDATE audit SET details = '{}' WHERE number = 2", 2, "changed"),
        ("DELETE FROM audit WHERE number = 2", 2, "missing"),
        ("DELETE FROM audit WHERE number > 3", 4, "cut off"),
        ("DELETE FROM audit", 1, "cut off"),
    ],
)
def test_tampering_is_found_at_its_row(filled: Database, audit: Audit, sql: str, number: int, what: str) -> None:
    tamper(filled, sql)
    fault = audit.find_fault(filled.read())
    assert fault is not None
    assert fault.number == number
    assert what in fault.what


def test_a_chain_made_anew_with_another_key_is_found(filled: Database, tmp_path: Path) -> None:
    stranger = Audit(tmp_path / "other.key", tmp_path / "audit.head")
    assert stranger.find_fault(filled.read()) is not None


def test_a_lost_head_is_found(filled: Database, audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "audit.head").unlink()
    fault = audit.find_fault(filled.read())
    assert fault is not None
    assert "head file is missing" in fault.what


def test_only_the_owner_may_read_the_key(audit: Audit, tmp_path: Path) -> None:
    assert (tmp_path / "keys" / "audit.key").stat().st_mode & 0o077 == 0


def test_a_row_that_is_rolled_back_leaves_no_gap(filled: Database, audit: Audit, now: datetime) -> None:
    def append_and_fail() -> None:
        with filled.write() as tx:
            audit.append(tx, actor=None, action="train", subject="run 1", details={}, now=now)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        append_and_fail()
    with filled.write() as tx:
        assert audit.append(tx, actor=None, action="train", subject="run 1", details={}, now=now) == 6
    assert audit.find_fault(filled.read()) is None
