import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.settings import Settings
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.errors import BackupExistsError
from feedback_db.training_records import RequestKind
from tests.trainer.supervision.supervising import approve_all, ask, has_ended, make_supervisor, open_world, tick_until
from trainer.errors import BackupError
from trainer.memory import back_up, database_path, find_audit_fault, open_memory


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_folder=tmp_path / "data")


@pytest.fixture
def memory(settings: Settings) -> Iterator[tuple[Database, Audit]]:
    with open_memory(settings) as opened:
        yield opened


def test_a_backup_holds_the_database_and_what_verifies_it(settings: Settings, memory: tuple[Database, Audit], tmp_path: Path) -> None:
    back_up_of(settings, memory, tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["audit.head", "audit.key", "errata.db"]
    with open_memory(settings.model_copy(update={"data_folder": tmp_path / "copy"})) as (db, audit):
        assert audit.find_fault(db.read()) is None


def test_a_backup_never_replaces_anything(settings: Settings, memory: tuple[Database, Audit], tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with pytest.raises(BackupExistsError, match="Expected a free place for a backup"):
        back_up(settings, memory[0], tmp_path / "copy")


def test_a_backup_that_fails_leaves_nothing_behind(settings: Settings, memory: tuple[Database, Audit], tmp_path: Path) -> None:
    key = (settings.data_folder / "audit.key").rename(tmp_path / "data" / "lost")
    with pytest.raises(BackupError, match=r"audit\.key"):
        back_up(settings, memory[0], tmp_path / "copy")
    key.rename(settings.data_folder / "audit.key")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_backup_holds_the_adapters_and_says_which_are_missing(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path / "data")
    with open_world(settings.data_folder) as db:
        approve_all(db)
        supervisor = make_supervisor(db)
        audit = Audit(settings.data_folder / "audit.key", settings.data_folder / "audit.head")
        ask(db, RequestKind.TRAIN)
        tick_until(supervisor, lambda: has_ended(db))
        assert back_up(settings, db, tmp_path / "whole") == []
        (adapter,) = (settings.data_folder / "runs").glob("*/adapter")
        assert sorted(path.name for path in (tmp_path / "whole" / "runs" / adapter.parent.name).iterdir()) == ["adapter", "run.json"]
        shutil.rmtree(adapter)
        assert back_up(settings, db, tmp_path / "part") == [1]
        assert audit.find_fault(db.read()) is None


def test_a_missing_key_is_told_and_not_made_anew(settings: Settings, memory: tuple[Database, Audit], tmp_path: Path) -> None:
    assert find_audit_fault(settings, memory[0].read()) == []
    key = (settings.data_folder / "audit.key").rename(tmp_path / "key")
    assert find_audit_fault(settings, memory[0].read()) == ["audit: its key is missing, so nothing of it can be verified"]
    key.rename(settings.data_folder / "audit.key")


def test_the_data_folder_is_its_owners_alone(settings: Settings, memory: tuple[Database, Audit]) -> None:
    assert settings.data_folder.stat().st_mode & 0o077 == 0


def test_the_database_lies_in_the_data_folder(settings: Settings) -> None:
    assert database_path(settings).parent == settings.data_folder


def back_up_of(settings: Settings, memory: tuple[Database, Audit], target: Path) -> None:
    """Write something into the audit first, so that there is a head to copy."""
    db, audit = memory
    with db.write() as tx:
        audit.append(tx, actor=None, action="test", subject="memory", details={}, now=datetime.now(UTC))
    audit.publish_head(db)
    back_up(settings, db, target)
