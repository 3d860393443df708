"""Guard questions that reviewers no longer have watched."""

from collections.abc import Callable
from datetime import datetime

import pytest

from feedback_db import corrections, decisions, erasure, unwatched
from feedback_db.database import Database
from feedback_db.decisions import Deed, Part, PartKind
from feedback_db.errors import NotFoundError
from feedback_db.records import ConversationId, CorrectionId, Decision, PersonId

Add = Callable[[str], CorrectionId]
KEY = "a key"


def stop(db: Database, correction: CorrectionId, person: PersonId, now: datetime) -> unwatched.UnwatchedId:
    with db.write() as tx:
        return unwatched.stop_watching(tx, KEY, correction_id=correction, person_id=person, now=now)


def test_a_question_is_left_out_once_however_often_somebody_says_so(
    db: Database, add_correction: Add, bob: PersonId, now: datetime
) -> None:
    correction = add_correction("new")
    assert stop(db, correction, bob, now) == stop(db, correction, bob, now)
    assert unwatched.list_unwatched(db.read()) == {KEY}
    assert unwatched.count_unwatched(db.read(), correction) == 1


def test_it_stays_out_while_another_correction_needs_that(
    db: Database, add_correction: Add, bob: PersonId, cleo: PersonId, now: datetime
) -> None:
    first, _ = stop(db, add_correction("one"), bob, now), stop(db, add_correction("other"), cleo, now)
    with db.write() as tx:
        unwatched.watch_again(tx, first)
    assert unwatched.list_unwatched(db.read()) == {KEY}


def test_it_is_watched_again_once_its_correction_is_erased(
    db: Database, conversation: ConversationId, add_correction: Add, bob: PersonId, now: datetime
) -> None:
    stop(db, add_correction("new"), bob, now)
    with db.write() as tx:
        erasure.erase_conversation(tx, conversation, now=now)
    assert unwatched.list_unwatched(db.read()) == frozenset()


def test_it_is_watched_again_once_the_decision_is_undone(db: Database, add_correction: Add, bob: PersonId, now: datetime) -> None:
    correction = add_correction("new")
    stopped = stop(db, correction, bob, now)
    with db.write() as tx:
        review = corrections.review(tx, correction, Decision.APPROVED, reviewer=bob, now=now)
        parts = [Part(PartKind.REVIEW, str(review.id)), Part(PartKind.QUESTION_UNWATCHED, str(stopped))]
        decisions.record_decision(tx, Deed.APPROVED, parts, reviewer=bob, now=now)
        decisions.undo_last(tx, reviewer=bob, now=now)
    assert unwatched.list_unwatched(db.read()) == frozenset()


def test_nothing_is_left_out_for_the_sake_of_what_is_not_there(db: Database, bob: PersonId, now: datetime) -> None:
    with pytest.raises(NotFoundError):
        stop(db, CorrectionId("none"), bob, now)
