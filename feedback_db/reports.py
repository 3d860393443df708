"""What a run's measurement found: the versioned shape of a report, and of the verdict on it. Pure.

A report holds every question that was asked with its replies, so that a person can see why; whoever erases a conversation removes its
questions from it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from feedback_db.errors import ReportShapeError

SHAPE = 1


class Suite(StrEnum):
    """What a question is asked for.

    LEARNED are other wordings of what was trained; AS_ASKED the asked wording with model-free changes, for an example that has no other;
    KEPT is the golden set: answers that must stay right; UNTOUCHED the guard set: replies that must not change.
    """

    LEARNED = "learned"
    AS_ASKED = "as_asked"
    KEPT = "kept"
    UNTOUCHED = "untouched"


class Outcome(StrEnum):
    """What became of an example: right now and not before, right before and after, wrong still, right before and not now."""

    LEARNED = "learned"
    KNOWN = "known"
    NOT_LEARNED = "not_learned"
    UNLEARNED = "unlearned"


class VerdictKind(StrEnum):
    """What the gate says of a candidate."""

    PROMOTE = "promote"
    NEEDS_PERSON = "needs_person"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question of a suite and its replies.

    `example_id` is the example that it asks about, None for guard and golden questions that come from none; `turn_id` is the logged turn
    that a guard question was asked in, None for one of the default set. `expected` is the reply whose key facts are wanted; for the guard
    set, the incumbent's own reply.
    """

    suite: Suite
    example_id: str | None
    question: str
    expected: str
    before: str
    after: str
    is_right_before: bool
    is_right_after: bool
    turn_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Candidate against incumbent on the same questions; `unwatched_count` guard questions were not asked, as reviewers wished."""

    run_id: str
    items: tuple[Asked, ...]
    unwatched_count: int = 0
    shape: int = SHAPE

    def of(self, suite: Suite) -> list[Asked]:
        """Return a suite's questions."""
        return [one for one in self.items if one.suite is suite]

    def outcomes(self) -> dict[str, Outcome]:
        """Say of each example whether it was learned: all of its questions count, and one wrong reply is wrong."""
        by_example: dict[str, list[Asked]] = {}
        for one in self.items:
            if one.example_id is not None and one.suite in {Suite.LEARNED, Suite.AS_ASKED}:
                by_example.setdefault(one.example_id, []).append(one)
        return {example_id: _judge_example(asked) for example_id, asked in by_example.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate decides, and why, in sentences."""

    kind: VerdictKind
    reasons: tuple[str, ...]


def share_right(asked: Sequence[Asked], *, after: bool) -> float | None:
    """Return the share of right replies of the candidate (after) or the incumbent; None where nothing was asked."""
    if not asked:
        return None
    return sum(one.is_right_after if after else one.is_right_before for one in asked) / len(asked)


def write_report(report: Report) -> str:
    """Write a report as JSON."""
    return json.dumps(asdict(report), ensure_ascii=False)


def read_report(text: str) -> Report:
    """Read a report back.

    Raises:
        ReportShapeError: it is of another shape, or no report.
    """
    try:
        found: dict[str, Any] = json.loads(text)
        if found["shape"] != SHAPE:
            raise ReportShapeError(f"shape {found['shape']}")
        items = tuple(Asked(**{**item, "suite": Suite(item["suite"])}) for item in found["items"])
        return Report(run_id=found["run_id"], items=items, unwatched_count=int(found.get("unwatched_count", 0)))
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ReportShapeError(f"one that cannot be read ({error})") from error


def _judge_example(asked: Sequence[Asked]) -> Outcome:
    before, after = (all(getattr(one, name) for one in asked) for name in ("is_right_before", "is_right_after"))
    if after:
        return Outcome.KNOWN if before else Outcome.LEARNED
    return Outcome.UNLEARNED if before else Outcome.NOT_LEARNED
