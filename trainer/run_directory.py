"""A run as a folder: what goes in, what comes out, and nothing else between the supervisor and the trainer. Knows no database.

In: `run.json` (base, revision, recipe, hashes of the other files) and, a JSON object a line, `train`, `stop`, `test`, `asked` (the wordings
of `train` and `stop` that people wrote), `guard`, `golden`, `replay`; `incumbent/` holds the adapter that is live, absent for the bare
base. Out: `events.jsonl`, `checkpoints/`, `adapter/`, `report.json`, `trainer.log`.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assistant.prompt import Message
from feedback_db.files import hash_file, write_whole
from feedback_db.recipe import Recipe, read_recipe, write_recipe
from feedback_db.reports import Suite
from trainer.errors import RunDirectoryError

INPUTS = ("train", "stop", "test", "asked", "guard", "golden", "replay")
_SPEC = "run.json"
_LATEST = 1e11  # seconds; a moment beyond it is no date


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A prompt and the reply that is wanted; an empty reply is one that the base gives itself.

    `example_id` is the example that it comes from, `turn_id` the logged turn; None for what comes from none.
    """

    messages: tuple[Message, ...]
    reply: str = ""
    example_id: str | None = None
    suite: Suite | None = None
    turn_id: str | None = None

    @property
    def question(self) -> str:
        """The last message."""
        return self.messages[-1]["content"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What a run is asked to do; `revision` and `template_hash` must be those of the base that is loaded.

    `hashes` are the sha256 of the input files; `unwatched_count` is how many guard questions reviewers no longer have watched.
    """

    run_id: str
    snapshot_id: str
    base: str
    revision: str
    quantisation: str
    device: str | None
    template_hash: str
    system_message: str | None
    recipe: Recipe
    hashes: Mapping[str, str]
    unwatched_count: int = 0


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Names the files of a run and reads them."""

    folder: Path

    @property
    def adapter(self) -> Path:
        """The finished adapter."""
        return self.folder / "adapter"

    @property
    def incumbent(self) -> Path:
        """The adapter that was live when the run began; not there for the bare base."""
        return self.folder / "incumbent"

    @property
    def checkpoints(self) -> Path:
        """What an interrupted run goes on from."""
        return self.folder / "checkpoints"

    @property
    def report(self) -> Path:
        """What the measurement found."""
        return self.folder / "report.json"

    @property
    def events(self) -> Path:
        """The progress, a JSON object a line."""
        return self.folder / "events.jsonl"

    def read_spec(self) -> RunSpec:
        """Read what the run is asked to do, and check that its files are those that were written.

        Raises:
            RunDirectoryError: a file is missing, damaged or changed.
            RecipeError: the recipe is out of range.
        """
        try:
            found = json.loads((self.folder / _SPEC).read_text(encoding="utf-8"))
            spec = RunSpec(**{**found, "recipe": read_recipe(json.dumps(found["recipe"]))})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunDirectoryError(self.folder, f"{_SPEC} cannot be read ({error})") from error
        for name in INPUTS:
            if hash_file(self._path(name)) != spec.hashes.get(name):
                raise RunDirectoryError(self.folder, f"{name}.jsonl is missing or was changed")
        return spec

    def read_rows(self, name: str) -> list[Row]:
        """Read one of the inputs.

        Raises:
            RunDirectoryError: the file is missing or damaged.
        """
        try:
            return [_to_row(json.loads(line)) for line in self._path(name).read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunDirectoryError(self.folder, f"{name}.jsonl cannot be read ({error})") from error

    def read_events(self, *, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the events from this number of lines on; a last line that is not whole yet is left for the next time.

        A line that cannot be read, as a full disk may leave one, is an event of the phase "unreadable".
        """
        if not self.events.exists():
            return
        lines = self.events.read_text(encoding="utf-8", errors="replace").split("\n")
        yield from (_read_event(line) for line in lines[after:-1])

    def append_event(self, event: Mapping[str, Any]) -> None:
        """Append an event; one write, so that a reader never sees half of two."""
        with self.events.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"


def write_run(folder: Path, spec: RunSpec, rows: Mapping[str, Sequence[Row]], *, incumbent: Path | None = None) -> RunDirectory:
    """Write a run's inputs aside, its specification last, and move the whole to its place; what was there before goes.

    `spec.hashes` is filled in here. `incumbent` is the live release's adapter, which is copied; None for the bare base.
    """
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, mode=0o700)
    if incumbent is not None:
        shutil.copytree(incumbent, aside / RunDirectory(aside).incumbent.name)
    for name in INPUTS:
        lines = [json.dumps(_from_row(row), ensure_ascii=False) for row in rows.get(name, ())]
        write_whole(aside / f"{name}.jsonl", "".join(f"{line}\n" for line in lines))
    hashes = {name: hash_file(aside / f"{name}.jsonl") for name in INPUTS}
    found = {**asdict(spec), "recipe": json.loads(write_recipe(spec.recipe)), "hashes": hashes}
    write_whole(aside / _SPEC, json.dumps(found, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)
    return RunDirectory(folder)


def _read_event(line: str) -> dict[str, Any]:
    """Read an event; numbers that are none become null, and what is of another shape is "unreadable"."""
    try:
        found = json.loads(line, parse_constant=lambda _: None)
    except ValueError:
        found = None
    return found if isinstance(found, dict) and _is_event(found) else {"at": 0.0, "phase": "unreadable"}


def _is_event(found: Mapping[str, Any]) -> bool:
    at, phase, step = found.get("at", 0.0), found.get("phase"), found.get("step")
    is_timed = isinstance(at, int | float) and 0 <= at < _LATEST
    is_step = step is None or (isinstance(step, int) and not isinstance(step, bool) and 0 <= step < _LATEST)
    return is_timed and is_step and isinstance(phase, str) and bool(phase)


def _from_row(row: Row) -> dict[str, Any]:
    return {"messages": list(row.messages), "reply": row.reply, "example_id": row.example_id, "suite": row.suite, "turn_id": row.turn_id}


def _to_row(found: Mapping[str, Any]) -> Row:
    suite = found["suite"]
    return Row(
        messages=tuple(found["messages"]),
        reply=found["reply"],
        example_id=found["example_id"],
        suite=None if suite is None else Suite(suite),
        turn_id=found["turn_id"],
    )
