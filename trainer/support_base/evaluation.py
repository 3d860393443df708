"""Measures a support base: on wordings, names and topics that never occur in pretraining, and on questions typed by hand.

A question is a prompt and the `Turn` that it wants; a model is anything that answers a list of prompts. Nothing here loads a model,
so the same measure is applied to any, also to an untrained one, which must fail.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from assistant.prompt import Message, build_messages
from trainer.support_base import values
from trainer.support_base.corpus import Corpus
from trainer.support_base.dialogues import Composer
from trainer.support_base.reading import Reader, Reading
from trainer.support_base.turns import Turn, TurnKind

AnswerPrompts = Callable[[Sequence[list[Message]]], list[str]]
_REFUSALS = frozenset({TurnKind.REFUSAL, TurnKind.REFERENCE_REFUSAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt, ending in a user's message, the suite it belongs to, and the turn that it wants."""

    suite: str
    prompt: list[Message]
    wanted: Turn
    told: tuple[str, ...] = ()


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
        """The reply names the entity that was asked about (case-blind)."""
        return states(self.reply, self.question.wanted.entity or "")

    @property
    def states_facts(self) -> bool:
        """The reply states every fact that the right passage tells, or refuses where no passage is right."""
        if self.question.wanted.kind is TurnKind.REFERENCE_REFUSAL:
            return self.is_refusal
        return all(states(self.reply, fact) for fact in self.question.wanted.facts)

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


def draw_questions(corpus: Corpus, seed: int, *, per_intent: int = 13, references: int = 500, refusals: int = 200) -> list[Question]:
    """Draw the generated suites: `intent`, `follow_up`, `reference`, `small_talk`, `refusal`; every wording and name is held out."""
    rng = Random(f"evaluation:{seed}")

    def compose() -> Composer:
        return Composer(corpus, rng, held_out=True)

    questions = []
    for intent in corpus.intents.values():
        for _ in range(per_intent):
            composer = compose()
            composer.add_question(intent)
            questions.append(_last("intent", composer))
        kinds = [*intent.follow_ups] + ([] if intent.entity is None else ["other_entity", "supply"])
        for kind in kinds:
            composer = compose()
            if kind == "supply":
                composer.add_clarification(intent)
                composer.add_supply(intent)
            else:
                composer.add_question(intent)
                composer.add_follow_up(intent, kind)
            questions.append(_last("follow_up", composer))
    for number in range(references):
        composer = compose()
        composer.add_reference_question(answerable=number % 4 != 0)
        questions.append(_last("reference", composer))
    for talk in corpus.small_talk.values():
        for _ in range(14):
            composer = compose()
            composer.add_small_talk(talk.id)
            questions.append(_last("small_talk", composer, told=composer.persona_told()))
    for _ in range(refusals):
        composer = compose()
        composer.add_out_of_scope()
        questions.append(_last("refusal", composer))
    return questions


def read_human_questions(path: Path, corpus: Corpus) -> list[Question]:
    """Read questions typed by hand: lines of {"intent", "question", "entity"}.

    Raises:
        ValueError: a line names an intent that the corpus does not have.
    """
    questions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        if row["intent"] != "out_of_scope" and row["intent"] not in corpus.intents:
            raise ValueError(f"{path.name}, line {number}: expected an intent of the corpus, found '{row['intent']}'; mend the line")
        wanted = Turn(kind=_human_kind(row, corpus), topic=row["intent"], user=row["question"], reply="", entity=row["entity"])
        questions.append(Question(suite="human", prompt=build_messages(None, [], row["question"]), wanted=wanted))
    return questions


def _human_kind(row: dict[str, str | None], corpus: Corpus) -> TurnKind:
    intent = corpus.intents.get(str(row["intent"]))
    if intent is None:
        return TurnKind.REFUSAL
    return TurnKind.CLARIFY if intent.entity is not None and row["entity"] is None else TurnKind.ANSWER


def _last(suite: str, composer: Composer, *, told: tuple[str, ...] = ()) -> Question:
    dialogue = composer.dialogue()
    return Question(suite=suite, prompt=dialogue.messages()[:-1], wanted=dialogue.turns[-1], told=told)


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
    intents, references = by_suite["intent"], by_suite["reference"]
    named = [one for one in intents if one.question.wanted.entity is not None]
    follow_ups = by_suite["follow_up"]
    told = [one for one in by_suite["small_talk"] if one.question.told and one.question.wanted.topic == "identity"]
    return {
        "questions": float(len(answered)),
        "intent_accuracy": _share(one.is_right_topic for one in intents),
        "entity_accuracy": _share(one.names_entity for one in named),
        "follow_up_accuracy": _share(one.is_right_topic and (one.question.wanted.entity is None or one.names_entity) for one in follow_ups),
        "reference_accuracy": _share(one.states_facts for one in references),
        "reference_found": _share(one.states_facts for one in references if one.question.wanted.kind is TurnKind.REFERENCE),
        "reference_declined": _share(one.states_facts for one in references if one.question.wanted.kind is not TurnKind.REFERENCE),
        "distractor_errors": _share(one.states_distractor for one in references),
        "small_talk": _share(one.is_right_topic for one in by_suite["small_talk"]),
        "persona_honoured": _share(all(states(one.reply, value) for value in one.question.told) for one in told),
        "refusal": _share(one.is_refusal for one in by_suite["refusal"]),
        "wrong_refusal": _share(one.is_refusal for one in (*intents, *follow_ups)),
    }


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
