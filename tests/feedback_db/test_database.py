import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlite_utils

from feedback_db import people
from feedback_db.database import Database, find_damage, open_reader, store_time, translate_refusals
from feedback_db.errors import (
    DatabaseCorruptError,
    DatabaseInUseError,
    DiskFullError,
    NotFoundError,
    SchemaTooNewError,
    TracesLeftError,
)
from feedback_db.migrations import MIGRATIONS
from feedback_db.records import PersonId

ADD_VISITOR = "INSERT INTO people (id, kind, name, role, created_at) VALUES (:id, 'visitor', '', 'end_user', '2026')"


def count_people(db: Database) -> int:
    return int(db.read().execute("SELECT count(*) FROM people").fetchone()[0])


def start_writer(path: Path) -> subprocess.Popen[str]:
    """Start a process that commits a person at a time for ever and says each id once it is committed."""
    script = f"""
        from pathlib import Path
        from feedback_db.database import Database
        db = Database(Path({str(path)!r}))
        first = db.read().execute("SELECT count(*) FROM people").fetchone()[0]
        for number in range(first, 10**9):
            with db.write() as tx:
                tx.execute({ADD_VISITOR!r}, {{"id": f"a{{number}}"}})
                tx.execute({ADD_VISITOR!r}, {{"id": f"b{{number}}"}})
            print(number, flush=True)
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)


def kill_writer_after(path: Path, commits: int) -> list[int]:
    """Let a writer commit this often, kill it without a warning, and return what it had acknowledged."""
    writer = start_writer(path)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(commits)]
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate()
    return acknowledged + [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]


def check_kills(path: Path, kills: int) -> None:
    acknowledged: set[int] = set()
    for kill in range(kills):
        acknowledged |= set(kill_writer_after(path, 1 + kill % 7))
    with Database(path) as db:
        assert find_damage(db.read()) == []
        stored = {row[0] for row in db.read().execute("SELECT id FROM people")}
    assert {f"{half}{number}" for number in acknowledged for half in "ab"} <= stored, "nothing acknowledged is lost"
    assert {name[1:] for name in stored if name[0] == "a"} == {name[1:] for name in stored if name[0] == "b"}, "nothing is torn"


def test_a_transaction_that_raises_leaves_nothing(db: Database) -> None:
    def write_half() -> None:
        with db.write() as tx:
            tx.execute(ADD_VISITOR, {"id": "v1"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert count_people(db) == 0


def test_a_transaction_inside_a_transaction_is_a_mistake_of_the_program(db: Database) -> None:
    with db.write(), pytest.raises(RuntimeError, match="pass the outer one down"), db.write():
        pass


def test_a_reader_sees_what_is_committed_and_cannot_write(db: Database) -> None:
    with db.write() as tx:
        tx.execute(ADD_VISITOR, {"id": "v1"})
        assert count_people(db) == 0
    assert count_people(db) == 1
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.read().execute(ADD_VISITOR, {"id": "v2"})


def test_threads_that_write_at_once_lose_nothing(db: Database) -> None:
    def work(name: str) -> None:
        for number in range(40):
            with db.write() as tx:
                tx.execute(ADD_VISITOR, {"id": f"{name}{number}"})

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_people(db) == 320


def test_threads_that_have_ended_leave_no_file_open(db: Database) -> None:
    def count_open_files() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    count_people(db)
    before = count_open_files()
    for _ in range(50):
        thread = threading.Thread(target=count_people, args=(db,))
        thread.start()
        thread.join()
    assert count_open_files() <= before + 2, "SQLite keeps a closed reader's file for the next one"


def test_a_second_writer_is_refused_and_told_what_to_do(db: Database) -> None:
    with pytest.raises(DatabaseInUseError, match="stop it first"):
        Database(db.path)


def test_a_closed_database_can_be_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        Database(tmp_path / "errata.db").close()


def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    db = Database(tmp_path / "errata.db")
    db.close()
    db.close()


def test_a_fresh_file_has_safe_settings(db: Database) -> None:
    with db.write() as tx:
        found = {
            name: tx.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    assert db.path.stat().st_mode & 0o077 == 0, "only the owner may read it"


def test_every_table_is_strict(db: Database) -> None:
    tables = db.read().execute(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'"
    )
    loose = [row["name"] for row in tables if not row["strict"] and not row["name"].startswith("sqlite_")]
    assert loose == []


def test_what_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "errata.db"
    path.write_bytes(b"this is not a database, but it is long enough to look like a file of one" * 20)
    with pytest.raises(DatabaseCorruptError, match="Restore the newest backup"):
        Database(path)


def test_a_refused_file_is_not_left_locked(tmp_path: Path) -> None:
    path = tmp_path / "errata.db"
    path.write_bytes(b"no database" * 100)
    for _ in range(2):
        with pytest.raises(DatabaseCorruptError):
            Database(path)


def test_a_database_of_newer_code_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "errata.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        sqlite_utils.Database(connection)["_sqlite_migrations"].insert(
            {"migration_set": "errata", "name": "m999_from_the_future", "applied_at": "2030"}
        )
    connection.close()
    with pytest.raises(SchemaTooNewError, match="m999_from_the_future"):
        Database(path)


def test_a_full_disk_is_said_in_a_sentence_and_changes_nothing(db: Database) -> None:
    with db.write() as tx:
        tx.execute(ADD_VISITOR, {"id": "v1"})
        pages = tx.execute("PRAGMA page_count").fetchone()[0]
    db._writer.execute(f"PRAGMA max_page_count = {pages}")

    def write_much() -> None:
        with db.write() as tx:
            for number in range(2000):
                tx.execute(ADD_VISITOR, {"id": f"a rather long name to fill pages with {number}"})

    with pytest.raises(DiskFullError, match="nothing was changed"):
        write_much()
    assert count_people(db) == 1


def test_a_backup_is_a_whole_database_of_its_own(db: Database, tmp_path: Path) -> None:
    with db.write() as tx:
        tx.execute(ADD_VISITOR, {"id": "v1"})
    db.back_up(tmp_path / "backup.db")
    with db.write() as tx:
        tx.execute(ADD_VISITOR, {"id": "v2"})
    with Database(tmp_path / "backup.db") as copy:
        assert count_people(copy) == 1
        assert find_damage(copy.read()) == []


def test_damage_is_found(db: Database) -> None:
    assert find_damage(db.read()) == []
    db._writer.execute("PRAGMA foreign_keys = OFF")
    db._writer.execute("INSERT INTO consents (conversation_id, given, wording, recorded_at) VALUES ('nowhere', 1, 'v1', '2026')")
    assert find_damage(db.read()) == ["consents, row 1: refers to a missing row of conversations"]


def test_deleted_text_is_gone_from_the_file_and_the_log(db: Database) -> None:
    secret = "kumquat-7431"
    with db.write() as tx:
        tx.execute(ADD_VISITOR, {"id": secret})
    with db.write() as tx:
        tx.execute("DELETE FROM people WHERE id = :id", {"id": secret})
    db.erase_traces()
    files = [path for path in db.path.parent.iterdir() if path.is_file()]
    assert len(files) >= 2
    assert not any(secret.encode() in path.read_bytes() for path in files)


def test_two_processes_that_open_a_new_file_at_once_make_one_schema(tmp_path: Path) -> None:
    path = tmp_path / "errata.db"
    script = f"from pathlib import Path; from feedback_db.database import Database; Database(Path({str(path)!r})).close()"
    openers = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [opener.communicate()[1] for opener in openers]
    assert any(opener.returncode == 0 for opener in openers)
    assert all("DatabaseInUseError" in error for opener, error in zip(openers, errors, strict=True) if opener.returncode)
    with Database(path) as db:
        assert find_damage(db.read()) == []


def test_an_upgrade_keeps_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "errata.db"
    everything = list(MIGRATIONS._migrations)
    monkeypatch.setattr(MIGRATIONS, "_migrations", everything[:1])
    with Database(path) as db, db.write() as tx:
        tx.execute(ADD_VISITOR, {"id": "v1"})
    monkeypatch.setattr(MIGRATIONS, "_migrations", everything)
    with Database(path) as db:
        assert count_people(db) == 1
    kept = tmp_path / "errata.before-m002_corrections_and_reviews.db"
    shutil.copy(kept, tmp_path / "old.db")
    with sqlite3.connect(tmp_path / "old.db") as old:
        assert old.execute("SELECT count(*) FROM people").fetchone()[0] == 1
        assert old.execute("SELECT count(*) FROM sqlite_master WHERE name = 'corrections'").fetchone()[0] == 0
    old.close()


@pytest.mark.slow
def test_killing_the_writer_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    check_kills(tmp_path / "errata.db", kills=20)


@pytest.mark.full
def test_killing_the_writer_two_hundred_times_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    check_kills(tmp_path / "errata.db", kills=200)


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        store_time(datetime(2026, 1, 1))


def test_a_refusal_is_translated_by_what_it_says_and_others_pass() -> None:
    refusals = {"FOREIGN KEY": NotFoundError("a turn", "t1"), "one_active_run": NotFoundError("a run", "r1")}
    with pytest.raises(NotFoundError, match="a run 'r1'") as caught, translate_refusals(refusals):
        raise sqlite3.IntegrityError("UNIQUE constraint failed: index 'one_active_run'")
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"), translate_refusals(refusals):
        raise sqlite3.IntegrityError("CHECK constraint failed: x")


def test_deleted_text_that_cannot_be_removed_from_the_log_is_told(tmp_path: Path) -> None:
    path = tmp_path / "errata.db"
    with Database(path) as db:
        with db.write() as tx:
            people.add_visitor(tx, PersonId("ann"), now=datetime(2026, 11, 22, tzinfo=UTC))
        with open_reader(path) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM people").fetchone()
            with pytest.raises(TracesLeftError, match="another program reads the database"):
                db.erase_traces()
        db.erase_traces()
