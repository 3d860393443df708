"""The gate: does a candidate go live, need a person's word, or stay out? Pure: a report and a policy in, a verdict with reasons out."""

from collections.abc import Sequence
from dataclasses import dataclass

from feedback_db.reports import Asked, Outcome, Report, Suite, Verdict, VerdictKind, share_right


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """The limits of the gate; shares are between 0 and 1, counts are questions.

    `unlearned_share` is how many of the examples that the live release answers may be lost: none of fewer than fifty. `kept_fall` and
    `untouched_change` are how much of the golden and of the guard set may be worse than it was; with fewer questions than `kept_least`
    (where there is a golden set at all) and `untouched_least` nothing can be said, and a person decides.
    """

    unlearned_share: float = 0.02
    kept_fall: float = 0.0
    untouched_change: float = 0.05
    kept_least: int = 1
    untouched_least: int = 40


def judge(report: Report, policy: GatePolicy) -> Verdict:
    """Promote a candidate that has learned something and of whose suites none fell beyond its limit; say why in sentences."""
    learned = [*report.of(Suite.LEARNED), *report.of(Suite.AS_ASKED)]
    against = [*_judge_learned(report, learned, policy), *_judge_kept(report, policy), *_judge_untouched(report, policy)]
    told = tuple(_tell_learned(report, learned))
    if against:
        return Verdict(kind=VerdictKind.REJECTED, reasons=(*against, *told))
    unsure = _list_unsure(report, learned, policy)
    if unsure:
        return Verdict(kind=VerdictKind.NEEDS_PERSON, reasons=(*unsure, *told))
    return Verdict(kind=VerdictKind.PROMOTE, reasons=told)


def _judge_learned(report: Report, learned: Sequence[Asked], policy: GatePolicy) -> list[str]:
    before, after = share_right(learned, after=False), share_right(learned, after=True)
    if before is None or after is None:
        return ["Nothing was asked about what was trained, so nothing is known of it."]
    if after <= before and not before == after == 1:
        return [f"It answers {after:.0%} of the questions about what was trained, and the live release {before:.0%}: nothing was won."]
    outcomes = list(report.outcomes().values())
    unlearned = outcomes.count(Outcome.UNLEARNED)
    answered = unlearned + outcomes.count(Outcome.KNOWN)
    if unlearned > policy.unlearned_share * answered:
        lost = _count(unlearned, "example")
        return [f"It has unlearned {lost} of {answered} that the live release answers; {_allow(policy.unlearned_share, answered)}."]
    return []


def _judge_kept(report: Report, policy: GatePolicy) -> list[str]:
    kept = report.of(Suite.KEPT)
    lost = [one for one in kept if one.is_right_before and not one.is_right_after]
    if kept and len(lost) > policy.kept_fall * len(kept):
        return [f"It lost {_count(len(lost), 'answer')} of the golden set's {len(kept)}; {_allow(policy.kept_fall, len(kept))}."]
    return []


def _judge_untouched(report: Report, policy: GatePolicy) -> list[str]:
    guard = report.of(Suite.UNTOUCHED)
    changed = [one for one in guard if not one.is_right_after]
    if guard and len(guard) >= policy.untouched_least and len(changed) > policy.untouched_change * len(guard):
        found = _count(len(changed), "reply", "replies")
        return [f"It changed what {found} of {len(guard)} to other questions say; {_allow(policy.untouched_change, len(guard))}."]
    return []


def _list_unsure(report: Report, learned: Sequence[Asked], policy: GatePolicy) -> list[str]:
    """Say where nothing could be won, and where too little was asked to know that nothing was lost."""
    kept, guard = report.of(Suite.KEPT), report.of(Suite.UNTOUCHED)
    unsure = []
    if all(one.is_right_before for one in learned):
        unsure.append("The live release answers all that was trained already, so nothing could be won.")
    if kept and len(kept) < policy.kept_least:
        unsure.append(f"The golden set has {_count(len(kept), 'question')}, too few to say what was kept ({policy.kept_least} are needed).")
    if len(guard) < policy.untouched_least:
        found = _count(len(guard), "question")
        unsure.append(f"The guard set has {found}, too few to say what else changed ({policy.untouched_least} are needed).")
    return unsure


def _tell_learned(report: Report, learned: Sequence[Asked]) -> list[str]:
    """Say what was won, and where only the asked wording was tested."""
    before, after = share_right(learned, after=False), share_right(learned, after=True)
    if before is None or after is None:
        return []
    outcomes = report.outcomes()
    won = sum(outcome is Outcome.LEARNED for outcome in outcomes.values())
    were = "was" if won == 1 else "were"
    told = [f"Of {_count(len(outcomes), 'example')}, {won} {were} learned; right replies went from {before:.0%} to {after:.0%}."]
    as_asked = {one.example_id for one in report.of(Suite.AS_ASKED)}
    if as_asked:
        told.append(
            f"Other wordings were not tested for {_count(len(as_asked), 'example')}, which {_have(len(as_asked))} only the asked one."
        )
    return told


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _allow(share: float, count: int) -> str:
    return f"{int(share * count)} would be allowed" if share else "none may be lost"
