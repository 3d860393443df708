"""Scores what a base replies to the suites' questions.

A model is anything that answers a list of prompts. Nothing here loads one, so the same measure is applied to any, also to an untrained
one, which must fail.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from assistant.prompt import Message
from trainer.support_base import values
from trainer.support_base.reading import Reader, Reading
from trainer.support_base.suites import Question
from trainer.support_base.turns import Turn, TurnKind

AnswerPrompts = Callable[[Sequence[list[Message]]], list[str]]
_REFUSALS = frozenset({TurnKind.REFUSAL, TurnKind.REFERENCE_REFUSAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question, the reply, and what the reader made of it (None: no phrasing of the corpus)."""

    question: Question
    reply: str
    reading: Reading | None

    @property
    def is_right_topic(self) -> bool:
        """The reply is a phrasing of the wanted kind about the wanted topic."""
        wanted, reading = self.question.wanted, self.reading
        return (
            reading is not None
            and reading.kind == wanted.kind
            and reading.topic == wanted.topic
            and reading.follow_up == _follow_up_read(wanted)
        )

    @property
    def is_refusal(self) -> bool:
        """The reply says that it does not know."""
        return self.reading is not None and self.reading.kind in _REFUSALS

    @property
    def names_entity(self) -> bool:
        """The reply names, in its place, exactly the entity that was asked about (case-blind)."""
        wanted = (self.question.wanted.entity or "").lower()
        return self.reading is not None and wanted in {value.lower() for value in self.reading.values.values()}

    @property
    def states_facts(self) -> bool:
        """The reply is about the topic and states every fact that the right passage tells, or refuses where no passage is right."""
        wanted, reading = self.question.wanted, self.reading
        if wanted.kind is TurnKind.REFERENCE_REFUSAL:
            return self.is_refusal
        told = {fact.lower() for fact in wanted.facts}
        return reading is not None and reading.topic == wanted.topic and told <= {value.lower() for value in reading.values.values()}

    @property
    def states_distractor(self) -> bool:
        """The reply states a value of a wrong passage that the right reply would not state."""
        wanted = self.question.wanted
        return any(states(self.reply, value) and not states(wanted.reply, value) for value in wanted.distractors)

    @property
    def masked(self) -> str:
        """The reply with its values masked, or as it is where it is no phrasing of the corpus."""
        return self.reply if self.reading is None else self.reading.masked


def _follow_up_read(wanted: Turn) -> str | None:
    return wanted.follow_up if wanted.kind is TurnKind.FOLLOW_UP else None


def states(text: str, value: str) -> bool:
    """Say whether a text states a value as a whole word (case-blind); '5' is not stated by '15' nor by '5.50'."""
    return re.search(rf"(?<![\w.]){re.escape(value)}(?![\w]|\.\d)", text, re.IGNORECASE) is not None


def answer_all(questions: Sequence[Question], answer: AnswerPrompts, reader: Reader) -> list[Answered]:
    """Have all questions answered and the replies read."""
    replies = answer([question.prompt for question in questions])
    return [
        Answered(question=question, reply=reply, reading=reader.read(reply)) for question, reply in zip(questions, replies, strict=True)
    ]


def score(answered: Sequence[Answered]) -> dict[str, float]:
    """Return the share of right replies in each suite; see the model card for what each name means."""
    by_suite: dict[str, list[Answered]] = {}
    for one in answered:
        by_suite.setdefault(one.question.suite, []).append(one)
    intents, follow_ups, references = by_suite["intent"], by_suite["follow_up"], by_suite["reference"]
    named = [one for one in intents if one.question.wanted.entity is not None]
    found = [one for one in references if one.question.wanted.kind is TurnKind.REFERENCE]
    declined = [one for one in references if one.question.wanted.kind is not TurnKind.REFERENCE]
    unseen = [one for one in found if one.question.unseen_topic]
    return {
        "questions": float(len(answered)),
        "intent_accuracy": _share(one.is_right_topic for one in intents),
        "entity_accuracy": _share(one.names_entity for one in named),
        "clarify_accuracy": _share(one.is_right_topic for one in by_suite["clarify"]),
        "follow_up_accuracy": _share(_is_right_follow_up(one) for one in follow_ups),
        "reference_accuracy": _share(one.states_facts for one in references),
        "reference_found": _share(one.states_facts for one in found),
        "reference_unseen_topics": _share(one.states_facts for one in unseen),
        "reference_declined": _share(one.states_facts for one in declined),
        "distractor_errors": _share(one.states_distractor for one in references),
        "long_reference": _share(one.states_facts for one in by_suite["long_reference"]),
        "long_follow_up": _share(_is_right_follow_up(one) for one in by_suite["long_follow_up"]),
        "small_talk": _share(one.is_right_topic for one in by_suite["small_talk"]),
        "persona_honoured": _share(all(states(one.reply, value) for value in one.question.told) for one in by_suite["identity"]),
        "refusal": _share(one.is_refusal for one in by_suite["refusal"]),
        "refusal_near": _share(one.is_refusal for one in by_suite["refusal_near"]),
        "wrong_refusal": _share(one.is_refusal for one in (*intents, *follow_ups)),
    }


def _is_right_follow_up(one: Answered) -> bool:
    return one.is_right_topic and (one.question.wanted.entity is None or one.names_entity)


def score_human(answered: Sequence[Answered]) -> dict[str, float]:
    """Return the shares for the questions typed by hand."""
    known = [one for one in answered if one.question.wanted.kind is not TurnKind.REFUSAL]
    unknown = [one for one in answered if one.question.wanted.kind is TurnKind.REFUSAL]
    return {
        "human_intent_accuracy": _share(one.is_right_topic for one in known),
        "human_entity_accuracy": _share(one.names_entity for one in known if one.question.wanted.entity is not None),
        "human_refusal": _share(one.is_refusal for one in unknown),
        "human_wrong_refusal": _share(one.is_refusal for one in known),
    }


def confusions(answered: Sequence[Answered]) -> list[tuple[str, str, int]]:
    """Count (wanted topic, topic read, times) of the wrong replies, the most frequent first; '(unreadable)' is no phrasing at all."""
    wrong = Counter((one.question.wanted.topic, _topic_read(one)) for one in answered if not (one.is_right_topic or _is_right_refusal(one)))
    return [(wanted, read, times) for (wanted, read), times in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))]


def _topic_read(one: Answered) -> str:
    if one.reading is None:
        return "(unreadable)"
    if one.is_refusal:
        return "(refusal)"
    return one.reading.topic if one.reading.kind is TurnKind.ANSWER else f"{one.reading.topic} ({one.reading.kind.value})"


def _is_right_refusal(one: Answered) -> bool:
    return one.question.wanted.kind in _REFUSALS and one.is_refusal


def agreement(first: Sequence[Answered], second: Sequence[Answered]) -> dict[str, float]:
    """Compare the replies of two models to the same questions, with slot values masked and exactly."""
    pairs = list(zip(first, second, strict=True))
    return {
        "nf4_agreement": _share(one.masked == other.masked for one, other in pairs),
        "nf4_agreement_exact": _share(one.reply == other.reply for one, other in pairs),
    }


def slot_entropies(seed: int, *, draws: int = 4000) -> dict[str, float]:
    """Measure how spread each kind of fact is: the entropy (bits) of this many drawn values."""
    rng = Random(f"entropy:{seed}")
    return {slot: round(_entropy(Counter(values.draw_fact(slot, rng) for _ in range(draws))), 2) for slot in values.FACTS}


def _entropy(counts: Counter[str]) -> float:
    total = counts.total()
    return -sum(count / total * math.log2(count / total) for count in counts.values())


def _share(outcomes: Iterable[bool]) -> float:
    """Return the share of true outcomes; no outcomes at all are a defect of the suite, not a perfect score."""
    found = list(outcomes)
    if not found:
        raise ValueError("expected at least one question in every suite, found none; draw more questions")
    return round(sum(found) / len(found), 4)
