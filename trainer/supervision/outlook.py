"""What the schedule must know of the memory, and what would come of a run, told in advance. Starts nothing and writes nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feedback_db import examples, releases, requests, runs
from feedback_db.database import Reader
from feedback_db.forecast import Forecast, Foreseen
from feedback_db.recipe import Recipe, read_recipe, write_recipe
from feedback_db.training_records import ExampleId, RequestKind, RunId, RunState, SnapshotId, SwapOutcome
from trainer.epoch import count_rehearsed, count_steps
from trainer.planning import Material, ServedBase
from trainer.run_directory import Row
from trainer.schedule import Facts


def read_facts(reader: Reader) -> Facts:
    """Return what the memory knows now; a look that was announced stays until it is taken, so none is missed while nobody ticks."""
    status, active = requests.read_status(reader), runs.find_active_run(reader)
    ended = [run.finished_at for run in runs.list_runs(reader, limit=2) if run.finished_at is not None]
    return Facts(
        untrained=len(examples.list_untrained(reader)),
        vanished=len(examples.list_vanished(reader)),
        trainable=len(examples.list_examples(reader)),
        active_run=None if active is None else active.id,
        last_run_ended_at=max(ended, default=None),
        is_requested=any(request.kind is RequestKind.TRAIN for request in requests.list_open(reader)),
        look_at=None if status is None else status.next_look_at,
    )


def is_settled(reader: Reader, snapshot_id: SnapshotId, recipe: Recipe) -> bool:
    """Say whether the last run was on these examples by this recipe and came to a verdict: another would only come to the same.

    Not so where the engine has refused what it made: then its files were damaged, and training again mends that.
    """
    last = next(iter(runs.list_runs(reader, limit=1)), None)
    if last is None or last.state not in {RunState.SUCCEEDED, RunState.REJECTED}:
        return False
    return last.snapshot_id == snapshot_id and last.recipe == write_recipe(recipe) and not _is_refused(reader, last.id)


def _is_refused(reader: Reader, run_id: RunId) -> bool:
    version = next((release.version for release in releases.list_releases(reader) if release.run_id == run_id), None)
    swap = next((swap for swap in releases.list_swaps(reader) if swap.version == version), None)
    return swap is not None and swap.outcome is SwapOutcome.REFUSED


def read_version(reader: Reader) -> object:
    """Return something that is another one whenever a run would be on something else: the examples, their wordings, the last run."""
    last_run = next(iter(runs.list_runs(reader, limit=1)), None)
    last_swap = next(iter(releases.list_swaps(reader, limit=1)), None)
    trainable = tuple(examples.list_examples(reader))
    return trainable, examples.list_standing_variants(reader), last_run and (last_run.id, last_run.state), last_swap and last_swap.id


def tell_dry_run(rows: Mapping[str, Sequence[Row]], too_long: Sequence[ExampleId]) -> str:
    """Say with what a run would start if somebody asked for one now."""
    count = {name: len(planned) for name, planned in rows.items()}
    learned = len({row.example_id for row in rows["train"]})
    told = (
        f"A run would start. It would train {learned} of the approved examples in {count['train']} rows, "
        f"stop by {count['stop']}, and ask {count['test']} test, {count['golden']} golden and {count['guard']} guard questions."
    )
    return f"{told} Too long for the base's context and left out: {', '.join(too_long)}." if too_long else told


def foresee(reader: Reader, material: Material, rows: Mapping[str, Sequence[Row]], recipe: Recipe, served: ServedBase) -> Forecast:
    """Foresee a run on this material, example by example; those that the live release has not learned come first."""
    changed = {example.id for example in material.changed}
    trained = Counter(row.example_id for row in rows["train"])
    rehearsed = count_rehearsed(len(rows["train"]), len(rows["replay"]), recipe.replay_share)
    steps, pace = count_steps(len(rows["train"]) + rehearsed, recipe), _measure_pace(reader)
    return Forecast(
        examples=tuple(
            Foreseen(id=one.id, wordings=len(material.wordings[one.id].all()), rows=trained[one.id], is_new=one.id in changed)
            for one in sorted(material.examples, key=lambda one: one.id not in changed)
        ),
        rehearsed=rehearsed,
        **{name: len(rows[name]) for name in ("stop", "test", "golden", "guard")},
        unwatched=len(material.unwatched),
        tokens=sum(served.count_tokens([*row.messages, {"role": "assistant", "content": row.reply}]) for row in rows["train"]),
        steps=steps,
        seconds=None if pace is None else pace.aside_s + steps * recipe.batch_size * pace.row_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """How long a run takes: each row of its steps, and everything beside training."""

    row_s: float
    aside_s: float


def _measure_pace(reader: Reader) -> _Pace | None:
    """Return how long the newest run took that came to a verdict, None before the first."""
    for run in runs.list_runs(reader):
        if run.state not in {RunState.SUCCEEDED, RunState.REJECTED} or run.started_at is None or run.finished_at is None:
            continue
        told = [(event.step, event.happened_at) for event in runs.list_events(reader, run.id) if event.step is not None]
        if not told or told[0][0] == told[-1][0]:
            continue
        (first, began), (last, ended) = told[0], told[-1]
        trained_s = (ended - began).total_seconds()
        rows = (last - first) * read_recipe(run.recipe).batch_size
        return _Pace(row_s=trained_s / rows, aside_s=max(0.0, (run.finished_at - run.started_at).total_seconds() - trained_s))
    return None
