import os
from datetime import UTC, datetime
from pathlib import Path

from trainer.supervision.forgetting import empty_runs, list_backups_before

SECRET = "my number is 4711-abc"


def make_run(runs: Path, name: str) -> Path:
    folder = runs / name
    for inner in ("checkpoints/checkpoint-5", "adapter"):
        (folder / inner).mkdir(parents=True)
    for file in ("train.jsonl", "report.json", "trainer.log", "replay_replies.json", "checkpoints/checkpoint-5/state.json"):
        (folder / file).write_text(SECRET)
    (folder / "adapter" / "manifest.json").write_text("{}")
    (folder / "run.json").write_text("{}")
    return folder


def find_secret(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and SECRET in path.read_text()]


def test_no_text_is_left_in_runs_that_have_ended_and_their_adapters_stay(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "r1")
    assert empty_runs(tmp_path) == ["r1"]
    assert find_secret(tmp_path) == []
    assert sorted(path.name for path in folder.iterdir()) == ["adapter", "run.json"]
    assert (folder / "adapter" / "manifest.json").exists()


def test_a_run_under_way_is_left_alone(tmp_path: Path) -> None:
    make_run(tmp_path, "r1")
    make_run(tmp_path, "r2")
    assert empty_runs(tmp_path, active=["r2"]) == ["r1"]
    assert {path.relative_to(tmp_path).parts[0] for path in find_secret(tmp_path)} == {"r2"}


def test_nothing_to_forget_is_no_error(tmp_path: Path) -> None:
    assert empty_runs(tmp_path / "nowhere") == []


def test_backups_that_are_older_than_an_erasure_are_listed_with_those_made_before_a_migration(tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    for name, written in (("backups/old", 100.0), ("backups/new", 300.0), ("errata.before-m003.db", 50.0)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (written, written))
    moment = datetime.fromtimestamp(200.0, UTC)
    assert list_backups_before(tmp_path, moment) == [tmp_path / "backups" / "old", tmp_path / "errata.before-m003.db"]
    assert list_backups_before(tmp_path / "nowhere", moment) == []
