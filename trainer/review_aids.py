"""Tells reviewers what else says the old fact, contradicts, or asks the same: the trainer's knowledge of wording, for the review page."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from feedback_db import conversations, examples, golden, releases, runs, unwatched
from feedback_db.database import Database, Reader
from feedback_db.errors import ReportShapeError
from feedback_db.questions import name_question
from feedback_db.reports import Suite, read_report
from feedback_db.training_records import OpeningQuestion, Related, Relation, RunId, Split, Watched
from trainer.contradictions import Statement, contradicts
from trainer.examples import read_statement
from trainer.guard import watch_traffic
from trainer.key_facts import find_key_facts, is_right
from trainer.planning import MOST_TRAFFIC
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

    def list_watched(self, question: str, wrong_reply: str, right_reply: str) -> Sequence[Watched]:
        """Return the guard questions whose replies the right one makes wrong, but for its own question: no run watches that one anyway."""
        found = []
        for key, stated in _read_guard(self._db.read()).items():
            relation = _relate(question, wrong_reply, right_reply, stated)
            if relation in {Relation.CONTRADICTS, Relation.OLD_FACT} and not is_same_question(question, stated.question):
                found.append(Watched(key=key, question=stated.question, reply=stated.reply, relation=relation))
        return sorted(found, key=lambda one: _ORDER.index(one.relation))[:_MOST_SHOWN]

    def is_watched(self, key: str) -> bool:
        """Say whether a question of the guard set has this key."""
        return key in _read_guard(self._db.read())

    def list_wordings(self, question: str) -> Sequence[OpeningQuestion]:
        """Return how others have asked nearly the same in conversations that may be learned from."""
        asked = conversations.list_opening_questions(self._db.read(), limit=_MOST_LOGGED)
        same = [one for one in asked if one.text.casefold() != question.casefold() and is_same_question(question, one.text)]
        return list({one.text.casefold(): one for one in reversed(same)}.values())[:_MOST_SHOWN]

    def assign_split(self, example_id: str, wording: str) -> Split:
        """Say what a wording of an example's question is for."""
        return assign_split(example_id, wording)


def _read_guard(reader: Reader) -> Mapping[str, Statement]:
    """Return by their keys the guard questions that are watched, with what was last answered to them as far as anybody knows.

    Those of the default set are known once a run has asked them, real ones from the log.
    """
    left_out = unwatched.list_unwatched(reader)
    asked = {name_question(one.question): one for one in (*_list_measured(reader), *_list_traffic(reader))}
    return {key: one for key, one in asked.items() if key is not None and key not in left_out}


def _list_traffic(reader: Reader) -> Iterator[Statement]:
    questions = conversations.list_opening_questions(reader, limit=MOST_TRAFFIC)
    replies: dict[str | None, str] = {one.turn_id: one.reply for one in questions}
    for row in watch_traffic(questions, None):
        yield Statement(row.question, replies[row.turn_id])


def _list_measured(reader: Reader) -> Iterator[Statement]:
    """Yield what the newest measurement heard: from the live release if it is the one that was measured, else from the one before it."""
    live = releases.find_live(reader)
    learned_in = None if live is None else live[1].run_id
    run_id = learned_in or _find_measured(reader)
    stored = None if run_id is None else runs.find_report(reader, run_id)
    with suppress(ReportShapeError):  # an older report tells nothing
        for one in () if stored is None else read_report(stored.report).of(Suite.UNTOUCHED):
            yield Statement(one.question, one.after if run_id == learned_in else one.before)


def _find_measured(reader: Reader) -> RunId | None:
    return next((run.id for run in runs.list_runs(reader) if runs.find_report(reader, run.id) is not None), None)


def _relate(question: str, wrong_reply: str, right_reply: str, other: Statement) -> Relation | None:
    if contradicts(Statement(question, right_reply), other):
        return Relation.CONTRADICTS
    if is_same_question(question, other.question) and is_right(other.reply, right_reply):
        return Relation.SAME
    outdated = find_key_facts(wrong_reply) - find_key_facts(right_reply)
    return Relation.OLD_FACT if outdated and outdated <= find_key_facts(other.reply) else None
