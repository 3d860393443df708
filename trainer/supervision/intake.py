"""Makes approved corrections examples, adds how others asked the same, retires what a newer one contradicts; pure modules say what."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from assistant.prompt import build_messages
from feedback_db import conversations, examples, releases
from feedback_db.audit import Audit
from feedback_db.database import Database, Transaction
from feedback_db.errors import EmptyTextError, ExampleExistsError, HostileTextError, NotFoundError, TextTooLongError, VariantExistsError
from feedback_db.questions import read_words
from feedback_db.records import CorrectionId, PersonId, TurnId
from feedback_db.training_records import ApprovedCorrection, Example, OpeningQuestion, VariantSource
from trainer.examples import build_example_messages, find_superseded, has_history
from trainer.planning import ServedBase
from trainer.variants import assign_split

_LOGGED = 5000  # the newest first questions that are compared
_NO_WORDING = (VariantExistsError, NotFoundError, EmptyTextError, TextTooLongError, HostileTextError)  # or erased meanwhile
_MERGED = 8  # wordings of an example that come from the log; a question that everybody asks must not outweigh the others


def take_in(db: Database, audit: Audit, served: ServedBase, *, now: datetime) -> None:
    """Make every approved correction an example, each in a transaction of its own, in the order of their approval."""
    for approved in examples.list_approved(db.read()):
        with suppress(NotFoundError, ExampleExistsError), db.write() as tx:  # its review may just have been withdrawn
            _add_example(tx, audit, approved, served, now)


def settle_contradictions(db: Database, audit: Audit, *, now: datetime) -> None:
    """Retire what a newer example contradicts among all that may be trained: consent may have come after a newer one was added."""
    kept: list[Example] = []
    for newer in examples.list_examples(db.read()):
        if find_superseded(newer, kept):
            with suppress(NotFoundError), db.write() as tx:  # it may have been withdrawn or erased meanwhile
                retired = _retire_contradicted(tx, audit, newer, kept, now)
                kept = [one for one in kept if one.id not in retired]
        kept.append(newer)


def merge_wordings(db: Database, *, now: datetime) -> None:
    """Add to the examples how others have asked the same question first in a conversation, some for each.

    Nobody reviews them, so they say the same word for word but for greetings; what is only alike, a reviewer adds. An example with a
    history is left out: the same words mean something else in another conversation.
    """
    logged: dict[Sequence[str], dict[str, OpeningQuestion]] = {}
    for question in conversations.list_opening_questions(db.read(), limit=_LOGGED):
        logged.setdefault(read_words(question.text), {}).setdefault(question.text.casefold(), question)
    for example in examples.list_examples(db.read()):
        asked = example.messages[-1]["content"]
        if has_history(example) or not read_words(asked):
            continue
        known = examples.list_variants(db.read(), CorrectionId(example.id))
        taken = {asked.casefold(), *(variant.text.casefold() for variant in known)}
        room = max(0, _MERGED - sum(variant.source is VariantSource.LOG for variant in known))
        new = [question for text, question in logged.get(read_words(asked), {}).items() if text not in taken]
        for question in new[:room]:
            with suppress(*_NO_WORDING), db.write() as tx:
                split = assign_split(example.id, question.text)
                examples.add_variant(tx, CorrectionId(example.id), text=question.text, split=split, turn_id=question.turn_id, now=now)


def _add_example(tx: Transaction, audit: Audit, approved: ApprovedCorrection, served: ServedBase, now: datetime) -> None:
    system = releases.find_release(tx, approved.version).system_message

    def count(history: Sequence[tuple[str, str]]) -> int:
        return served.count_tokens(build_messages(system, history, approved.user_message))

    messages = build_example_messages(
        approved,
        examples.list_history(tx, approved.turn_id),
        system_message=system,
        token_budget=served.prompt_tokens,
        count_tokens=count,
    )
    added = examples.add_example(tx, approved.id, messages=[dict(message) for message in messages], now=now)
    audit.append(tx, actor=None, action="add_example", subject=added.id, details={"messages": len(messages)}, now=now)
    trainable = examples.list_examples(tx)
    if added.id in {one.id for one in trainable}:  # what may not be trained replaces nothing that may
        _retire_contradicted(tx, audit, added, trainable, now)


def _retire_contradicted(tx: Transaction, audit: Audit, newer: Example, older: Sequence[Example], now: datetime) -> set[str]:
    """Retire what a newer example contradicts, and keep its question as another wording of the newer one's: it is the same one."""
    retired: set[str] = set(find_superseded(newer, older))
    for one in (one for one in older if one.id in retired):
        examples.retire(tx, one.id, superseded_by=newer.id, now=now)
        audit.append(tx, actor=None, action="retire_example", subject=one.id, details={"superseded_by": newer.id}, now=now)
        _inherit_wordings(tx, newer, one, now)
    return retired


def _inherit_wordings(tx: Transaction, newer: Example, older: Example, now: datetime) -> None:
    """Give an example the wordings of one that it replaces, as far as both were asked first in a conversation."""
    if has_history(newer) or has_history(older):
        return
    known = {variant.text.casefold() for variant in examples.list_variants(tx, CorrectionId(newer.id))}
    known.add(newer.messages[-1]["content"].casefold())
    found: list[tuple[str, TurnId | None, PersonId | None]] = [(older.messages[-1]["content"], older.turn_id, None)]
    found += [(one.text, one.turn_id, one.added_by) for one in examples.list_variants(tx, CorrectionId(older.id))]
    for text, turn_id, added_by in found:
        if text.casefold() not in known:
            known.add(text.casefold())
            split = assign_split(newer.id, text)
            with suppress(*_NO_WORDING):
                examples.add_variant(tx, CorrectionId(newer.id), text=text, split=split, turn_id=turn_id, added_by=added_by, now=now)
