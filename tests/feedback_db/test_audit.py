import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.errors import AuditBrokenError
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


@pytest.mark.parametrize("sql", ["DELETE FROM audit WHERE number > 3", "DELETE FROM audit", "UPDATE audit SET hash = 'x' WHERE number = 5"])
def test_the_proof_of_a_cut_tail_is_not_overwritten(filled: Database, audit: Audit, tmp_path: Path, now: datetime, sql: str) -> None:
    head = (tmp_path / "audit.head").read_text()
    tamper(filled, sql)
    with filled.write() as tx:
        audit.append(tx, actor=None, action="train", subject="run 1", details={}, now=now)
    with pytest.raises(AuditBrokenError, match=r"audit\.head tells"):
        audit.publish_head(filled)
    assert (tmp_path / "audit.head").read_text() == head
    assert audit.find_fault(filled.read()) is not None


def test_a_tail_that_was_cut_and_grown_again_is_found(filled: Database, audit: Audit, now: datetime) -> None:
    tamper(filled, "DELETE FROM audit WHERE number > 3")
    for _ in range(3):
        with filled.write() as tx:
            audit.append(tx, actor=None, action="train", subject="run 1", details={}, now=now)
    with pytest.raises(AuditBrokenError, match="row 5: the head file tells another hash"):
        audit.publish_head(filled)


@pytest.mark.parametrize("text", ["", "5", "five abc"])
def test_a_damaged_head_is_found_and_not_overwritten(filled: Database, audit: Audit, tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.head").write_text(text)
    with pytest.raises(AuditBrokenError, match="cannot be read"):
        audit.publish_head(filled)
    fault = audit.find_fault(filled.read())
    assert fault is not None
    assert "cannot be read" in fault.what


def test_threads_that_publish_at_once_never_make_the_head_go_back(db: Database, tmp_path: Path, now: datetime) -> None:
    published: list[int] = []

    def work() -> None:
        mine = Audit(tmp_path / "audit.key", tmp_path / "audit.head")
        for _ in range(20):
            with db.write() as tx:
                mine.append(tx, actor=None, action="train", subject="run 1", details={}, now=now)
            mine.publish_head(db)

    def watch() -> None:
        while any(thread.is_alive() for thread in threads):
            with suppress(FileNotFoundError):
                published.append(int((tmp_path / "audit.head").read_text().split()[0]))

    Audit(tmp_path / "audit.key", tmp_path / "audit.head")
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    watch()
    assert published == sorted(published)
    assert (tmp_path / "audit.head").read_text().startswith("80 ")


def test_a_process_waits_until_another_has_published(filled: Database, audit: Audit, tmp_path: Path, now: datetime) -> None:
    with filled.write() as tx:
        audit.append(tx, actor=None, action="train", subject="run 1", details={}, now=now)
    hold = f"import fcntl; f = open({str(tmp_path / 'keys' / 'audit.key')!r}); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        publishing = threading.Thread(target=audit.publish_head, args=(filled,))
        publishing.start()
        publishing.join(0.2)
        assert publishing.is_alive()
        assert (tmp_path / "audit.head").read_text().startswith("5 ")
        other.stdin.close()
        publishing.join()
    assert (tmp_path / "audit.head").read_text().startswith("6 ")


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
