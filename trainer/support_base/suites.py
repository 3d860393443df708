"""The questions that measure a base: drawn suites, every wording, name and declined topic held out, and questions typed by hand."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from assistant.prompt import Message, build_messages
from trainer.support_base.corpus import Corpus, Intent
from trainer.support_base.dialogues import Composer
from trainer.support_base.turns import Turn, TurnKind

_TURNS_BEFORE_LONG = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt, ending in a user's message, the suite it belongs to, and the turn that it wants.

    `told` are the names in the system message; `unseen_topic` says that no intent and no pretrained topic is asked about.
    """

    suite: str
    prompt: list[Message]
    wanted: Turn
    told: tuple[str, ...] = ()
    unseen_topic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many questions are drawn: for each intent, or for a whole suite."""

    per_intent: int = 11
    clarify_per_intent: int = 4
    references: int = 400
    long_contexts: int = 60
    per_small_talk: int = 14
    identity: int = 120
    refusals: int = 150


def draw_questions(corpus: Corpus, seed: int, counts: Counts | None = None) -> list[Question]:
    """Draw the suites.

    `intent`, `clarify`, `follow_up`: single questions and what follows one. `reference`: blocks about intents and about topics of
    which pretraining has seen none. `long_*`: the same behind over a thousand tokens of other turns. `small_talk`, `identity`.
    `refusal` asks far out of scope, `refusal_near` what a support desk could know, but this one was told nothing about.
    """
    return _Drawing(corpus, Random(f"evaluation:{seed}"), counts or Counts()).draw()


class _Drawing:
    """Collects questions, each the last turn of a dialogue of its own."""

    def __init__(self, corpus: Corpus, rng: Random, counts: Counts) -> None:
        self._corpus, self._rng, self._counts = corpus, rng, counts
        self._questions: list[Question] = []

    def draw(self) -> list[Question]:
        for intent in self._corpus.intents.values():
            self._ask_about(intent)
        self._ask_with_references()
        self._talk()
        self._ask_what_is_unknown()
        return self._questions

    def _ask_about(self, intent: Intent) -> None:
        for _ in range(self._counts.per_intent):
            composer = self._start()
            composer.add_named_question(intent)
            self._take("intent", composer)
        for kind in (*intent.follow_ups, *([] if intent.entity is None else ["other_entity"])):
            self._ask_and_follow("follow_up", self._start(), intent, kind)
        if intent.entity is None:
            return
        for _ in range(self._counts.clarify_per_intent):
            composer = self._start()
            composer.add_clarification(intent)
            self._take("clarify", composer)
        composer = self._start()
        composer.add_clarification(intent)
        composer.add_supply(intent)
        self._take("follow_up", composer)

    def _ask_with_references(self) -> None:
        for number in range(self._counts.references):
            composer = self._start()
            composer.add_reference_question(answerable=number % 4 != 0)
            self._take("reference", composer)
        followed = [intent for intent in self._corpus.intents.values() if "duration" in intent.follow_ups]
        for _ in range(self._counts.long_contexts):
            composer = self._start(turns=_TURNS_BEFORE_LONG)
            composer.add_reference_question(answerable=True)
            self._take("long_reference", composer)
            self._ask_and_follow("long_follow_up", self._start(turns=_TURNS_BEFORE_LONG), self._rng.choice(followed), "duration")

    def _talk(self) -> None:
        kinds = [("small_talk", kind) for kind in self._corpus.small_talk for _ in range(self._counts.per_small_talk)]
        for suite, kind in (*kinds, *[("identity", "identity")] * self._counts.identity):
            composer = self._start()
            composer.add_small_talk(kind)
            self._take(suite, composer)

    def _ask_what_is_unknown(self) -> None:
        for _ in range(self._counts.refusals):
            composer = self._start()
            composer.add_out_of_scope()
            self._take("refusal", composer)
            composer = self._start()
            composer.add_unknown()
            self._take("refusal_near", composer)

    def _ask_and_follow(self, suite: str, composer: Composer, intent: Intent, kind: str) -> None:
        composer.add_named_question(intent)
        composer.add_follow_up(intent, kind)
        self._take(suite, composer)

    def _start(self, *, turns: int = 0) -> Composer:
        composer = Composer(self._corpus, self._rng, held_out=True)
        composer.compose(turns, reference_share=0.0)
        return composer

    def _take(self, suite: str, composer: Composer) -> None:
        dialogue = composer.dialogue()
        wanted = dialogue.turns[-1]
        topic = self._corpus.knowledge.get(wanted.topic)
        self._questions.append(
            Question(
                suite=suite,
                prompt=dialogue.messages()[:-1],
                wanted=wanted,
                told=composer.persona_told(),
                unseen_topic=topic is not None and topic.held_out,
            )
        )


class QuestionFileError(ValueError):
    """A file of questions typed by hand cannot be measured with."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(
            f'{path}, line {line}: expected {{"intent": …, "question": …, "entity": … or null}} with an intent of the corpus. '
            f"Found {why}. Mend the line."
        )


def read_human_questions(path: Path, corpus: Corpus) -> list[Question]:
    """Read questions typed by hand: lines of {"intent", "question", "entity"}.

    Raises:
        QuestionFileError: a line is none of these, or names an intent that the corpus does not have; or there is no such file.
    """
    if not path.exists():
        raise QuestionFileError(path, 1, "no file")
    questions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            intent, text, entity = row["intent"], row["question"], row["entity"]
        except (ValueError, KeyError, TypeError) as error:
            raise QuestionFileError(path, number, f"{type(error).__name__} {error}") from error
        if intent != "out_of_scope" and intent not in corpus.intents:
            raise QuestionFileError(path, number, f"the intent '{intent}'")
        wanted = Turn(kind=_human_kind(row, corpus), topic=intent, user=text, reply="", entity=entity)
        questions.append(Question(suite="human", prompt=build_messages(None, [], text), wanted=wanted))
    return questions


def _human_kind(row: Mapping[str, str | None], corpus: Corpus) -> TurnKind:
    intent = corpus.intents.get(str(row["intent"]))
    if intent is None:
        return TurnKind.REFUSAL
    return TurnKind.CLARIFY if intent.entity is not None and row["entity"] is None else TurnKind.ANSWER
