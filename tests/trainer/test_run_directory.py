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


def test_a_line_that_cannot_be_read_is_an_event_of_its_own(tmp_path: Path) -> None:
    directory = write(tmp_path / "r1")
    directory.append_event({"at": 1.0, "phase": "starting"})
    with directory.events.open("a") as file:
        file.write('{"at": 2.0, "pha{"at": 3.0, "phase": "failed"}\n[]\n')
    assert [event["phase"] for event in directory.read_events()] == ["starting", "unreadable", "unreadable"]


def test_the_incumbent_is_a_copy(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "manifest.json").write_text("{}")
    directory = write_run(tmp_path / "r1", SPEC, {}, incumbent=adapter)
    (adapter / "manifest.json").unlink()
    assert (directory.incumbent / "manifest.json").read_text() == "{}"


def test_writing_it_again_leaves_nothing_of_what_was_there(tmp_path: Path) -> None:
    adapter, aside = tmp_path / "adapter", tmp_path / ".r1.part"
    for folder in (adapter, aside):
        folder.mkdir()
    (aside / "left").touch()
    write_run(tmp_path / "r1", SPEC, {"train": [ROW]}, incumbent=adapter).append_event({"at": 0.0, "phase": "starting"})
    directory = write_run(tmp_path / "r1", SPEC, {})
    assert not directory.incumbent.exists()
    assert list(directory.read_events()) == directory.read_rows("train") == []
    assert not (directory.folder / "left").exists()


@pytest.mark.parametrize("line", ['{"phase": 3}', '{"phase": "x", "step": -1}', '{"phase": "x", "at": 1e300}', "[]", '"x"'])
def test_an_event_of_another_shape_is_unreadable_and_a_number_that_is_none_is_null(tmp_path: Path, line: str) -> None:
    directory = write(tmp_path / "r1")
    directory.events.write_text(f'{line}\n{{"phase": "training", "loss": NaN}}\n')
    assert [event["phase"] for event in directory.read_events()] == ["unreadable", "training"]
    assert next(directory.read_events(after=1))["loss"] is None
