import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from feedback_db import adoption, conversations, corrections, erasure, examples, fixes, people, review_queue
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database, find_damage
from feedback_db.errors import OwnCorrectionError
from feedback_db.records import Channel, ConversationId, CorrectionId, CorrectionState, Decision, PersonId, TurnId
from feedback_db.training_records import ExampleId, Release, SnapshotId

EVE, FIXED, TALK, TURN = PersonId("visitor"), CorrectionId("k1"), ConversationId("c1"), TurnId("t1")
TakeSnapshot = Callable[..., SnapshotId]


@pytest.fixture
def db(db: Database, bare_base: Release, logged: LoggedReply, now: datetime) -> Database:
    """A visitor has asked, agreed to training, disliked the reply and corrected it."""
    with db.write() as tx:
        people.add_visitor(tx, EVE, now=now)
        conversations.start_conversation(tx, TALK, person_id=EVE, channel=Channel.WEB, title="How long?", now=now)
        conversations.record_consent(tx, TALK, given=True, wording="w", now=now)
        conversations.log_turn(tx, TURN, conversation_id=TALK, logged=replace(logged, user_message="How long?"), now=now)
        conversations.rate(tx, TURN, person_id=EVE, is_good=False, reason="wrong", comment="", now=now)
        corrections.add_correction(tx, FIXED, turn_id=TURN, corrected_reply="A week.", author=EVE, now=now)
    return db


def adopt(db: Database, account: PersonId, now: datetime) -> adoption.Adopted:
    with db.write() as tx:
        return adoption.adopt(tx, EVE, account=account, now=now)


def review(db: Database, reviewer: PersonId, now: datetime, *, approvals_required: int = 1) -> None:
    with db.write() as tx:
        corrections.review(
            tx, FIXED, Decision.APPROVED, reviewer=reviewer, final_reply=None, note="", approvals_required=approvals_required, now=now
        )


def read_state(db: Database) -> CorrectionState:
    return corrections.find_correction(db.read(), FIXED).state


def list_keys(db: Database, reviewer: PersonId, now: datetime) -> int:
    return len(review_queue.list_items(db.read(), reviewer=reviewer, now=now))


def test_what_a_visitor_said_and_agreed_to_is_the_accounts(db: Database, bob: PersonId, now: datetime) -> None:
    assert adopt(db, bob, now) == adoption.Adopted(conversation_count=1, correction_count=1, withdrawn_count=0)
    (talk,) = conversations.list_conversations(db.read(), bob)
    assert (talk.id, talk.consent) == (TALK, True)
    assert [rating.is_good for rating in conversations.list_ratings(db.read(), TALK, person_id=bob)] == [False]
    assert [fix.correction_id for fix in fixes.list_fixes(db.read(), TALK, author=bob, served=None)] == [FIXED]
    assert conversations.list_conversations(db.read(), EVE) == []
    assert adoption.find_holdings(db.read(), EVE) is None
    assert find_damage(db.read()) == []


def test_nobody_reviews_what_was_his_own_before_he_signed_in(db: Database, bob: PersonId, cleo: PersonId, now: datetime) -> None:
    adopt(db, bob, now)
    assert (list_keys(db, bob, now), list_keys(db, cleo, now)) == (0, 1)
    with pytest.raises(OwnCorrectionError):
        review(db, bob, now)
    review(db, cleo, now)
    assert read_state(db) is CorrectionState.APPROVED


def test_whoever_reports_with_and_without_an_account_is_counted_once(
    db: Database, bob: PersonId, cleo: PersonId, logged: LoggedReply, now: datetime
) -> None:
    with db.write() as tx:
        conversations.start_conversation(tx, ConversationId("c2"), person_id=bob, channel=Channel.WEB, title="How long?", now=now)
        asked = replace(logged, user_message="How long?")
        conversations.log_turn(tx, TurnId("t2"), conversation_id=ConversationId("c2"), logged=asked, now=now)
        conversations.rate(tx, TurnId("t2"), person_id=bob, is_good=False, reason="", comment="", now=now)
    assert [one.reporter_count for one in review_queue.list_items(db.read(), reviewer=cleo, now=now)] == [2]
    adopt(db, bob, now)
    assert [one.reporter_count for one in review_queue.list_items(db.read(), reviewer=cleo, now=now)] == [1]


def test_the_record_of_an_author_goes_on(db: Database, bob: PersonId, cleo: PersonId, now: datetime) -> None:
    review(db, cleo, now)
    adopt(db, bob, now)
    assert corrections.read_author_record(db.read(), bob).approved == 1
    assert find_damage(db.read()) == []


def test_a_review_that_turns_out_to_be_of_ones_own_counts_no_more(db: Database, bob: PersonId, cleo: PersonId, now: datetime) -> None:
    review(db, bob, now)
    with db.write() as tx:
        examples.add_example(tx, FIXED, messages=[{"role": "user", "content": "How long?"}], now=now)
    assert adopt(db, bob, now + timedelta(days=9)).withdrawn_count == 1
    assert read_state(db) is CorrectionState.PENDING
    assert examples.list_examples(db.read()) == []
    assert (list_keys(db, bob, now), list_keys(db, cleo, now)) == (0, 1)
    with pytest.raises(OwnCorrectionError):
        review(db, bob, now)
    review(db, cleo, now)
    assert find_damage(db.read()) == []


def test_one_of_two_approvals_that_was_the_authors_counts_no_more(db: Database, bob: PersonId, cleo: PersonId, now: datetime) -> None:
    review(db, bob, now, approvals_required=2)
    adopt(db, bob, now)
    review(db, cleo, now, approvals_required=2)
    assert read_state(db) is CorrectionState.PENDING


def test_what_a_snapshot_holds_stays_as_it_was_learned(db: Database, bob: PersonId, take_snapshot: TakeSnapshot, now: datetime) -> None:
    review(db, bob, now)
    with db.write() as tx:
        examples.add_example(tx, FIXED, messages=[{"role": "user", "content": "How long?"}], now=now)
    take_snapshot("s1", ExampleId(FIXED))
    assert adopt(db, bob, now).withdrawn_count == 0
    assert read_state(db) is CorrectionState.APPROVED
    assert find_damage(db.read()) == []


def test_erasing_the_account_erases_what_it_has_adopted(db: Database, bob: PersonId, now: datetime) -> None:
    review(db, bob, now)
    adopt(db, bob, now)
    with db.write() as tx:
        erased = erasure.erase_person(tx, bob, now=now)
    assert (erased.counts["conversations"], erased.counts["corrections"]) == (1, 1)
    assert find_damage(db.read()) == []


def test_adoption_is_all_or_nothing(db: Database, bob: PersonId, now: datetime) -> None:
    def adopt_twice() -> None:
        with db.write() as tx:
            adoption.adopt(tx, EVE, account=bob, now=now)
            adoption.adopt(tx, EVE, account=bob, now=now)

    with pytest.raises(sqlite3.IntegrityError):
        adopt_twice()
    assert conversations.list_conversations(db.read(), bob) == []
    assert corrections.find_correction(db.read(), FIXED).author_id == EVE


def test_holdings_tell_the_newest_title_and_the_last_message(db: Database, logged: LoggedReply, now: datetime) -> None:
    later = now + timedelta(hours=1)
    with db.write() as tx:
        conversations.start_conversation(tx, ConversationId("c2"), person_id=EVE, channel=Channel.WEB, title="And then?", now=later)
        conversations.log_turn(tx, TurnId("t2"), conversation_id=TALK, logged=logged, now=later + timedelta(hours=1))
    held = adoption.find_holdings(db.read(), EVE)
    assert held == adoption.Holdings(conversation_count=2, newest_title="And then?", last_at=later + timedelta(hours=1))
