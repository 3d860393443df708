"""A run's order: the examples of this moment, sealed in a snapshot; the same ones, found again after a crash; its end without a release."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from feedback_db import conversations, examples, golden, requests, runs, snapshots, unwatched
from feedback_db.audit import Audit
from feedback_db.database import Reader, Transaction
from feedback_db.recipe import Recipe, write_recipe
from feedback_db.records import CorrectionId, PersonId
from feedback_db.training_records import Example, ExampleId, RequestKind, Run, RunId, RunState, SnapshotId
from trainer.errors import SnapshotChangedError
from trainer.examples import collect_wordings, hash_example, name_snapshot, put_under, read_messages
from trainer.planning import MOST_TRAFFIC, Material, ServedBase
from trainer.variants import Wordings

_SPARE_TOKENS = 32  # greetings and endings that a change of wording may add


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What may be trained now; `too_long` are examples that do not fit into the base's context and are left out."""

    material: Material
    too_long: tuple[ExampleId, ...]


def gather(reader: Reader, served: ServedBase, *, until: datetime) -> Gathered:
    """Return what may be trained, each example with the wordings that it had at a moment."""
    found = examples.list_examples(reader)
    fitting = [example for example in found if _fits(example, served)]
    kept = {example.id for example in fitting}
    return Gathered(
        material=_to_material(reader, fitting, until),
        too_long=tuple(example.id for example in found if example.id not in kept),
    )


def hash_material(material: Material, salt: bytes) -> dict[ExampleId, str]:
    """Return the salted hash of what is trained of each example."""
    return {example.id: hash_example(example, material.wordings[example.id], salt=salt) for example in material.examples}


def name_material(material: Material, salt: bytes) -> SnapshotId:
    """Return the id of the snapshot that this would be."""
    return name_snapshot(hash_material(material, salt))


def order_run(
    tx: Transaction,
    audit: Audit,
    hashes: Mapping[ExampleId, str],
    recipe: Recipe,
    *,
    requested_by: PersonId | None,
    reason: str,
    now: datetime,
) -> Run:
    """Seal examples in a snapshot and queue a run on it.

    Raises:
        NotTrainableError: an example may not be trained any more.
        EmptySnapshotError: there is none.
        ActiveRunError: another run is under way.
    """
    snapshot = snapshots.take_snapshot(tx, name_snapshot(hashes), content_hashes=hashes, now=now)
    run_id = RunId(f"{now:%Y%m%d-%H%M%S-%f}-{snapshot.id[:8]}")
    run = runs.queue_run(
        tx,
        run_id,
        snapshot_id=snapshot.id,
        recipe=write_recipe(recipe),
        seed=recipe.seed,
        requested_by=requested_by,
        reason=reason,
        now=now,
    )
    details: dict[str, str | int | bool | None] = {"snapshot": snapshot.id, "examples": snapshot.example_count}
    audit.append(tx, actor=requested_by, action="queue_run", subject=run.id, details=details, now=now)
    return run


def find_material(reader: Reader, run: Run, *, salt: bytes) -> Material:
    """Return what a run was ordered to train, exactly; an example that a newer one has superseded since is still part of it.

    Raises:
        SnapshotChangedError: one of its examples or wordings was erased, or its consent was withdrawn.
    """
    standing = examples.list_standing(reader, run.snapshot_id)
    ordered = snapshots.list_content_hashes(reader, run.snapshot_id)
    found = {example.id for example in standing}
    gone = next((example_id for example_id in ordered if example_id not in found), None)
    if gone is not None:
        raise SnapshotChangedError(gone)
    material = _to_material(reader, standing, run.created_at)
    for example_id, content_hash in hash_material(material, salt).items():
        if content_hash != ordered[example_id]:
            raise SnapshotChangedError(example_id)
    return material


def end_run(tx: Transaction, audit: Audit, run_id: RunId, state: RunState, *, error: str | None, now: datetime) -> None:
    """End a run that made no release, and answer whoever asked for its end.

    Raises:
        RunStateError: it has ended already.
    """
    runs.finish_run(tx, run_id, state, error=error, now=now)
    audit.append(tx, actor=None, action="finish_run", subject=run_id, details={"state": state}, now=now)
    for request in requests.list_open(tx):
        if request.kind is RequestKind.CANCEL:
            requests.handle(tx, request.id, outcome=f"Run '{run_id}' has ended: {state}.", now=now)


def _to_material(reader: Reader, chosen: list[Example], until: datetime) -> Material:
    ids = {example.id for example in chosen}
    return Material(
        examples=tuple(chosen),
        wordings={example.id: _read_wordings(reader, example, until) for example in chosen},
        changed=tuple(example for example in examples.list_untrained(reader) if example.id in ids),
        golden=tuple(golden.list_golden(reader)),
        traffic=tuple(conversations.list_opening_questions(reader, limit=MOST_TRAFFIC)),
        unwatched=unwatched.list_unwatched(reader),
    )


def _read_wordings(reader: Reader, example: Example, until: datetime) -> Wordings:
    found = examples.list_variants(reader, CorrectionId(example.id))
    return collect_wordings(example, [variant for variant in found if variant.created_at <= until])


def _fits(example: Example, served: ServedBase) -> bool:
    messages = read_messages(put_under(example, served.system_message))
    return served.count_tokens([*messages, {"role": "assistant", "content": example.reply}]) + _SPARE_TOKENS <= served.context_tokens
