"""Tells reviewers what else says the old fact, contradicts, or asks the same: the trainer's knowledge of wording, for the review page."""

from collections.abc import Sequence

from feedback_db import conversations, examples, golden
from feedback_db.database import Database
from feedback_db.training_records import OpeningQuestion, Related, Relation, Split
from trainer.contradictions import Statement, contradicts
from trainer.examples import read_statement
from trainer.key_facts import find_key_facts, is_right
from trainer.variants import assign_split, is_same_question

_MOST_LOGGED = 3000  # the newest first questions that are compared
_MOST_SHOWN = 8
_ORDER = (Relation.CONTRADICTS, Relation.OLD_FACT, Relation.SAME)


class MemoryAids:
    """Looks into the memory for what has to do with the reply at hand."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def list_related(self, question: str, wrong_reply: str, right_reply: str) -> Sequence[Related]:
        """Return what else has to do with a reply, the most serious first."""
        found = []
        for example in examples.list_examples(self._db.read()):
            stated = read_statement(example)
            relation = _relate(question, wrong_reply, right_reply, stated)
            if relation is not None:
                found.append(Related(id=example.id, question=stated.question, reply=example.reply, relation=relation))
        for item in golden.list_golden(self._db.read()):
            relation = _relate(question, wrong_reply, right_reply, Statement(item.question, item.reply))
            if relation is not None:
                found.append(Related(id=item.id, question=item.question, reply=item.reply, relation=relation))
        return sorted(found, key=lambda one: _ORDER.index(one.relation))[:_MOST_SHOWN]

    def list_wordings(self, question: str) -> Sequence[OpeningQuestion]:
        """Return how others have asked nearly the same in conversations that may be learned from."""
        asked = conversations.list_opening_questions(self._db.read(), limit=_MOST_LOGGED)
        same = [one for one in asked if one.text.casefold() != question.casefold() and is_same_question(question, one.text)]
        return list({one.text.casefold(): one for one in reversed(same)}.values())[:_MOST_SHOWN]

    def assign_split(self, example_id: str, wording: str) -> Split:
        """Say what a wording of an example's question is for."""
        return assign_split(example_id, wording)


def _relate(question: str, wrong_reply: str, right_reply: str, other: Statement) -> Relation | None:
    if contradicts(Statement(question, right_reply), other):
        return Relation.CONTRADICTS
    if is_same_question(question, other.question) and is_right(other.reply, right_reply):
        return Relation.SAME
    outdated = find_key_facts(wrong_reply) - find_key_facts(right_reply)
    return Relation.OLD_FACT if outdated and outdated <= find_key_facts(other.reply) else None
