import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from feedback_db import conversations, corrections
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database
from feedback_db.errors import EmptyTextError, NotFoundError, TurnReplacedError
from feedback_db.records import Channel, ConversationId, CorrectionId, PersonId, Rating, TurnId, TurnState
from feedback_db.training_records import OpeningQuestion


def test_turns_are_kept_in_their_order(db: Database, conversation: ConversationId, logged: LoggedReply, now: datetime) -> None:
    with db.write() as tx:
        for number in range(3):
            said = replace(logged, user_message=f"question {number}")
            conversations.log_turn(tx, TurnId(f"t{number}"), conversation_id=conversation, logged=said, now=now)
    turns = conversations.list_turns(db.read(), conversation)
    assert [(turn.position, turn.user_message) for turn in turns] == [(0, "question 0"), (1, "question 1"), (2, "question 2")]
    assert turns[0].created_at == now


def test_nobody_sees_the_conversation_of_another(db: Database, conversation: ConversationId, turn: TurnId, bob: PersonId) -> None:
    with pytest.raises(NotFoundError):
        conversations.find_conversation(db.read(), conversation, owner=bob)
    with pytest.raises(NotFoundError):
        conversations.find_turn(db.read(), turn, owner=bob)
    assert conversations.list_conversations(db.read(), bob) == []


def test_ones_own_are_listed_newest_first(db: Database, ann: PersonId, conversation: ConversationId, now: datetime) -> None:
    with db.write() as tx:
        later = now + timedelta(hours=1)
        conversations.start_conversation(tx, ConversationId("c2"), person_id=ann, channel=Channel.API, title="Later", now=later)
    assert [found.id for found in conversations.list_conversations(db.read(), ann)] == ["c2", conversation]


def test_a_long_title_is_cut_to_one_line(db: Database, ann: PersonId, now: datetime) -> None:
    with db.write() as tx:
        title = "a very long\n\nquestion " * 20
        found = conversations.start_conversation(tx, ConversationId("c9"), person_id=ann, channel=Channel.WEB, title=title, now=now)
    assert len(found.title) == 80
    assert "\n" not in found.title


def test_the_newest_word_on_consent_counts(db: Database, ann: PersonId, conversation: ConversationId, now: datetime) -> None:
    assert conversations.find_conversation(db.read(), conversation, owner=ann).consent is None
    for given in (True, False):
        with db.write() as tx:
            conversations.record_consent(tx, conversation, given=given, wording="v1", now=now)
        assert conversations.find_conversation(db.read(), conversation, owner=ann).consent is given


def test_a_failed_turn_says_why_and_only_a_failed_one(
    db: Database, conversation: ConversationId, logged: LoggedReply, now: datetime
) -> None:
    for state, error in ((TurnState.FAILED, None), (TurnState.COMPLETE, "boom")):
        bad = replace(logged, state=state, error=error)
        with pytest.raises(sqlite3.IntegrityError), db.write() as tx:
            conversations.log_turn(tx, TurnId("t"), conversation_id=conversation, logged=bad, now=now)


def test_a_second_rating_takes_the_place_of_the_first(db: Database, ann: PersonId, turn: TurnId, now: datetime) -> None:
    for is_good in (True, False):
        with db.write() as tx:
            conversations.rate(tx, turn, person_id=ann, is_good=is_good, reason="wrong", comment=" too short ", now=now)
    rows = db.read().execute("SELECT is_good, comment FROM ratings WHERE withdrawn_at IS NULL").fetchall()
    assert [tuple(row) for row in rows] == [(0, "too short")]


def test_a_rating_can_be_taken_back(db: Database, ann: PersonId, turn: TurnId, now: datetime) -> None:
    with db.write() as tx:
        conversations.rate(tx, turn, person_id=ann, is_good=True, reason="", comment="", now=now)
        conversations.withdraw_rating(tx, turn, person_id=ann, now=now)
    assert db.read().execute("SELECT count(*) FROM ratings WHERE withdrawn_at IS NULL").fetchone()[0] == 0


def test_opening_questions_are_consented_to_answered_and_not_corrected(
    db: Database,
    conversation: ConversationId,
    turn: TurnId,
    consent: None,
    ann: PersonId,
    bob: PersonId,
    logged: LoggedReply,
    now: datetime,
) -> None:
    with db.write() as tx:
        conversations.log_turn(tx, TurnId("later"), conversation_id=conversation, logged=logged, now=now)
    assert conversations.list_opening_questions(db.read(), limit=9) == [
        OpeningQuestion(turn_id=turn, text=logged.user_message, reply=logged.reply, is_disliked=False)
    ]
    with db.write() as tx:
        conversations.rate(tx, turn, person_id=bob, is_good=False, reason="wrong", comment="", now=now)
    assert [one.is_disliked for one in conversations.list_opening_questions(db.read(), limit=9)] == [True]
    with db.write() as tx:
        corrections.add_correction(tx, CorrectionId("k"), turn_id=turn, corrected_reply="It is 3 years.", author=ann, now=now)
    assert conversations.list_opening_questions(db.read(), limit=9) == []


def test_without_consent_no_question_may_be_asked_again(
    db: Database, conversation: ConversationId, turn: TurnId, consent: None, now: datetime
) -> None:
    with db.write() as tx:
        conversations.record_consent(tx, conversation, given=False, wording="v1", now=now)
    assert conversations.list_opening_questions(db.read(), limit=9) == []


def test_turns_that_were_erased_are_not_kept(db: Database, turn: TurnId) -> None:
    assert conversations.keep_turns(db.read(), [turn, TurnId("erased")]) == {turn}


def test_a_turn_asked_again_takes_the_place_of_the_first_which_stays_in_the_log(
    db: Database, conversation: ConversationId, turn: TurnId, logged: LoggedReply, ann: PersonId, now: datetime
) -> None:
    with db.write() as tx:
        again = conversations.log_turn(tx, TurnId("t2"), conversation_id=conversation, logged=logged, replaces=turn, now=now)
    assert again.replaces == turn
    assert [one.id for one in conversations.list_turns(db.read(), conversation)] == ["t2"]
    assert conversations.find_turn(db.read(), turn, owner=ann).id == turn


def test_a_turn_is_replaced_once_and_only_by_its_own_conversation(
    db: Database, conversation: ConversationId, turn: TurnId, logged: LoggedReply, ann: PersonId, now: datetime
) -> None:
    with db.write() as tx:
        other = conversations.start_conversation(tx, ConversationId("c2"), person_id=ann, channel=Channel.WEB, title="x", now=now).id
        conversations.log_turn(tx, TurnId("t2"), conversation_id=conversation, logged=logged, replaces=turn, now=now)
    for talk, replaced in ((conversation, turn), (other, TurnId("t2"))):
        with pytest.raises(TurnReplacedError), db.write() as tx:
            conversations.log_turn(tx, TurnId("t3"), conversation_id=talk, logged=logged, replaces=replaced, now=now)


def test_conversations_are_found_by_words_of_their_title_question_or_reply(
    db: Database, ann: PersonId, bob: PersonId, conversation: ConversationId, turn: TurnId
) -> None:
    for words in ("where is", "OVER there", " is it? "):
        assert [one.id for one in conversations.list_conversations(db.read(), ann, search=words)] == [conversation]
    assert conversations.list_conversations(db.read(), ann, search="100%") == []
    assert conversations.list_conversations(db.read(), bob, search="where") == []


def test_only_the_owner_gives_a_conversation_another_title(
    db: Database, ann: PersonId, bob: PersonId, conversation: ConversationId
) -> None:
    with db.write() as tx:
        assert conversations.rename_conversation(tx, conversation, owner=ann, title=" The  lost parcel ").title == "The lost parcel"
    for owner, title, refusal in ((bob, "Mine", NotFoundError), (ann, "  ", EmptyTextError)):
        with pytest.raises(refusal), db.write() as tx:
            conversations.rename_conversation(tx, conversation, owner=owner, title=title)


def test_a_person_is_told_their_own_standing_ratings_alone(
    db: Database, conversation: ConversationId, turn: TurnId, ann: PersonId, bob: PersonId, now: datetime
) -> None:
    with db.write() as tx:
        conversations.rate(tx, turn, person_id=ann, is_good=True, reason="", comment="", now=now)
        conversations.rate(tx, turn, person_id=ann, is_good=False, reason="wrong", comment="It is not there.", now=now)
        conversations.rate(tx, turn, person_id=bob, is_good=True, reason="", comment="", now=now)
    assert conversations.list_ratings(db.read(), conversation, person_id=ann) == [
        Rating(turn_id=turn, is_good=False, reason="wrong", comment="It is not there.")
    ]
