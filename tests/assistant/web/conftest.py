"""An empty memory, somebody to sign in with, and a clock that stands still until it is moved."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assistant.web.sign_in import SignIn
from feedback_db.audit import Audit
from feedback_db.database import Database
from tests.auditing import open_audit

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Clock:
    """Tells a time that only a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "errata.db") as opened:
        yield opened


@pytest.fixture
def audit(db: Database) -> Audit:
    return open_audit(db)


@pytest.fixture
def sign_in(db: Database, audit: Audit) -> SignIn:
    return SignIn(db, audit)
