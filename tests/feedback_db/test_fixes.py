from collections.abc import Callable
from datetime import datetime

import pytest

from feedback_db import erasure, fixes, releases, runs
from feedback_db.database import Database
from feedback_db.errors import NotFoundError
from feedback_db.records import ConversationId, CorrectionId, CorrectionState, PersonId
from feedback_db.reports import Asked, Report, Suite, Verdict, VerdictKind, write_report
from feedback_db.training_records import Release, RunId
from tests.auditing import open_audit

RIGHT, WRONG = CorrectionId("k1"), CorrectionId("k2")


@pytest.fixture
def served(db: Database, adapted: Release, now: datetime) -> Release:
    """The release that was trained on k1 and k2, learned k1 only, and serves."""
    with db.write() as tx:
        items = tuple(_ask(key, is_right=key == RIGHT) for key in (RIGHT, WRONG))
        assert adapted.run_id is not None
        report = Report(run_id=adapted.run_id, items=items)
        verdict = Verdict(kind=VerdictKind.NEEDS_PERSON, reasons=("One of two.",))
        runs.add_report(tx, RunId(report.run_id), shape=report.shape, report=write_report(report), verdict=verdict, now=now)
        deployment = releases.deploy(tx, open_audit(db), adapted.version, actor=None, reason="learned", now=now)
        releases.record_swap(tx, deployment.id, version=adapted.version, duration_ms=1.0, now=now)
    return adapted


def _ask(key: str, *, is_right: bool) -> Asked:
    return Asked(
        suite=Suite.LEARNED,
        example_id=key,
        question=f"q {key}",
        expected=f"a {key}",
        before="b",
        after="c",
        is_right_before=False,
        is_right_after=is_right,
    )


def test_a_correction_is_fixed_by_the_release_that_serves_and_has_learned_it(
    db: Database, served: Release, conversation: ConversationId, ann: PersonId
) -> None:
    told = fixes.list_fixes(db.read(), conversation, author=ann, served=served.version)
    assert [(fix.correction_id, fix.fixed_in, fix.state) for fix in told] == [
        (RIGHT, served.version, CorrectionState.APPROVED),
        (WRONG, None, CorrectionState.APPROVED),
    ]


def test_after_a_rollback_nothing_is_fixed(db: Database, served: Release, conversation: ConversationId, ann: PersonId) -> None:
    assert {fix.fixed_in for fix in fixes.list_fixes(db.read(), conversation, author=ann, served=0)} == {None}


def test_what_waits_for_a_reviewer_is_told_as_such(
    db: Database, conversation: ConversationId, ann: PersonId, bob: PersonId, add_correction: Callable[[str], CorrectionId]
) -> None:
    add_correction("new")
    (told,) = fixes.list_fixes(db.read(), conversation, author=ann, served=0)
    assert (told.state, told.fixed_in, told.is_better) == (CorrectionState.PENDING, None, None)
    assert fixes.list_fixes(db.read(), conversation, author=bob, served=0) == []


def test_the_last_word_of_the_author_and_of_nobody_else_is_kept(
    db: Database, served: Release, conversation: ConversationId, ann: PersonId, bob: PersonId, now: datetime
) -> None:
    for is_better in (False, True):
        with db.write() as tx:
            fixes.vote(tx, RIGHT, author=ann, version=served.version, is_better=is_better, now=now)
    with pytest.raises(NotFoundError), db.write() as tx:
        fixes.vote(tx, RIGHT, author=bob, version=served.version, is_better=False, now=now)
    assert fixes.list_fixes(db.read(), conversation, author=ann, served=served.version)[0].is_better is True


def test_a_vote_goes_with_its_conversation(
    db: Database, served: Release, conversation: ConversationId, ann: PersonId, now: datetime
) -> None:
    with db.write() as tx:
        fixes.vote(tx, RIGHT, author=ann, version=served.version, is_better=True, now=now)
        assert erasure.erase_conversation(tx, conversation, now=now).counts["fix_votes"] == 1
