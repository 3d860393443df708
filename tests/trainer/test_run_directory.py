import json
from dataclasses import replace
from pathlib import Path

import pytest

from feedback_db.errors import RecipeError
from feedback_db.recipe import Recipe
from feedback_db.reports import Suite
from trainer.errors import RunDirectoryError
from trainer.run_directory import INPUTS, Row, RunDirectory, RunSpec, write_run

SPEC = RunSpec(
    run_id="r1",
    snapshot_id="s1",
    base="tiny",
    revision="abc",
    quantisation="nf4",
    device=None,
    template_hash="t",
    system_message="You help.",
    recipe=Recipe(epochs=2, layers=(0, 1)),
    hashes={},
)
ROW = Row(messages=({"role": "user", "content": "wie lange?"},), reply="30 Tage, überall", example_id="k1", suite=Suite.LEARNED)


def write(folder: Path) -> RunDirectory:
    return write_run(folder, SPEC, {"train": [ROW, ROW], "test": [ROW]})


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    directory = write(tmp_path / "r1")
    spec = directory.read_spec()
    assert replace(spec, hashes={}) == SPEC
    assert set(spec.hashes) == set(INPUTS)
    assert directory.read_rows("train") == [ROW, ROW]
    assert directory.read_rows("guard") == []


@pytest.mark.parametrize("name", ["train", "golden"])
def test_an_input_that_was_changed_or_is_missing_is_refused(tmp_path: Path, name: str) -> None:
    directory = write(tmp_path / "r1")
    (tmp_path / "r1" / f"{name}.jsonl").write_text("{}\n")
    with pytest.raises(RunDirectoryError, match=rf"{name}\.jsonl is missing or was changed"):
        directory.read_spec()
    (tmp_path / "r1" / f"{name}.jsonl").unlink()
    with pytest.raises(RunDirectoryError):
        directory.read_spec()


def test_a_recipe_out_of_range_is_refused(tmp_path: Path) -> None:
    directory = write(tmp_path / "r1")
    found = json.loads((tmp_path / "r1" / "run.json").read_text())
    found["recipe"]["epochs"] = 0
    (tmp_path / "r1" / "run.json").write_text(json.dumps(found))
    with pytest.raises(RecipeError, match="epochs"):
        directory.read_spec()


@pytest.mark.parametrize("text", ["", "[]", '{"run_id": "r"}'])
def test_a_damaged_specification_is_refused(tmp_path: Path, text: str) -> None:
    directory = write(tmp_path / "r1")
    (tmp_path / "r1" / "run.json").write_text(text)
    with pytest.raises(RunDirectoryError, match=r"run\.json cannot be read"):
        directory.read_spec()


def test_events_are_read_from_where_somebody_stopped_and_a_half_written_one_waits(tmp_path: Path) -> None:
    directory = write(tmp_path / "r1")
    assert list(directory.read_events()) == []
    for step in (1, 2, 3):
        directory.append_event({"phase": "training", "step": step})
    with directory.events.open("a") as file:
        file.write('{"phase": "trai')
    assert [event["step"] for event in directory.read_events()] == [1, 2, 3]
    assert [event["step"] for event in directory.read_events(after=2)] == [3]
