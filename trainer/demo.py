"""The whole loop on an invented company, told in numbers: asked before, corrected, approved, trained, swapped, asked again, rolled back.

Everything goes through the functions that the product itself uses; what the assistant says is never looked at by what decides. The
company's facts are drawn by a seed, so the base cannot know them, and the questions are wordings on which it was never pretrained.
"""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from assistant.chat import answer, find_served, read_sampling
from assistant.prompt import build_messages
from feedback_db import conversations, corrections, examples, people, requests, runs
from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, Role, TurnId
from feedback_db.training_records import RequestKind, RunState
from trainer.composition import Errata
from trainer.key_facts import is_right
from trainer.supervision.supervisor import Publish
from trainer.support_base import values
from trainer.support_base.corpus import Corpus, Intent
from trainer.support_base.grammar import fill_slots, pick_alternatives, slots_of
from trainer.support_base.reading import Reader
from trainer.variants import assign_split

QUESTIONS = 24
REVIEWER_WORDINGS = 2
TEST_WORDINGS = 2
UNTOUCHED = 200
_CUSTOMER, _REVIEWER = PersonId("demo-customer"), PersonId("demo-reviewer")
_LOWER_IS_WORSE = frozenset({"right_after", "untouched_same", "untouched_exact", "rollback_exact"})
_NO_PASSWORD = "!"  # noqa: S105  no hash of any password: nobody signs in with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One question about the company: how it is asked, what is right, other wordings for the reviewer and, disjoint, for the test."""

    topic: str
    asked: str
    right: str
    reviewer: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A test question with the replies before the swap, after it and after the rollback."""

    topic: str
    question: str
    wanted: str
    before: str
    after: str
    rolled_back: str

    @property
    def is_right_before(self) -> bool:
        """The reply before states the right facts."""
        return is_right(self.before, self.wanted)

    @property
    def is_right_after(self) -> bool:
        """The reply after states the right facts."""
        return is_right(self.after, self.wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What one demo found; `reasons` are the gate's, shares are between 0 and 1, see the README for what each score means."""

    seed: int
    state: RunState
    reasons: tuple[str, ...]
    checked: tuple[Checked, ...]
    scores: Mapping[str, float | bool | None]


def draw_lessons(corpus: Corpus, seed: int) -> list[Lesson]:
    """Draw the company's facts and the questions about them, all of them wordings that pretraining has never seen."""
    rng = Random(f"demo:{seed}")
    suitable = [intent for intent in corpus.intents.values() if intent.entity is None and any(map(slots_of, intent.answers))]
    return [_draw_lesson(intent, rng) for intent in rng.sample(suitable, QUESTIONS)]


def _draw_lesson(intent: Intent, rng: Random) -> Lesson:
    answer = rng.choice([answer for answer in intent.answers if slots_of(answer)])
    facts: dict[str, str] = {}
    for slot in slots_of(answer):
        while slot not in facts:
            value = values.draw_fact(slot, rng)
            if value not in facts.values():
                facts[slot] = value
    wordings = [pick_alternatives(template, rng) for template in rng.sample(intent.held_out, 1 + REVIEWER_WORDINGS + TEST_WORDINGS)]
    return Lesson(
        topic=intent.id,
        asked=wordings[0],
        right=fill_slots(answer, facts),
        reviewer=tuple(wordings[1 : 1 + REVIEWER_WORDINGS]),
        test=tuple(wordings[1 + REVIEWER_WORDINGS :]),
    )


class Demo:
    """One pass through the loop; `publish` is told what is done now and how much of it, `now` is the clock."""

    def __init__(self, errata: Errata, corpus: Corpus, seed: int, *, now: Callable[[], datetime], publish: Publish) -> None:
        self._errata, self._corpus, self._seed, self._now, self._publish = errata, corpus, seed, now, publish
        self._lessons = draw_lessons(corpus, seed)
        self._others = self._draw_others()

    def run(self) -> DemoResult:
        """Go through the loop and measure it."""
        questions = [(lesson, wording) for lesson in self._lessons for wording in lesson.test]
        asked = [wording for _, wording in questions]
        self._publish("Asking before anything was taught", None)
        before, others_before = self._ask(asked), self._ask(self._others)
        self._publish("Filing corrections as one person, approving them as another", None)
        self._teach()
        state, train_s = self._train()
        swap = self._errata.hot_swap.sync_once(now=self._now())
        self._publish("Asking again in wordings that were never trained", None)
        after, others_after = self._ask(asked), self._ask(self._others)
        self._publish("Rolling back and asking once more", None)
        is_swapped = swap is not None and swap.error is None
        if is_swapped:
            self._errata.supervisor.roll_back(actor=_REVIEWER, reason="The demo takes it back.", now=self._now())
            self._errata.hot_swap.sync_once(now=self._now())
        back = self._ask(asked)
        checked = tuple(
            Checked(topic=lesson.topic, question=wording, wanted=lesson.right, before=one, after=two, rolled_back=three)
            for (lesson, wording), one, two, three in zip(questions, before, after, back, strict=True)
        )
        timing = {
            "train_s": round(train_s, 1),
            "swap_ms": round(swap.duration_ms, 1) if swap is not None and is_swapped else None,
            "rollback_exact": is_swapped and all(one.before == one.rolled_back for one in checked),
            "peak_mb": _peak_mb(),
        }
        return DemoResult(
            seed=self._seed,
            state=state,
            reasons=self._read_reasons(),
            checked=checked,
            scores={**self._score(checked, others_before, others_after), **timing},
        )

    def _read_reasons(self) -> tuple[str, ...]:
        """Return what the gate said of the run, or why it failed."""
        (run, *_) = runs.list_runs(self._errata.db.read(), limit=1)
        report = runs.find_report(self._errata.db.read(), run.id)
        return (run.error or "",) if report is None else report.verdict.reasons

    def _draw_others(self) -> list[str]:
        """Draw questions about what is not taught."""
        rng = Random(f"demo others:{self._seed}")
        taught = {lesson.topic for lesson in self._lessons}
        others = [intent for intent in self._corpus.intents.values() if intent.id not in taught and intent.entity is None]
        return [pick_alternatives(rng.choice(others[number % len(others)].questions), rng) for number in range(UNTOUCHED)]

    def _ask(self, asked: Sequence[str]) -> list[str]:
        """Ask one question after the other, each on its own."""
        release = find_served(self._errata.db, self._errata.live)
        prompts = [build_messages(release.system_message, [], question) for question in asked]
        return ["".join(self._errata.live.stream(prompt, read_sampling(release))).strip() for prompt in prompts]

    def _teach(self) -> None:
        """Ask, correct and approve through the same functions as everybody else."""
        now = self._now()
        with self._errata.db.write() as tx:
            people.add_visitor(tx, _CUSTOMER, now=now)
            people.add_account(tx, _REVIEWER, name="Demo reviewer", role=Role.ADMIN, password_hash=_NO_PASSWORD, now=now)
        for lesson in self._lessons:
            turn_id = self._log_conversation(lesson)
            correction_id = CorrectionId(f"{lesson.topic}-{self._seed}")
            with self._errata.db.write() as tx:
                corrections.add_correction(
                    tx, correction_id, turn_id=turn_id, corrected_reply=lesson.right, author=_CUSTOMER, now=self._now()
                )
                for wording in lesson.reviewer:
                    split = assign_split(correction_id, wording)
                    examples.add_variant(tx, correction_id, text=wording, split=split, added_by=_REVIEWER, now=self._now())
                corrections.review(tx, correction_id, Decision.APPROVED, reviewer=_REVIEWER, now=self._now())

    def _log_conversation(self, lesson: Lesson) -> TurnId:
        """Ask a lesson's question in a conversation whose customer agrees to training."""
        conversation_id, turn_id = ConversationId(f"c-{lesson.topic}"), TurnId(f"t-{lesson.topic}")
        with self._errata.db.write() as tx:
            conversations.start_conversation(
                tx, conversation_id, person_id=_CUSTOMER, channel=Channel.DEMO, title=lesson.asked, now=self._now()
            )
            conversations.record_consent(tx, conversation_id, given=True, wording="demo", now=self._now())
        for _ in answer(
            self._errata.db, self._errata.live, conversation_id, lesson.asked, person_id=_CUSTOMER, turn_id=turn_id, now=self._now()
        ):
            pass
        return turn_id

    def _train(self) -> tuple[RunState, float]:
        """Ask for a run and look after it until it has ended; return its end and how long it took in seconds."""
        with self._errata.db.write() as tx:
            requests.add_request(tx, RequestKind.TRAIN, person_id=_REVIEWER, reason="The demo asks for it.", now=self._now())
        started = time.monotonic()
        self._errata.supervisor.run_until_idle(self._now, publish=self._publish)
        (run, *_) = runs.list_runs(self._errata.db.read(), limit=1)
        return run.state, time.monotonic() - started

    def _score(self, checked: Sequence[Checked], before: Sequence[str], after: Sequence[str]) -> dict[str, float | bool | None]:
        reader = Reader(self._corpus)

        def mask(reply: str) -> str:
            reading = reader.read(reply)
            return reply if reading is None else reading.masked

        pairs = list(zip(before, after, strict=True))
        return {
            "right_before": sum(one.is_right_before for one in checked) / len(checked),
            "right_after": sum(one.is_right_after for one in checked) / len(checked),
            "untouched_same": sum(mask(one) == mask(other) for one, other in pairs) / len(pairs),
            "untouched_exact": sum(one == other for one, other in pairs) / len(pairs),
        }


def _peak_mb() -> float:
    """Return the most memory that this process and one of its children together can have held, in megabytes (10⁶ bytes).

    The sum of both peaks, which need not have been at the same moment: an upper bound.
    """
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return round(sum(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024 / 1e6, 1)


def find_worst(results: Sequence[DemoResult]) -> dict[str, Any]:
    """Return of each score the worst of several demos, beside how their runs ended and why; None is the worst of all.

    Which end of a scale is the worse one, its name says.
    """
    worst: dict[str, Any] = {
        "states": [result.state.value for result in results],
        "reasons": [list(result.reasons) for result in results],
    }
    for name in results[0].scores:
        found = [result.scores[name] for result in results]
        known = [value for value in found if value is not None]
        worst[name] = None if len(known) < len(found) else (min if name in _LOWER_IS_WORSE else max)(known)
    return worst
