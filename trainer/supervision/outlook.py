"""What the schedule must know of the memory, and what would come of a run, told in advance. Starts nothing and writes nothing."""

from collections.abc import Mapping, Sequence

from feedback_db import examples, releases, requests, runs
from feedback_db.database import Reader
from feedback_db.recipe import Recipe, write_recipe
from feedback_db.training_records import ExampleId, RequestKind, RunEvent, RunId, RunState, SnapshotId, SwapOutcome
from trainer.run_directory import Row
from trainer.schedule import Due, Facts, NotYet


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


def tell_dry_run(found: Due | NotYet, rows: Mapping[str, Sequence[Row]], too_long: Sequence[ExampleId]) -> str:
    """Say what would happen if somebody asked for a run now, and with what."""
    if isinstance(found, NotYet):
        return f"No run would start: {' '.join(found.reasons)}"
    count = {name: len(planned) for name, planned in rows.items()}
    learned = len({row.example_id for row in rows["train"]})
    told = (
        f"A run would start. It would train {learned} of the approved examples in {count['train']} rows beside {count['replay']} replayed "
        f"ones, stop by {count['stop']}, and ask {count['test']} test, {count['golden']} golden and {count['guard']} guard questions."
    )
    return f"{told} Too long for the base's context and left out: {', '.join(too_long)}." if too_long else told


def tell_event(event: RunEvent) -> tuple[str, float | None]:
    """Say what a run does and, as a share, how much of it is done, None where nobody knows."""
    steps = event.details.get("steps")
    if event.step is None or not isinstance(steps, int) or steps < 1:
        return event.phase, None
    loss, eta = event.details.get("loss"), event.details.get("eta_s")
    facts = [
        f"step {event.step} of {steps}",
        *([f"loss {loss}"] if loss is not None else []),
        *([f"{eta} s left"] if eta is not None else []),
    ]
    return f"{event.phase}: {', '.join(facts)}", event.step / steps
