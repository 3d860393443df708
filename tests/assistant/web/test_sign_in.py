from datetime import datetime, timedelta

import pytest

from assistant.errors import (
    PasswordLinkOverError,
    PasswordTooShortError,
    SetUpOverError,
    SignInFailedError,
    TooManyAttemptsError,
    WrongPasswordError,
)
from assistant.web.passwords import hash_password
from assistant.web.sign_in import Session, SignIn
from feedback_db import conversations, people
from feedback_db.audit import Audit, list_newest
from feedback_db.database import Database
from feedback_db.errors import NoAccountError
from feedback_db.records import Channel, ConversationId, PersonId, PersonKind, Role
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


def test_a_session_from_before_an_account_was_disabled_stays_over_when_it_is_enabled(sign_in: SignIn, db: Database) -> None:
    session = enter(sign_in)
    with db.write() as tx:
        people.disable(tx, PersonId("ann"), now=NOW)
        people.enable(tx, PersonId("ann"))
    assert sign_in.find(session.token, now=NOW) is None
    assert enter(sign_in).person.id == "ann"


def test_after_five_failures_even_the_right_password_waits(sign_in: SignIn) -> None:
    fail(sign_in, 5)
    with pytest.raises(TooManyAttemptsError, match="15 minutes"):
        enter(sign_in, address="192.0.2.99")
    assert enter(sign_in, now=NOW + 15 * MINUTE).person.id == "ann"


def test_an_address_that_tries_many_names_waits_too(sign_in: SignIn) -> None:
    for number in range(20):  # and not before, for many people may share an address
        fail(sign_in, 1, name=f"guess {number}")
    with pytest.raises(TooManyAttemptsError):
        enter(sign_in)
    assert enter(sign_in, address="192.0.2.99").person.id == "ann"


def test_an_account_of_ones_own_does_not_wipe_out_what_was_tried_on_others(sign_in: SignIn) -> None:
    for number in range(19):
        fail(sign_in, 1, name=f"guess {number}")
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


def change(sign_in: SignIn, session: Session, present: str = "correct horse", wanted: str = "battery staple") -> Session:
    return sign_in.change_password(session.person, present, wanted, address="192.0.2.1", now=NOW)


def choose(sign_in: SignIn, token: str, wanted: str = "battery staple", now: datetime = NOW) -> Session:
    return sign_in.choose_password(token, wanted, address="192.0.2.1", now=now)


def list_good(sign_in: SignIn, *sessions: Session) -> list[bool]:
    return [sign_in.find(session.token, now=NOW) is not None for session in sessions]


def test_whoever_changes_his_password_stays_in_here_with_a_new_token_and_nowhere_else(sign_in: SignIn, db: Database) -> None:
    here, there = enter(sign_in), enter(sign_in)
    renewed = change(sign_in, here)
    assert list_good(sign_in, here, there, renewed) == [False, False, True]
    with pytest.raises(SignInFailedError):
        enter(sign_in)
    assert enter(sign_in, password="battery staple").person.id == "ann"
    assert [(row.actor_id, row.action, row.subject) for row in list_newest(db.read())][1] == ("ann", "change_password", "ann")


def test_a_password_is_changed_by_whoever_knows_the_present_one_alone(sign_in: SignIn) -> None:
    here, there = enter(sign_in), enter(sign_in)
    with pytest.raises(WrongPasswordError):
        change(sign_in, here, present="guessed")
    with pytest.raises(PasswordTooShortError):
        change(sign_in, here, wanted="short")
    assert list_good(sign_in, here, there) == [True, True]
    assert enter(sign_in).person.id == "ann"


def test_guessing_the_present_password_is_bounded_as_signing_in_is(sign_in: SignIn) -> None:
    here = enter(sign_in)
    for _ in range(5):
        with pytest.raises(WrongPasswordError):
            change(sign_in, here, present="guessed")
    with pytest.raises(TooManyAttemptsError):
        change(sign_in, here)
    with pytest.raises(TooManyAttemptsError):
        enter(sign_in, address="192.0.2.99")


def test_a_reset_ends_password_and_sessions_at_once_and_its_link_chooses_another_one_once(sign_in: SignIn, db: Database) -> None:
    session = enter(sign_in)
    token = sign_in.reset_password(PersonId("ann"), actor=PersonId("ada"), now=NOW)
    assert list_good(sign_in, session) == [False]
    with pytest.raises(SignInFailedError):
        enter(sign_in)
    with pytest.raises(PasswordTooShortError):
        choose(sign_in, token, "short")
    chosen = choose(sign_in, token)
    assert list_good(sign_in, chosen) == [True]
    assert enter(sign_in, password="battery staple").person.id == "ann"
    with pytest.raises(PasswordLinkOverError):
        choose(sign_in, token, "mine now, says Eve")
    done = [(row.actor_id, row.action) for row in list_newest(db.read())]
    assert done[1:3] == [("ann", "choose_password"), ("ada", "reset_password")]


def test_a_link_of_yesterday_and_one_that_was_replaced_choose_nothing(sign_in: SignIn) -> None:
    first = sign_in.reset_password(PersonId("ann"), actor=PersonId("ada"), now=NOW)
    second = sign_in.reset_password(PersonId("ann"), actor=PersonId("ada"), now=NOW)
    for token, now in ((first, NOW), (second, NOW + timedelta(days=1))):
        assert sign_in.find_by_link(token, now=now) is None
        with pytest.raises(PasswordLinkOverError):
            choose(sign_in, token, now=now)
    assert choose(sign_in, second).person.id == "ann"


def test_a_link_of_a_disabled_account_chooses_nothing(sign_in: SignIn, db: Database) -> None:
    token = sign_in.reset_password(PersonId("ann"), actor=PersonId("ada"), now=NOW)
    with db.write() as tx:
        people.disable(tx, PersonId("ann"), now=NOW)
    with pytest.raises(PasswordLinkOverError):
        choose(sign_in, token)


def test_a_link_is_worth_nothing_once_the_password_was_replaced_otherwise(sign_in: SignIn) -> None:
    token = sign_in.reset_password(PersonId("ann"), actor=PersonId("ada"), now=NOW)
    sign_in.replace_password("ANN", "from the command line", now=NOW)
    with pytest.raises(PasswordLinkOverError):
        choose(sign_in, token)


def test_guessing_links_is_bounded(sign_in: SignIn) -> None:
    for number in range(20):
        with pytest.raises(PasswordLinkOverError):
            choose(sign_in, f"guess {number}")
    with pytest.raises(TooManyAttemptsError):
        choose(sign_in, sign_in.reset_password(PersonId("ann"), actor=PersonId("ada"), now=NOW))


def test_the_memory_holds_no_link(sign_in: SignIn, db: Database) -> None:
    token = sign_in.reset_password(PersonId("ann"), actor=PersonId("ada"), now=NOW)
    assert token not in {row[0] for row in db.read().execute("SELECT token_hash FROM password_links")}


def test_an_unknown_name_has_no_password_to_replace(sign_in: SignIn) -> None:
    with pytest.raises(NoAccountError, match="'bob'"):
        sign_in.replace_password("bob", "long enough", now=NOW)


def test_a_reset_while_the_old_password_is_being_checked_counts(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def reset_meanwhile(_: str, __: str | None) -> bool:
        sign_in.replace_password("ann", "battery staple", now=NOW)
        return True

    monkeypatch.setattr("assistant.web.sign_in.is_password", reset_meanwhile)
    with pytest.raises(SignInFailedError):
        enter(sign_in)


def test_whoever_signs_in_takes_along_what_his_browser_proves_to_be_his(sign_in: SignIn, db: Database) -> None:
    visitor, other = sign_in.open_visitor(now=NOW), sign_in.open_visitor(now=NOW)
    with db.write() as tx:
        for session in (visitor, other):
            talk = ConversationId(f"talk of {session.token}")
            conversations.start_conversation(tx, talk, person_id=session.person.id, channel=Channel.WEB, title="Hi", now=NOW)
    sign_in.open("ann", "correct horse", address="", taking=visitor.token, now=NOW)
    assert list_good(sign_in, visitor, other) == [False, True]
    owned = [talk.id for talk in conversations.list_conversations(db.read(), PersonId("ann"))]
    assert owned == [f"talk of {visitor.token}"]
    adopted = next(row for row in list_newest(db.read()) if row.action == "adopt")
    assert (adopted.actor_id, adopted.subject) == ("ann", visitor.person.id)
    assert adopted.details == {"conversation_count": 1, "correction_count": 0, "withdrawn_count": 0}


def test_nobody_takes_along_what_an_account_has_said(sign_in: SignIn, db: Database) -> None:
    with db.write() as tx:
        bob = people.add_account(tx, PersonId("bob"), name="Bob", role=Role.END_USER, password_hash="x", now=NOW)
        session = sign_in.open_account(tx, bob, now=NOW)
        conversations.start_conversation(tx, ConversationId("c1"), person_id=bob.id, channel=Channel.WEB, title="Hi", now=NOW)
    sign_in.open("ann", "correct horse", address="", taking=session.token, now=NOW)
    assert conversations.list_conversations(db.read(), PersonId("ann")) == []
    assert list_good(sign_in, session) == [True]


def test_a_failed_attempt_takes_nothing_along(sign_in: SignIn, db: Database) -> None:
    visitor = sign_in.open_visitor(now=NOW)
    with pytest.raises(SignInFailedError):
        sign_in.open("ann", "wrong", address="", taking=visitor.token, now=NOW)
    assert list_good(sign_in, visitor) == [True]
