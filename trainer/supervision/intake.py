"""Makes approved corrections examples, and retires those that a newer one contradicts; what contradicts what, pure modules say."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from assistant.prompt import build_messages
from feedback_db import examples, releases
from feedback_db.audit import Audit
from feedback_db.database import Database, Transaction
from feedback_db.errors import ExampleExistsError, NotFoundError
from feedback_db.training_records import ApprovedCorrection, Example
from trainer.examples import build_example_messages, find_superseded
from trainer.planning import ServedBase


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
    retired = find_superseded(newer, older)
    for example_id in retired:
        examples.retire(tx, example_id, superseded_by=newer.id, now=now)
        audit.append(tx, actor=None, action="retire_example", subject=example_id, details={"superseded_by": newer.id}, now=now)
    return set(retired)
