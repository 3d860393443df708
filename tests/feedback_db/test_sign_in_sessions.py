import sqlite3
from datetime import datetime, timedelta

import pytest

from feedback_db import erasure, people, sign_in_sessions
from feedback_db.database import Database
from feedback_db.errors import NotFoundError
from feedback_db.records import PersonId

HOUR = timedelta(hours=1)


def sign_in(db: Database, person: PersonId, now: datetime, token_hash: str = "h1") -> None:
    with db.write() as tx:
        sign_in_sessions.open_session(tx, token_hash, person_id=person, expires_at=now + HOUR, now=now)


def find(db: Database, now: datetime, token_hash: str = "h1") -> str | None:
    found = sign_in_sessions.find_person_by_session(db.read(), token_hash, now=now)
    return None if found is None else found.id


def test_a_session_is_its_persons_until_it_expires(db: Database, ann: PersonId, now: datetime) -> None:
    sign_in(db, ann, now)
    assert find(db, now + HOUR - timedelta(seconds=1)) == ann
    assert find(db, now + HOUR) is None
    assert find(db, now, "h2") is None


def test_a_session_that_was_ended_is_nobodys(db: Database, ann: PersonId, now: datetime) -> None:
    for token_hash in ("h1", "h2"):
        sign_in(db, ann, now, token_hash)
    with db.write() as tx:
        sign_in_sessions.end_session(tx, "h1", now=now)
        sign_in_sessions.end_session(tx, "nowhere", now=now)
    assert (find(db, now), find(db, now, "h2")) == (None, ann)


def test_all_of_a_persons_sessions_can_be_ended_and_only_theirs(db: Database, ann: PersonId, bob: PersonId, now: datetime) -> None:
    for person, token_hash in ((ann, "h1"), (ann, "h2"), (bob, "h3")):
        sign_in(db, person, now, token_hash)
    with db.write() as tx:
        sign_in_sessions.end_all(tx, ann, now=now)
    assert [find(db, now, token_hash) for token_hash in ("h1", "h2", "h3")] == [None, None, bob]


def test_who_is_disabled_is_signed_out_and_signs_in_anew_when_enabled_again(db: Database, ann: PersonId, now: datetime) -> None:
    sign_in(db, ann, now)
    with db.write() as tx:
        people.disable(tx, ann, now=now)
    assert find(db, now) is None
    with db.write() as tx:
        people.enable(tx, ann)
    assert find(db, now) is None
    sign_in(db, ann, now, "anew")
    assert find(db, now, "anew") == ann


def test_who_is_erased_is_signed_out(db: Database, ann: PersonId, now: datetime) -> None:
    sign_in(db, ann, now)
    with db.write() as tx:
        erasure.erase_person(tx, ann, now=now)
    assert find(db, now) is None
    sign_in(db, ann, now, "h2")
    assert find(db, now, "h2") is None, "for good"


def test_only_a_person_signs_in(db: Database, now: datetime) -> None:
    with pytest.raises(NotFoundError, match="a person 'nobody'"):
        sign_in(db, PersonId("nobody"), now)


def test_a_session_begins_before_it_expires(db: Database, ann: PersonId, now: datetime) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"), db.write() as tx:
        sign_in_sessions.open_session(tx, "h1", person_id=ann, expires_at=now, now=now)
