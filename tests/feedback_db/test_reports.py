import json

import pytest

from feedback_db.errors import ReportShapeError
from feedback_db.reports import Asked, Outcome, Report, Suite, read_report, share_right, write_report


def ask(example_id: str | None, *, before: bool, after: bool, suite: Suite = Suite.LEARNED) -> Asked:
    return Asked(
        suite=suite,
        example_id=example_id,
        question="how long?",
        expected="30 days",
        before="14 days",
        after="30 days",
        is_right_before=before,
        is_right_after=after,
    )


def test_a_report_survives_writing() -> None:
    items = (ask("k1", before=False, after=True), ask(None, before=True, after=True, suite=Suite.KEPT))
    report = Report(run_id="r1", items=items, unwatched_count=2)
    assert read_report(write_report(report)) == report


def test_an_example_is_learned_only_if_all_of_its_questions_are_right() -> None:
    items = (
        ask("learned", before=False, after=True),
        ask("half", before=False, after=True),
        ask("half", before=False, after=False),
        ask("known", before=True, after=True),
        ask("lost", before=True, after=False),
        ask("guard", before=True, after=False, suite=Suite.UNTOUCHED),
    )
    assert Report(run_id="r1", items=items).outcomes() == {
        "learned": Outcome.LEARNED,
        "half": Outcome.NOT_LEARNED,
        "known": Outcome.KNOWN,
        "lost": Outcome.UNLEARNED,
    }


def test_no_question_has_no_share() -> None:
    assert share_right([], after=True) is None
    assert share_right([ask("k", before=False, after=True)], after=True) == 1.0


@pytest.mark.parametrize("text", ["", "{}", '{"shape": 99, "run_id": "r", "items": []}', '{"shape": 1, "run_id": "r", "items": [{}]}'])
def test_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ReportShapeError):
        read_report(text)


def test_the_shape_is_written_down() -> None:
    assert json.loads(write_report(Report(run_id="r", items=())))["shape"] == 1
