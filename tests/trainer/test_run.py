import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from assistant.engine.adapter_files import CARD, verify_adapter
from assistant.engine.base_model import load_base_model
from assistant.engine.rendering import hash_template
from assistant.prompt import build_messages
from feedback_db.recipe import Recipe
from feedback_db.reports import Suite, read_report
from trainer.errors import RunDirectoryError
from trainer.run import Run
from trainer.run_directory import Row, RunDirectory, RunSpec, write_run

ROOT = Path(__file__).parents[2]
RECIPE = Recipe(epochs=3, batch_size=4, rank=2, learning_rate=1e-2)


def row(question: str, reply: str = "", suite: Suite | None = None, example: str | None = None) -> Row:
    return Row(messages=tuple(build_messages("You help.", [], question)), reply=reply, suite=suite, example_id=example)


@pytest.fixture(scope="module")
def spec(tiny_base: Path) -> RunSpec:
    base = load_base_model(tiny_base, device="cpu")
    return RunSpec(
        run_id="r1",
        snapshot_id="s1",
        base=str(tiny_base),
        revision=base.revision,
        quantisation="nf4",
        device="cpu",
        template_hash=hash_template(base.tokenizer),
        system_message="You help.",
        recipe=RECIPE,
        hashes={},
    )


def prepare(folder: Path, spec: RunSpec) -> RunDirectory:
    rows = {
        "train": [row(f"how long {number}?", "It takes 30 days.", example="k1") for number in range(6)],
        "stop": [row("how many days?", "It takes 30 days.", example="k1")],
        "test": [row("what time does it take?", "It takes 30 days.", Suite.LEARNED, "k1")],
        "asked": [row("how long 0?", "It takes 30 days.", example="k1")],
        "guard": [row("where are you?", suite=Suite.UNTOUCHED)],
        "golden": [row("who are you?", "I am Ada.", Suite.KEPT)],
        "replay": [row("hello"), row("good day")],
    }
    return write_run(folder, spec, rows)


def start(directory: RunDirectory) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", str(directory.folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[bytes], expected: int) -> str:
    printed = process.communicate(timeout=120)[0].decode()
    assert process.returncode == expected, printed
    return printed


def phases(directory: RunDirectory) -> list[str]:
    return [event["phase"] for event in directory.read_events()]


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))])
def test_a_run_ends_with_an_adapter_a_report_and_events_that_say_so(device: str, tmp_path: Path, spec: RunSpec) -> None:
    directory = prepare(tmp_path / "r1", replace(spec, device=device))
    finish(start(directory), 0)
    adapter = verify_adapter(directory.adapter, revision=spec.revision)
    assert (adapter.lineage.run_id, adapter.lineage.snapshot_id, adapter.rank) == ("r1", "s1", 2)
    assert "1 approved examples" in (directory.adapter / CARD).read_text()
    report = read_report(directory.report.read_text())
    assert [one.suite for one in report.items] == [Suite.LEARNED, Suite.KEPT, Suite.UNTOUCHED]
    assert report.of(Suite.UNTOUCHED)[0].is_right_before
    found = phases(directory)
    assert list(dict.fromkeys(found)) == ["starting", "loading", "replay", "training", "saving", "measuring", "finished"]
    steps = [event for event in directory.read_events() if "step" in event]
    assert {"loss", "learning_rate", "tokens", "eta_s", "stop_loss"} <= set(steps[0])
    assert steps[-1]["step"] <= steps[-1]["steps"] == 6


@pytest.mark.slow
def test_a_run_that_is_asked_to_end_saves_and_a_next_attempt_goes_on_from_there(tmp_path: Path, spec: RunSpec) -> None:
    directory = prepare(tmp_path / "r1", replace(spec, recipe=replace(RECIPE, epochs=60, patience=60)))
    process = start(directory)
    while not any("step" in event for event in directory.read_events()):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    finish(process, 143)
    assert phases(directory)[-1] == "stopped"
    assert list(directory.checkpoints.glob("checkpoint-*"))
    last = max(event["step"] for event in directory.read_events() if "step" in event)
    seen = len(list(directory.read_events()))
    finish(start(directory), 0)
    later = list(directory.read_events(after=seen))
    assert "replay" not in [event["phase"] for event in later], "the base's replies were kept"
    assert min(event["step"] for event in later if "step" in event) > last


@pytest.mark.slow
def test_a_run_that_was_killed_after_training_is_only_measured_again(tmp_path: Path, spec: RunSpec) -> None:
    directory = prepare(tmp_path / "r1", spec)
    finish(start(directory), 0)
    first = directory.report.read_text()
    directory.report.unlink()
    seen = len(list(directory.read_events()))
    finish(start(directory), 0)
    assert "training" not in [event["phase"] for event in directory.read_events(after=seen)]
    assert json.loads(directory.report.read_text()) == json.loads(first)


@pytest.mark.slow
def test_a_run_whose_disk_becomes_full_says_so_and_goes_on_once_there_is_room(tmp_path: Path, spec: RunSpec) -> None:
    directory = prepare(tmp_path / "r1", spec)
    full = directory.folder / ".report.json.part"
    full.symlink_to("/dev/full")  # every byte that is written there meets a full disk
    finish(start(directory), 1)
    last = list(directory.read_events())[-1]
    assert (last["phase"], last["error"].startswith("Expected room on the disk")) == ("failed", True)
    verify_adapter(directory.adapter, revision=spec.revision)
    full.unlink()
    finish(start(directory), 0)
    assert read_report(directory.report.read_text()).items


def test_a_run_that_cannot_be_done_says_why_in_its_last_event(tmp_path: Path, spec: RunSpec) -> None:
    directory = prepare(tmp_path / "r1", replace(spec, base="./nowhere"))
    finish(start(directory), 1)
    last = list(directory.read_events())[-1]
    assert last["phase"] == "failed"
    assert "Expected a base model at './nowhere'" in last["error"]
    assert not directory.adapter.exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"revision": "other"}, "and other was to be trained"), ({"template_hash": "other"}, "chat template is another one")],
)
def test_a_base_that_is_not_the_planned_one_is_not_trained(tmp_path: Path, spec: RunSpec, changes: dict[str, str], sentence: str) -> None:
    directory = prepare(tmp_path / "r1", replace(spec, **changes))  # type: ignore[arg-type]
    with pytest.raises(RunDirectoryError, match=sentence):
        Run(directory, is_stopped=lambda: False).execute()
