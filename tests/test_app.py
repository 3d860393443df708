import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.engine.base_model import BaseModel
from assistant.settings import Settings
from assistant.web.sign_in import SignIn
from feedback_db import conversations, people
from feedback_db.database import Database
from feedback_db.records import Channel, ConversationId, PersonId
from trainer.memory import open_memory

ROOT = Path(__file__).parent.parent


def run_app(*arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person would, in a process of its own, without colours."""
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "HF_HUB_OFFLINE": "1", **environment},
        check=False,
        timeout=300,  # a verb that serves does not end by itself
    )


@pytest.fixture(scope="module")
def conversation(bundled_base: BaseModel) -> subprocess.CompletedProcess[str]:
    return run_app("chat", typed="who are you?\nhow do i reset my password?\nand how long does that take?\n/quit\n")


def test_a_chat_in_the_terminal_answers_and_ends(conversation: subprocess.CompletedProcess[str]) -> None:
    assert conversation.returncode == 0
    assert conversation.stdout.count("Errata >") == 3
    assert "password" in conversation.stdout.split("how do i reset my password?")[1]


def test_the_assistant_knows_who_it_is_from_the_system_message(conversation: subprocess.CompletedProcess[str]) -> None:
    assert "Ada" in conversation.stdout
    assert "Acme" in conversation.stdout


def test_nothing_alarming_is_printed_at_the_start(conversation: subprocess.CompletedProcess[str]) -> None:
    assert conversation.stderr == ""
    assert "warn" not in conversation.stdout.lower()


def test_a_new_conversation_can_be_begun(tiny_base: Path) -> None:
    result = run_app("chat", "--base", str(tiny_base), typed="/new\n/quit\n")
    assert result.returncode == 0
    assert "A new conversation." in result.stdout


def test_a_base_that_is_not_there_is_an_error_in_a_sentence() -> None:
    result = run_app("chat", "--base", "/nowhere/at-all")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: Expected a base model at '/nowhere/at-all'")
    assert "Traceback" not in result.stderr


def test_an_error_shows_what_was_typed_as_it_is() -> None:
    result = run_app("chat", "--base", "/nowhere/[red]at[/]\x1b[2J-all")
    assert "'/nowhere/[red]at[/][2J-all'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_device_that_is_not_there_is_an_error_in_a_sentence(tiny_base: Path) -> None:
    result = run_app("chat", "--base", str(tiny_base), ERRATA_DEVICE="nonsense")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: Expected a device")
    assert "Traceback" not in result.stderr


def test_a_message_that_is_not_utf8_costs_that_message_only(tiny_base: Path) -> None:
    result = run_app("chat", "--base", str(tiny_base), typed="caf\udce9\n/new\n/quit\n")
    assert result.returncode == 0
    assert "Expected a message in UTF-8" in result.stdout
    assert "A new conversation." in result.stdout
    assert result.stderr == ""


def test_an_unknown_setting_is_an_error_in_a_sentence() -> None:
    result = run_app(ERRATA_MODLE="x")
    assert result.returncode == 1
    assert "ERRATA_MODLE: expected one of" in result.stderr


def test_wrong_settings_are_told_in_sentences(tmp_path: Path) -> None:
    result = run_app(ERRATA_PORT="abc", ERRATA_QUIET_FROM="late", ERRATA_DATA_FOLDER=str(tmp_path))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 3
    assert "Traceback" not in result.stderr


def test_a_data_folder_that_cannot_be_one_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run_app("create-user", "ann", typed="long enough\n", ERRATA_DATA_FOLDER=str(tmp_path / "file"))
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: Expected a folder to write to at '{tmp_path / 'file'}'. Found: file exists.")


def test_a_corrupt_weight_file_is_an_error_in_a_sentence(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    result = run_app("chat", "--base", str(folder))
    assert result.returncode == 1
    assert "Found damage" in result.stderr
    assert "Traceback" not in result.stderr


def test_any_base_can_be_chatted_with(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "[bold]base[")
    result = run_app("chat", "--base", str(folder), typed="hi\n", ERRATA_MAX_REPLY_TOKENS="4")
    assert result.returncode == 0
    assert str(folder) in result.stdout


def run_json(*arguments: str, data: Path) -> dict[str, object]:
    result = run_app(*arguments, "--json", ERRATA_DATA_FOLDER=str(data))
    found: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_the_state_is_told_while_another_process_writes(tmp_path: Path) -> None:
    with Database(tmp_path / "errata.db"):
        assert run_json("status", data=tmp_path)["deployed"] is None
        refused = run_app("backup", ERRATA_DATA_FOLDER=str(tmp_path))
    assert refused.returncode == 1
    assert "Do it on its admin page, or stop it first." in refused.stderr


def test_a_folder_without_a_database_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    result = run_app("status", ERRATA_DATA_FOLDER=str(tmp_path))
    assert result.returncode == 1
    assert "Errata has not been used with this data folder yet" in result.stderr


def test_an_account_is_created_once_and_with_a_password_of_some_length(tmp_path: Path) -> None:
    created = run_app("create-user", "Ann", "--role", "admin", typed="long enough\n", ERRATA_DATA_FOLDER=str(tmp_path))
    assert (created.returncode, created.stdout) == (0, "Created Ann, admin.\n")
    again = run_app("create-user", "ann", typed="long enough\n", ERRATA_DATA_FOLDER=str(tmp_path))
    assert "Found that 'ann' is taken" in again.stderr
    short = run_app("create-user", "bob", typed="short\n", ERRATA_DATA_FOLDER=str(tmp_path))
    assert "at least 8 characters" in short.stderr
    assert run_json("status", data=tmp_path)["accounts"] == 1
    assert run_json("check", data=tmp_path) == {"damage": []}


def test_a_forgotten_password_is_replaced_on_the_command_line(tmp_path: Path) -> None:
    run_app("create-user", "Ann", "--role", "admin", typed="long enough\n", ERRATA_DATA_FOLDER=str(tmp_path))
    reset = run_app("reset-password", "ann", typed="another one\n", ERRATA_DATA_FOLDER=str(tmp_path))
    assert (reset.returncode, reset.stdout) == (0, "Ann has a new password, and is signed out everywhere.\n")
    with open_memory(Settings(data_folder=tmp_path)) as (db, audit):
        assert SignIn(db, audit).open("Ann", "another one", address="", now=datetime.now(UTC)).person.name == "Ann"
    nobody = run_app("reset-password", "bob", typed="another one\n", ERRATA_DATA_FOLDER=str(tmp_path))
    assert (nobody.returncode, "Found none named 'bob'" in nobody.stderr) == (1, True)
    assert run_json("check", data=tmp_path) == {"damage": []}


def test_a_backup_can_take_the_place_of_the_data_folder(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    assert run_app("create-user", "ann", typed="long enough\n", ERRATA_DATA_FOLDER=str(data)).returncode == 0
    assert run_app("backup", str(copy), ERRATA_DATA_FOLDER=str(data)).returncode == 0
    assert run_json("status", data=copy)["accounts"] == 1
    assert run_json("check", data=copy) == {"damage": []}


def test_an_erased_persons_words_are_in_no_file(tmp_path: Path) -> None:
    now, secret = datetime(2026, 11, 22, tzinfo=UTC), "my number is 4711-xyz"
    with Database(tmp_path / "errata.db") as db, db.write() as tx:
        ann = people.find_or_add_external(tx, PersonId("ann"), name="Ann", now=now)
        conversations.start_conversation(tx, ConversationId("c1"), person_id=ann.id, channel=Channel.API, title=secret, now=now)
    (tmp_path / "runs" / "r1").mkdir(parents=True)
    (tmp_path / "runs" / "r1" / "train.jsonl").write_text(secret)
    found = run_json("erase", "--person", "ann", data=tmp_path)
    assert found["runs_emptied"] == ["r1"]
    assert [path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()] == []
    assert run_json("check", data=tmp_path) == {"damage": []}


def test_a_key_is_printed_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    made = run_app("create-key", "shop", "--scope", "chat", "--scope", "feedback", ERRATA_DATA_FOLDER=str(tmp_path))
    assert (made.returncode, made.stdout.startswith("errata-")) == (0, True)
    token = made.stdout.strip()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    again = run_app("create-key", "SHOP", "--scope", "chat", ERRATA_DATA_FOLDER=str(tmp_path))
    assert "no key has. Found that 'SHOP' is taken" in again.stderr
    assert run_json("check", data=tmp_path) == {"damage": []}


def test_a_programs_user_is_erased_by_the_name_that_it_has_there(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    with Database(tmp_path / "errata.db") as db, db.write() as tx:
        people.find_or_add_external(tx, PersonId("u17"), name="API key shop/u17", now=now)
    assert run_json("erase", "--user", "shop/u17", data=tmp_path)["erased"] is not None
    gone = run_app("erase", "--user", "shop/u17", ERRATA_DATA_FOLDER=str(tmp_path))
    assert (gone.returncode, "a person that a program names" in gone.stderr) == (1, True)


@pytest.fixture
def running(tiny_base: Path, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Errata as it is served, over the data folder of the test."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"ERRATA_BASE": str(tiny_base), "ERRATA_DEVICE": "cpu", "ERRATA_PORT": str(port), "ERRATA_DATA_FOLDER": str(tmp_path)}
    environment = {**os.environ, "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", **settings}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "First account" in line:
            break
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_verbs_ask_the_errata_that_runs_and_go_on_without_it(running: "subprocess.Popen[str]", tmp_path: Path) -> None:
    assert run_json("status", data=tmp_path)["served"] == 0
    asked = run_json("train", data=tmp_path)
    assert (asked["run"], asked["live"]) == (None, 0)
    assert asked["outcome"]
    assert [one["version"] for one in run_json("versions", data=tmp_path)["data"]] == [0]  # type: ignore[attr-defined]
    assert run_json("runs", data=tmp_path) == {"data": []}
    refused = run_app("rollback", ERRATA_DATA_FOLDER=str(tmp_path))
    assert (refused.returncode, refused.stderr.startswith("Error: Expected an answer of Errata")) == (1, True)
    cancelled = run_app("cancel", ERRATA_DATA_FOLDER=str(tmp_path))
    assert cancelled.stdout == "No run is under way.\n"
    running.kill()
    running.wait()
    assert (tmp_path / "operator.json").exists(), "what a killed process leaves"
    assert run_json("status", data=tmp_path)["served"] == 0
    assert run_app("cancel", ERRATA_DATA_FOLDER=str(tmp_path)).stdout == "No run is under way.\n"


def test_a_server_that_is_not_there_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    result = run_app("status", ERRATA_SERVER="http://127.0.0.1:1", ERRATA_API_KEY="x", ERRATA_DATA_FOLDER=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith("Error: Expected an answer of Errata at http://127.0.0.1:1")
