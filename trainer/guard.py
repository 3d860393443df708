"""The questions that watch what a run must leave alone, and those whose replies it rehearses. Knows the bundled base's corpus, no model.

A question is for one of the two for ever: what has been trained, even as the base's own reply, says nothing of what was left alone.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import islice
from random import Random

from assistant.prompt import build_messages
from feedback_db.questions import name_question
from feedback_db.reports import Suite
from feedback_db.training_records import Example, ExampleId, OpeningQuestion, Split
from trainer.contradictions import Statement, contradicts
from trainer.examples import read_statement
from trainer.run_directory import Row
from trainer.support_base.corpus import Corpus, load_corpus
from trainer.support_base.dialogues import Composer
from trainer.variants import Wordings, assign_split, is_same_question

_ROUND = ("intent", "intent", "intent", "intent", "small_talk", "out_of_scope")
_TRIES = 20  # drawn for each question that is wanted, before the corpus counts as exhausted


def draw_default_questions(count: int, *, seed: int, system_message: str | None) -> list[Row]:
    """Draw questions without a history from wordings, names and topics that the bundled base knows, no two of the same words.

    Two of three ask about an intent, each intent in its turn; the others are small talk and what no support desk can know.
    """
    corpus, rng = load_corpus(), Random(f"guard:{seed}")
    found: dict[str, Row] = {}
    for number in range(count * _TRIES):
        asked = _draw_question(corpus, rng, number)
        found.setdefault(asked.lower(), Row(messages=tuple(build_messages(system_message, [], asked))))
        if len(found) >= count:
            break
    return list(islice(found.values(), count))


def split_guard(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the guard rows and the replay rows; which a question is, a hash of its words says, whatever its case or greeting."""
    is_replayed = [assign_split("guard", row.question) is Split.TRAIN for row in rows]
    guard = [replace(row, reply="", suite=Suite.UNTOUCHED) for row, replayed in zip(rows, is_replayed, strict=True) if not replayed]
    replay = [replace(row, reply="", suite=None) for row, replayed in zip(rows, is_replayed, strict=True) if replayed]
    return guard, replay


def watch_traffic(questions: Sequence[OpeningQuestion], system_message: str | None) -> list[Row]:
    """Return guard rows of real questions, each wording once, without those whose reply somebody disliked: that one may well change.

    They are never rehearsed: what people said is trained only where it was corrected and approved.
    """
    found = {
        question.text.lower(): Row(
            messages=tuple(build_messages(system_message, [], question.text)), suite=Suite.UNTOUCHED, turn_id=question.turn_id
        )
        for question in reversed(questions)
        if not question.is_disliked and assign_split("guard", question.text) is not Split.TRAIN
    }
    return list(found.values())


def leave_out(rows: Sequence[Row], changed: Sequence[Example], wordings: Mapping[ExampleId, Wordings]) -> list[Row]:
    """Return the rows whose answers the examples do not change: they ask another question, and state nothing that one contradicts."""
    statements = [replace(read_statement(example), question=one) for example in changed for one in wordings[example.id].all()]
    return [row for row in rows if not any(_is_changed(row, statement) for statement in statements)]


def leave_out_unwatched(rows: Sequence[Row], unwatched: Set[str]) -> list[Row]:
    """Return the rows but for those whose question, by its words, reviewers no longer have watched."""
    return [row for row in rows if name_question(row.question) not in unwatched]


def leave_out_contradicted(golden: Sequence[Row], changed: Sequence[Example]) -> list[Row]:
    """Return the golden rows that no example contradicts; one that only resembles what is changed is what must be asked."""
    statements = [read_statement(example) for example in changed]
    return [row for row in golden if not any(_is_contradicted(row, statement) for statement in statements)]


def _draw_question(corpus: Corpus, rng: Random, number: int) -> str:
    composer = Composer(corpus, rng, held_out=False)
    rounds, place = divmod(number, len(_ROUND))
    kind = _ROUND[place]
    if kind == "intent":
        intents = tuple(corpus.intents.values())
        return composer.add_named_question(intents[(rounds * _ROUND.count("intent") + place) % len(intents)]).user
    if kind == "small_talk":
        return composer.add_small_talk(rng.choice(tuple(corpus.small_talk))).user
    return composer.add_out_of_scope().user


def _is_changed(row: Row, statement: Statement) -> bool:
    return is_same_question(row.question, statement.question) or (bool(row.reply) and _is_contradicted(row, statement))


def _is_contradicted(row: Row, statement: Statement) -> bool:
    before = tuple(message["content"] for message in row.messages[:-1] if message["role"] == "user")
    return contradicts(statement, Statement(row.question, row.reply, before=before, told=statement.told))
