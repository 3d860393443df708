import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.engine.base_model import BaseModel

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
    )


@pytest.fixture(scope="module")
def conversation(bundled_base: BaseModel) -> subprocess.CompletedProcess[str]:
    return run_app(typed="who are you?\nhow do i reset my password?\nand how long does that take?\n/quit\n")


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
    assert "found ERRATA_MODLE" in result.stderr


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
