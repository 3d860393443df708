import os
import re
import shutil
import subprocess
from pathlib import Path

from assistant.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def preflight(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path if path is not None else os.environ["PATH"]}
    return subprocess.run(
        [str(ROOT / ".ci" / "preflight"), *arguments], capture_output=True, text=True, env=environment, cwd=ROOT, check=False
    )


def fake_command(folder: Path, name: str, script: str) -> str:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def test_the_readmes_tree_names_every_module() -> None:
    modules = {path.name for room in ("assistant", "trainer", "feedback_db") for path in (ROOT / room).rglob("*.py")}
    named = set(re.findall(r"\w+\.py", README))
    assert modules - {"__init__.py", "__main__.py"} <= named
    assert named - {"app.py"} <= modules, "and none that is not there"


def test_the_readme_names_every_setting() -> None:
    assert all(f"ERRATA_{name.upper()}" in README for name in Settings.model_fields)


def test_no_tracked_file_is_over_twenty_megabytes() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    assert all((ROOT / name).stat().st_size <= 20e6 for name in names if name and (ROOT / name).exists())


def test_a_machine_with_all_that_is_needed_passes_the_preflight() -> None:
    assert preflight(shutil.which("python3.11") or shutil.which("python3") or "").returncode == 0


def test_no_python_at_all_is_said_in_a_sentence() -> None:
    result = preflight("")
    assert result.returncode == 1
    assert "Expected Python 3.11 or newer on the PATH, found none" in result.stderr


def test_an_old_python_is_named_with_its_version(tmp_path: Path) -> None:
    old = fake_command(tmp_path, "python3.9", 'test "$1" = --version && echo "Python 3.9.2" && exit 0; exit 1')
    result = preflight(old)
    assert result.returncode == 1
    assert "found Python 3.9.2" in result.stderr
    assert "make PYTHON=" in result.stderr


def test_a_python_without_venv_is_said_in_a_sentence(tmp_path: Path) -> None:
    bare = fake_command(tmp_path, "python3.11", 'case "$2" in *ensurepip*) exit 1;; esac; exit 0')
    result = preflight(bare)
    assert result.returncode == 1
    assert "python3-venv" in result.stderr


def test_a_full_disk_is_said_in_a_sentence_with_what_was_found(tmp_path: Path) -> None:
    fake_command(tmp_path, "df", 'echo "Filesystem 1M-blocks Used Available Use% Mounted"; echo "disk 1000 988 12 99% /"')
    result = preflight("python3", path=f"{tmp_path}:{os.environ['PATH']}")
    assert result.returncode == 1
    assert "found 12 MB" in result.stderr
