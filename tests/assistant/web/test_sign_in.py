from datetime import datetime, timedelta

import pytest

from assistant.errors import SetUpOverError, SignInFailedError, TooManyAttemptsError
from assistant.web.passwords import hash_password
from assistant.web.sign_in import Session, SignIn
from feedback_db import people
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.records import PersonId, PersonKind, Role
from tests.assistant.web.conftest import NOW

MINUTE = timedelta(minutes=1)
HASH = hash_password("correct horse")


@pytest.fixture
def sign_in(db: Database, sign_in: SignIn) -> SignIn:
    """Ann, a reviewer, can sign in."""
    with db.write() as tx:
        people.add_account(tx, PersonId("ann"), name="Ann", role=Role.REVIEWER, password_hash=HASH, now=NOW)
    return sign_in


def enter(sign_in: SignIn, name: str = "ann", password: str = "correct horse", address: str = "192.0.2.1", now: datetime = NOW) -> Session:
    return sign_in.open(name, password, address=address, now=now)


def fail(sign_in: SignIn, times: int, name: str = "ann", address: str = "192.0.2.1") -> None:
    for _ in range(times):
        with pytest.raises(SignInFailedError):
            enter(sign_in, name, "wrong", address)


def test_whoever_shows_the_token_is_that_person(sign_in: SignIn, db: Database, audit: Audit) -> None:
    session = enter(sign_in, "ANN ")
    found = sign_in.find(session.token, now=NOW)
    assert found is not None
    assert (found.id, found.role) == ("ann", Role.REVIEWER)
    audit.publish_head(db)
    assert audit.find_fault(db.read()) is None


def test_the_memory_holds_no_token(sign_in: SignIn, db: Database) -> None:
    session = enter(sign_in)
    stored = [row[0] for row in db.read().execute("SELECT token_hash FROM sessions")]
    assert stored
    assert session.token not in stored


def test_a_wrong_password_and_an_unknown_name_are_told_alike(sign_in: SignIn) -> None:
    told = []
    for name, password in (("ann", "wrong"), ("nobody", "correct horse")):
        with pytest.raises(SignInFailedError) as refused:
            enter(sign_in, name, password)
        told.append(str(refused.value))
    assert told[0] == told[1]


def test_a_disabled_account_cannot_sign_in_and_is_out_at_once(sign_in: SignIn, db: Database) -> None:
    session = enter(sign_in)
    with db.write() as tx:
        people.disable(tx, PersonId("ann"), now=NOW)
    assert sign_in.find(session.token, now=NOW) is None
    with pytest.raises(SignInFailedError):
        enter(sign_in)


def test_after_five_failures_even_the_right_password_waits(sign_in: SignIn) -> None:
    fail(sign_in, 5)
    with pytest.raises(TooManyAttemptsError, match="15 minutes"):
        enter(sign_in, address="192.0.2.99")
    assert enter(sign_in, now=NOW + 15 * MINUTE).person.id == "ann"


def test_an_address_that_tries_many_names_waits_too(sign_in: SignIn) -> None:
    for number in range(5):
        fail(sign_in, 1, name=f"guess {number}")
    with pytest.raises(TooManyAttemptsError):
        enter(sign_in)
    assert enter(sign_in, address="192.0.2.99").person.id == "ann"


def test_an_account_of_ones_own_does_not_wipe_out_what_was_tried_on_others(sign_in: SignIn) -> None:
    fail(sign_in, 4, name="bob")
    enter(sign_in)
    fail(sign_in, 1, name="bob")
    with pytest.raises(TooManyAttemptsError):
        enter(sign_in)


def test_signing_in_often_is_no_failure(sign_in: SignIn) -> None:
    assert {enter(sign_in).person.id for _ in range(6)} == {"ann"}


def test_signing_out_ends_the_session_everywhere(sign_in: SignIn) -> None:
    here, there = enter(sign_in), enter(sign_in)
    sign_in.end(here.token, now=NOW)
    assert [sign_in.find(session.token, now=NOW) for session in (here, there)] == [None, None]
    sign_in.end("no token at all", now=NOW)


def test_a_session_ends_by_itself_after_two_weeks(sign_in: SignIn) -> None:
    session = enter(sign_in)
    assert sign_in.find(session.token, now=NOW + timedelta(days=13)) is not None
    assert sign_in.find(session.token, now=NOW + timedelta(days=14)) is None


def test_a_visitor_has_a_session_of_his_own(sign_in: SignIn) -> None:
    one, other = sign_in.open_visitor(now=NOW), sign_in.open_visitor(now=NOW)
    assert one.person.id != other.person.id
    assert one.person.kind is PersonKind.VISITOR
    assert sign_in.find(one.token, now=NOW) == one.person


def test_the_set_up_link_makes_the_first_admin_once(db: Database, audit: Audit) -> None:
    sign_in = SignIn(db, audit)
    token = sign_in.find_set_up_token()
    assert token is not None
    with pytest.raises(SetUpOverError):
        sign_in.set_up("guessed", "Eve", "correct horse", now=NOW)
    session = sign_in.set_up(token, "Ada", "correct horse", now=NOW)
    assert session.person.role is Role.ADMIN
    assert sign_in.find_set_up_token() is None
    with pytest.raises(SetUpOverError):
        sign_in.set_up(token, "Eve", "correct horse", now=NOW)


def test_only_an_account_ends_the_set_up_and_no_visitor(db: Database, audit: Audit) -> None:
    sign_in = SignIn(db, audit)
    sign_in.open_visitor(now=NOW)
    assert sign_in.find_set_up_token() is not None
