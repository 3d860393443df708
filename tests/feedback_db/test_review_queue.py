from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from feedback_db import conversations, corrections, erasure, people, review_queue
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database
from feedback_db.errors import ItemLeftError, ItemTakenError, NotFoundError
from feedback_db.questions import name_question
from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, TurnId
from feedback_db.review_queue import QuestionKey
from feedback_db.training_records import Release

Ask = Callable[..., TurnId]


@pytest.fixture
def ask(db: Database, bare_base: Release, logged: LoggedReply, now: datetime) -> Ask:
    """Have a new visitor ask something in a conversation of theirs; `corrected` and `disliked` say what they think of the reply."""

    def ask(name: str, question: str, *, corrected: str = "", disliked: bool = False, at: datetime = now) -> TurnId:
        person, turn = PersonId(name), TurnId(f"turn of {name}")
        with db.write() as tx:
            people.add_visitor(tx, person, now=at)
            talk = conversations.start_conversation(
                tx, ConversationId(f"talk of {name}"), person_id=person, channel=Channel.WEB, title=question, now=at
            )
            conversations.log_turn(tx, turn, conversation_id=talk.id, logged=replace(logged, user_message=question), now=at)
            if disliked:
                conversations.rate(tx, turn, person_id=person, is_good=False, reason="wrong", comment=f"{name} says so", now=at)
            if corrected:
                corrections.add_correction(
                    tx, CorrectionId(f"correction of {name}"), turn_id=turn, corrected_reply=corrected, author=person, now=at
                )
        return turn

    return ask


def list_questions(db: Database, reviewer: PersonId, now: datetime) -> list[tuple[str, int, int]]:
    found = review_queue.list_items(db.read(), reviewer=reviewer, now=now)
    return [(item.question, item.reporter_count, item.correction_count) for item in found]


def key_of(question: str) -> QuestionKey:
    name = name_question(question)
    assert name is not None
    return QuestionKey(name)


def test_the_most_useful_question_comes_first(db: Database, ask: Ask, bob: PersonId, now: datetime) -> None:
    ask("a", "only disliked, by two", disliked=True)
    ask("b", "Only disliked, by two?", disliked=True)
    ask("c", "corrected once and late", corrected="x", at=now + timedelta(hours=1))
    ask("d", "corrected once", corrected="x", disliked=True)
    ask("e", "corrected twice", corrected="x")
    ask("f", "hello, corrected twice!", corrected="y")
    ask("g", "nobody minds")
    assert list_questions(db, bob, now) == [
        ("corrected twice", 2, 2),
        ("corrected once", 1, 1),
        ("corrected once and late", 1, 1),
        ("only disliked, by two", 2, 0),
    ]
    assert review_queue.count_items(db.read()) == 4


def test_a_question_within_a_conversation_is_like_no_other(
    db: Database, ask: Ask, bob: PersonId, logged: LoggedReply, now: datetime
) -> None:
    for name in ("a", "b"):
        ask(name, "first")
        with db.write() as tx:
            turn = conversations.log_turn(
                tx, TurnId(f"2nd of {name}"), conversation_id=ConversationId(f"talk of {name}"), logged=logged, now=now
            )
            conversations.rate(tx, turn.id, person_id=PersonId(name), is_good=False, reason="", comment="", now=now)
    assert [reporters for _, reporters, _ in list_questions(db, bob, now)] == [1, 1]


def test_an_opening_that_is_asked_again_opens_still(db: Database, ask: Ask, logged: LoggedReply, now: datetime) -> None:
    turn = ask("a", "first")
    for number in range(2):
        with db.write() as tx:
            again = replace(logged, user_message="first")
            turn = conversations.log_turn(
                tx, TurnId(f"again {number}"), conversation_id=ConversationId("talk of a"), logged=again, replaces=turn, now=now
            ).id
    keys = {row["question_key"] for row in db.read().execute("SELECT question_key FROM turns")}
    assert keys == {key_of("first")}


def test_what_is_decided_leaves_the_queue_and_a_withdrawn_review_brings_it_back(
    db: Database, ask: Ask, bob: PersonId, now: datetime
) -> None:
    ask("a", "how long", corrected="x")
    ask("b", "how long", disliked=True)
    with db.write() as tx:
        review = corrections.review(tx, CorrectionId("correction of a"), Decision.APPROVED, reviewer=bob, now=now)
    assert list_questions(db, bob, now) == []
    with db.write() as tx:
        corrections.withdraw_review(tx, review.id, reviewer=bob, now=now)
    assert list_questions(db, bob, now) == [("how long", 2, 1)]


def test_a_rejected_correction_leaves_those_who_only_disliked(db: Database, ask: Ask, bob: PersonId, now: datetime) -> None:
    ask("a", "how long", corrected="x")
    ask("b", "how long", disliked=True)
    with db.write() as tx:
        corrections.review(tx, CorrectionId("correction of a"), Decision.REJECTED, reviewer=bob, now=now)
    assert list_questions(db, bob, now) == [("how long", 1, 0)]


def test_a_dislike_that_is_taken_back_leaves_the_queue(db: Database, ask: Ask, bob: PersonId, now: datetime) -> None:
    turn = ask("a", "how long", disliked=True)
    with db.write() as tx:
        conversations.withdraw_rating(tx, turn, person_id=PersonId("a"), now=now)
    assert list_questions(db, bob, now) == []


def test_what_was_only_disliked_can_be_dismissed(db: Database, ask: Ask, bob: PersonId, now: datetime) -> None:
    ask("a", "how long", disliked=True)
    ask("b", "how long", corrected="x")
    with db.write() as tx:
        review_queue.dismiss(tx, key_of("how long"), reviewer=bob, now=now)
    assert list_questions(db, bob, now) == [("how long", 1, 1)]


def test_a_dismissal_is_taken_back_without_what_its_author_thought_better_of(db: Database, ask: Ask, bob: PersonId, now: datetime) -> None:
    ask("a", "how long", disliked=True)
    ask("b", "how long", disliked=True)
    with db.write() as tx:
        dismissal = review_queue.dismiss(tx, key_of("how long"), reviewer=bob, now=now)
        conversations.withdraw_rating(tx, TurnId("turn of b"), person_id=PersonId("b"), now=now)
    assert list_questions(db, bob, now) == []
    with db.write() as tx:
        review_queue.restore(tx, dismissal, now=now)
    assert list_questions(db, bob, now) == [("how long", 1, 0)]


def test_what_others_begin_to_report_is_counted_as_new(db: Database, ask: Ask, bob: PersonId, now: datetime) -> None:
    ask("a", "how long", disliked=True)
    before, after = now - timedelta(seconds=1), now + timedelta(seconds=1)
    assert review_queue.count_new(db.read(), reviewer=bob, since=before) == 1
    assert review_queue.count_new(db.read(), reviewer=bob, since=after) == 0
    assert review_queue.count_new(db.read(), reviewer=PersonId("a"), since=before) == 0


def test_who_has_opened_another_item_since_no_longer_has_the_first(
    db: Database, ask: Ask, bob: PersonId, cleo: PersonId, now: datetime
) -> None:
    for name in ("a", "b"):
        ask(name, f"question of {name}", corrected="x")
    first, second = key_of("question of a"), key_of("question of b")
    with db.write() as tx:
        review_queue.claim(tx, first, reviewer=bob, now=now)
        review_queue.claim(tx, second, reviewer=bob, now=now)
        with pytest.raises(ItemLeftError, match="opened another one since"):
            review_queue.renew(tx, first, reviewer=bob, now=now)
        review_queue.renew(tx, second, reviewer=bob, now=now)
        review_queue.claim(tx, first, reviewer=cleo, now=now)
        with pytest.raises(ItemTakenError):
            review_queue.renew(tx, first, reviewer=bob, now=now)


def test_two_reviewers_never_have_the_same_item(db: Database, ask: Ask, bob: PersonId, cleo: PersonId, now: datetime) -> None:
    for name in ("a", "b"):
        ask(name, f"question of {name}", corrected="x")
    with db.write() as tx:
        first = review_queue.claim_next(tx, reviewer=bob, now=now)
        second = review_queue.claim_next(tx, reviewer=cleo, now=now)
    assert first is not None
    assert second is not None
    assert {first.question, second.question} == {"question of a", "question of b"}
    with pytest.raises(ItemTakenError), db.write() as tx:
        review_queue.claim(tx, second.question_key, reviewer=bob, now=now)
    assert review_queue.find_claimant(db.read(), second.question_key, now=now) == cleo


def test_a_claim_ends_after_some_minutes_or_when_the_next_is_taken(
    db: Database, ask: Ask, bob: PersonId, cleo: PersonId, now: datetime
) -> None:
    ask("a", "one", corrected="x")
    ask("b", "two", corrected="x", at=now + timedelta(minutes=1))
    with db.write() as tx:
        review_queue.claim(tx, key_of("one"), reviewer=bob, now=now)
        review_queue.claim(tx, key_of("two"), reviewer=bob, now=now)
        review_queue.claim(tx, key_of("one"), reviewer=cleo, now=now)
    later = now + review_queue.CLAIM_LASTS + timedelta(seconds=1)
    assert [question for question, _, _ in list_questions(db, bob, later)] == ["one", "two"]


def test_nobody_is_given_what_only_they_report(db: Database, ask: Ask, bob: PersonId, now: datetime) -> None:
    turn = ask("a", "how long")
    with db.write() as tx:
        corrections.add_correction(tx, CorrectionId("bob's"), turn_id=turn, corrected_reply="x", author=bob, now=now)
    assert list_questions(db, bob, now) == []
    with pytest.raises(NotFoundError), db.write() as tx:
        review_queue.claim(tx, key_of("how long"), reviewer=bob, now=now)


def test_what_waits_for_a_second_reviewer_is_not_shown_to_the_first_again(
    db: Database, ask: Ask, bob: PersonId, cleo: PersonId, now: datetime
) -> None:
    ask("a", "how long", corrected="x")
    with db.write() as tx:
        corrections.review(tx, CorrectionId("correction of a"), Decision.APPROVED, reviewer=bob, approvals_required=2, now=now)
    assert list_questions(db, bob, now) == []
    assert list_questions(db, cleo, now) == [("how long", 1, 1)]


def test_what_was_skipped_comes_last_for_that_reviewer_alone(db: Database, ask: Ask, bob: PersonId, cleo: PersonId, now: datetime) -> None:
    ask("a", "one", corrected="x")
    ask("b", "two", corrected="x", at=now + timedelta(minutes=1))
    with db.write() as tx:
        review_queue.claim(tx, key_of("one"), reviewer=bob, now=now)
        review_queue.skip(tx, key_of("one"), reviewer=bob, now=now)
    assert [question for question, _, _ in list_questions(db, bob, now)] == ["two", "one"]
    assert [question for question, _, _ in list_questions(db, cleo, now)] == ["one", "two"]


def test_reports_are_told_with_what_their_people_say(db: Database, ask: Ask, now: datetime) -> None:
    ask("a", "how long", disliked=True)
    ask("b", "how long", corrected="x", disliked=True)
    told = review_queue.list_reports(db.read(), key_of("how long"))
    assert [(report.person_id, report.correction_id, report.comment) for report in told] == [
        ("b", "correction of b", "b says so"),
        ("a", None, "a says so"),
    ]


def test_an_erased_conversation_leaves_the_queue(db: Database, ask: Ask, bob: PersonId, now: datetime) -> None:
    ask("a", "how long", corrected="x")
    ask("b", "how long", disliked=True)
    for name, left in (("a", [("how long", 1, 0)]), ("b", [])):
        with db.write() as tx:
            erasure.erase_conversation(tx, ConversationId(f"talk of {name}"), now=now)
        assert list_questions(db, bob, now) == left


def test_a_decision_holds_for_all_who_report_the_same(db: Database, ask: Ask, bob: PersonId, now: datetime) -> None:
    for name, text in (("a", "5 years."), ("b", "five years"), ("c", "5 years.")):
        ask(name, "how long", corrected=text)
    with db.write() as tx:
        reviews = review_queue.decide(
            tx, CorrectionId("correction of a"), Decision.APPROVED, reviewer=bob, final_reply="It is 5 years.", now=now
        )
    assert [review.final_reply for review in reviews] == ["It is 5 years."] * 3
    assert list_questions(db, bob, now) == []


def test_a_rejection_holds_for_those_who_say_the_same(db: Database, ask: Ask, bob: PersonId, now: datetime) -> None:
    for name, text in (("a", "5 years."), ("b", "four years"), ("c", "5 years.")):
        ask(name, "how long", corrected=text)
    with db.write() as tx:
        review_queue.decide(tx, CorrectionId("correction of a"), Decision.REJECTED, reviewer=bob, now=now)
    assert list_questions(db, bob, now) == [("how long", 1, 1)]


def test_ones_own_correction_waits_for_somebody_else_though_others_said_the_same(
    db: Database, ask: Ask, bob: PersonId, cleo: PersonId, now: datetime
) -> None:
    turn = ask("a", "how long", corrected="5 years.")
    with db.write() as tx:
        corrections.add_correction(tx, CorrectionId("bob's"), turn_id=turn, corrected_reply="5 years.", author=bob, now=now)
        assert len(review_queue.decide(tx, CorrectionId("correction of a"), Decision.APPROVED, reviewer=bob, now=now)) == 1
    assert list_questions(db, bob, now) == []
    assert list_questions(db, cleo, now) == [("how long", 1, 1)]
