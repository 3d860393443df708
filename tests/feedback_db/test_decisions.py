"""What a reviewer did at once is undone at once, for a minute."""

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from feedback_db import conversations, corrections, decisions, examples, golden, review_queue
from feedback_db.database import Database, Transaction
from feedback_db.decisions import Deed, Part, PartKind
from feedback_db.errors import NotFoundError, NothingToUndoError, OvertakenError, ReviewFinalError
from feedback_db.records import CorrectionId, CorrectionState, Decision, PersonId
from feedback_db.training_records import Split

Add = Callable[[str], CorrectionId]


def test_an_approval_is_undone_with_its_wordings_and_what_it_retired(
    db: Database, add_approved: Add, add_correction: Add, bob: PersonId, now: datetime
) -> None:
    old, new = add_approved("old"), add_correction("new")
    with db.write() as tx:
        example = examples.add_example(tx, old, messages=[{"role": "user", "content": "q old"}], now=now)
        item = golden.add_golden(tx, question="how long?", reply="3 years", added_by=bob, now=now)
    with db.write() as tx:
        review = corrections.review(tx, new, Decision.APPROVED, reviewer=bob, now=now)
        wording = examples.add_variant(tx, new, text="q new?", split=Split.TRAIN, added_by=bob, now=now)
        examples.retire_by_person(tx, example.id, person_id=bob, now=now)
        golden.retire_golden(tx, item.id, now=now)
        parts = [
            Part(PartKind.REVIEW, str(review.id)),
            Part(PartKind.WORDING_ADDED, str(wording.id)),
            Part(PartKind.EXAMPLE_RETIRED, example.id),
            Part(PartKind.GOLDEN_RETIRED, str(item.id)),
        ]
        decisions.record_decision(tx, Deed.APPROVED, parts, reviewer=bob, now=now)
    with db.write() as tx:
        undone = decisions.undo_last(tx, reviewer=bob, now=now + timedelta(seconds=59))
    assert undone.deed is Deed.APPROVED
    assert corrections.find_correction(db.read(), new).state is CorrectionState.PENDING
    assert examples.list_variants(db.read(), new) == []
    assert golden.list_golden(db.read()) == [item]
    assert db.read().execute("SELECT count(*) FROM retirements").fetchone()[0] == 0


def test_only_ones_own_decision_of_the_last_minute_is_undone_and_once(db: Database, bob: PersonId, cleo: PersonId, now: datetime) -> None:
    with db.write() as tx:
        item = golden.add_golden(tx, question="how long?", reply="3 years", added_by=bob, now=now)
        decisions.record_decision(tx, Deed.ADDED, [Part(PartKind.GOLDEN_ADDED, str(item.id))], reviewer=bob, now=now)
    found = decisions.find_undoable(db.read(), reviewer=bob, now=now)
    assert found is not None
    assert decisions.read_question(db.read(), found) == "how long?"
    assert decisions.find_undoable(db.read(), reviewer=cleo, now=now) is None
    assert decisions.find_undoable(db.read(), reviewer=bob, now=now + timedelta(seconds=61)) is None
    with db.write() as tx:
        decisions.undo_last(tx, reviewer=bob, now=now)
    assert golden.list_golden(db.read(), is_retired_too=True) == []
    with pytest.raises(NothingToUndoError), db.write() as tx:
        decisions.undo_last(tx, reviewer=bob, now=now)
    for change in ("undone_at = '2030'", "parts = '[]'"):
        with pytest.raises(sqlite3.IntegrityError, match="only undone"), db.write() as tx:
            tx.execute(f"UPDATE decisions SET {change}")


def test_nothing_is_undone_where_a_part_must_stay(db: Database, add_correction: Add, bob: PersonId, cleo: PersonId, now: datetime) -> None:
    turn = corrections.find_correction(db.read(), add_correction("new")).turn_id
    with db.write() as tx:
        mine = corrections.add_correction(tx, CorrectionId("mine"), turn_id=turn, corrected_reply="5 years", author=bob, now=now)
        item = golden.add_golden(tx, question="how long?", reply="3 years", added_by=bob, now=now)
        parts = [Part(PartKind.CORRECTION_ADDED, mine.id), Part(PartKind.GOLDEN_ADDED, str(item.id))]
        decisions.record_decision(tx, Deed.PROPOSED, parts, reviewer=bob, now=now)
        corrections.review(tx, mine.id, Decision.APPROVED, reviewer=cleo, now=now)
    with pytest.raises(ReviewFinalError, match="somebody has decided"), db.write() as tx:
        decisions.undo_last(tx, reviewer=bob, now=now)
    assert golden.list_golden(db.read()) == [item]


def test_what_was_erased_meanwhile_does_not_hinder_the_rest(db: Database, add_correction: Add, bob: PersonId, now: datetime) -> None:
    correction = add_correction("new")
    with db.write() as tx:
        review = corrections.review(tx, correction, Decision.APPROVED, reviewer=bob, now=now)
        item = golden.add_golden(tx, question="how long?", reply="3 years", added_by=bob, now=now)
        golden.retire_golden(tx, item.id, now=now)
        parts = [Part(PartKind.REVIEW, str(review.id)), Part(PartKind.GOLDEN_RETIRED, str(item.id))]
        decisions.record_decision(tx, Deed.APPROVED, parts, reviewer=bob, now=now)
        turn = corrections.find_correction(tx, correction).turn_id
        conversations.discard_conversation(tx, conversations.list_context(tx, turn)[-1].conversation_id)
    with pytest.raises(NotFoundError):
        corrections.find_correction(db.read(), correction)
    with db.write() as tx:
        decisions.undo_last(tx, reviewer=bob, now=now)
    assert golden.list_golden(db.read()) == [item]


@pytest.mark.parametrize("theirs", list(Decision))
def test_an_approval_stays_once_a_colleague_has_decided_on_the_same_question(
    db: Database, add_correction: Add, bob: PersonId, cleo: PersonId, now: datetime, theirs: Decision
) -> None:
    correction = add_correction("new")
    with db.write() as tx:
        _decide(tx, correction, Decision.APPROVED, bob, now)
        _decide(tx, correction, theirs, cleo, now)
    with pytest.raises(OvertakenError, match="a colleague has decided on the same since"), db.write() as tx:
        decisions.undo_last(tx, reviewer=bob, now=now)
    assert corrections.find_correction(db.read(), correction).state.value == theirs.value
    with db.write() as tx:
        decisions.undo_last(tx, reviewer=cleo, now=now)
        decisions.undo_last(tx, reviewer=bob, now=now)
    assert corrections.find_correction(db.read(), correction).state is CorrectionState.PENDING
    assert corrections.list_reviews(db.read(), correction) == []


def test_a_dismissal_stays_once_a_colleague_has_answered_the_question(
    db: Database, add_correction: Add, ann: PersonId, bob: PersonId, cleo: PersonId, now: datetime
) -> None:
    turn = corrections.find_correction(db.read(), add_correction("new")).turn_id
    with db.write() as tx:
        key = review_queue.find_key(tx, turn)
        dismissal = review_queue.dismiss(tx, key, reviewer=bob, now=now)
        parts = [Part(PartKind.DISMISSAL, str(dismissal))]
        decisions.record_decision(tx, Deed.DISMISSED, parts, reviewer=bob, question_key=key, now=now)
        _decide(tx, CorrectionId("new"), Decision.APPROVED, cleo, now)
    with pytest.raises(OvertakenError), db.write() as tx:
        decisions.undo_last(tx, reviewer=bob, now=now)


def test_what_a_colleague_has_retired_since_is_neither_waiting_again_nor_taken_away(
    db: Database, add_approved: Add, bob: PersonId, cleo: PersonId, now: datetime
) -> None:
    old = add_approved("old")
    with db.write() as tx:
        example = examples.add_example(tx, old, messages=[{"role": "user", "content": "q old"}], now=now)
        item = golden.add_golden(tx, question="how long?", reply="3 years", added_by=bob, now=now)
        (review,) = corrections.list_reviews(tx, old)
        decisions.record_decision(tx, Deed.ADDED, [Part(PartKind.GOLDEN_ADDED, str(item.id))], reviewer=bob, now=now)
        decisions.record_decision(tx, Deed.APPROVED, [Part(PartKind.REVIEW, str(review.id))], reviewer=bob, now=now)
        golden.retire_golden(tx, item.id, now=now)
        examples.retire_by_person(tx, example.id, person_id=cleo, now=now)
        parts = [Part(PartKind.EXAMPLE_RETIRED, example.id), Part(PartKind.GOLDEN_RETIRED, str(item.id))]
        decisions.record_decision(tx, Deed.RETIRED, parts, reviewer=cleo, now=now)
    with pytest.raises(OvertakenError), db.write() as tx:
        decisions.undo_last(tx, reviewer=bob, now=now)
    assert examples.find_obstacle(db.read(), example.id) == "retired"
    assert golden.list_golden(db.read(), is_retired_too=True) != []


def test_a_colleague_who_decides_on_something_else_hinders_no_undo(
    db: Database, add_correction: Add, bob: PersonId, cleo: PersonId, now: datetime
) -> None:
    mine, theirs = add_correction("mine"), add_correction("theirs")
    with db.write() as tx:
        _decide(tx, mine, Decision.APPROVED, bob, now)
        _decide(tx, theirs, Decision.APPROVED, cleo, now)
        decisions.undo_last(tx, reviewer=bob, now=now)
    assert corrections.find_correction(db.read(), mine).state is CorrectionState.PENDING


def _decide(tx: Transaction, correction: CorrectionId, decision: Decision, reviewer: PersonId, now: datetime) -> None:
    """Review a correction as the page does, where two must approve."""
    review = corrections.review(tx, correction, decision, reviewer=reviewer, approvals_required=2, now=now)
    key = review_queue.find_key(tx, corrections.find_correction(tx, correction).turn_id)
    deed = Deed.APPROVED if decision is Decision.APPROVED else Deed.REJECTED
    decisions.record_decision(tx, deed, [Part(PartKind.REVIEW, str(review.id))], reviewer=reviewer, question_key=key, now=now)
