import pytest

from feedback_db.reports import Asked, Report, Suite, VerdictKind
from trainer.verdict import GatePolicy, judge

POLICY = GatePolicy(untouched_least=4, untouched_change=0.25)


def ask(suite: Suite, outcomes: str, example: str | None = "k1") -> list[Asked]:
    """Return a question for each outcome: w wrong, r right, l learned (wrong, then right), u unlearned."""
    return [
        Asked(
            suite=suite,
            example_id=example,
            question="?",
            expected="30 days",
            before="",
            after="",
            is_right_before=outcome in "ru",
            is_right_after=outcome in "rl",
        )
        for outcome in outcomes
    ]


def judge_items(*items: list[Asked]) -> tuple[VerdictKind, str]:
    report = Report(run_id="r", items=tuple(one for group in items for one in group))
    verdict = judge(report, POLICY)
    return verdict.kind, " ".join(verdict.reasons)


GUARD = ask(Suite.UNTOUCHED, "rrrr", None)


def test_what_has_learned_and_lost_nothing_goes_live() -> None:
    kind, why = judge_items(ask(Suite.LEARNED, "ll"), GUARD)
    assert kind is VerdictKind.PROMOTE
    assert why == "Of 1 example, 1 was learned; right replies went from 0% to 100%."


def test_a_single_correction_in_its_one_wording_goes_live_and_the_report_says_what_was_not_tested() -> None:
    kind, why = judge_items(ask(Suite.AS_ASKED, "lll"), GUARD)
    assert kind is VerdictKind.PROMOTE
    assert "Other wordings were not tested for 1 example, which has only the asked one." in why


@pytest.mark.parametrize("outcomes", ["ww", "rw", "ru", ""])
def test_what_has_won_nothing_is_rejected(outcomes: str) -> None:
    assert judge_items(ask(Suite.LEARNED, outcomes), GUARD)[0] is VerdictKind.REJECTED


def test_where_the_live_release_answers_all_already_a_person_decides() -> None:
    kind, why = judge_items(ask(Suite.LEARNED, "rr"), GUARD)
    assert kind is VerdictKind.NEEDS_PERSON
    assert why.startswith("The live release answers all that was trained already, so nothing could be won.")


def test_an_unlearned_example_is_rejected_though_others_were_learned() -> None:
    kind, why = judge_items(ask(Suite.LEARNED, "llll"), ask(Suite.LEARNED, "u", "k2"), GUARD)
    assert kind is VerdictKind.REJECTED
    assert "It has unlearned 1 example of 1 that the live release answers; 0 would be allowed." in why


def test_a_lost_golden_answer_is_rejected() -> None:
    kind, why = judge_items(ask(Suite.LEARNED, "l"), ask(Suite.KEPT, "rru", None), GUARD)
    assert kind is VerdictKind.REJECTED
    assert "It lost 1 answer of the golden set's 3; none may be lost." in why


def test_guard_replies_may_change_up_to_the_limit_and_no_further() -> None:
    learned = ask(Suite.LEARNED, "l")
    assert judge_items(learned, ask(Suite.UNTOUCHED, "rrrw", None))[0] is VerdictKind.PROMOTE
    kind, why = judge_items(learned, ask(Suite.UNTOUCHED, "rrww", None))
    assert kind is VerdictKind.REJECTED
    assert "It changed what 2 replies of 4 to other questions say; 1 would be allowed." in why


def test_a_guard_set_that_is_too_small_needs_a_person() -> None:
    kind, why = judge_items(ask(Suite.LEARNED, "l"), ask(Suite.UNTOUCHED, "rw", None))
    assert kind is VerdictKind.NEEDS_PERSON
    assert "The guard set has 2 questions, too few to say what else changed (4 are needed)." in why


def test_a_small_guard_set_does_not_excuse_having_learned_nothing() -> None:
    assert judge_items(ask(Suite.LEARNED, "w"))[0] is VerdictKind.REJECTED


def test_one_slip_among_hundreds_does_not_reject() -> None:
    known = [ask(Suite.LEARNED, "r", f"known {number}") for number in range(99)]
    assert judge_items(*known, ask(Suite.LEARNED, "u", "lost"), ask(Suite.LEARNED, "ll", "new"), GUARD)[0] is VerdictKind.PROMOTE
