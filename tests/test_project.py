import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app import app
from assistant.settings import Settings
from feedback_db.lineage import TRACE_TURN

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

PINNED = {
    canonicalize_name(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
}
TORCHS_OWN = ("nvidia-", "cuda-", "triton")  # torch's CUDA build pins these itself


def name_closure(name: str, extras: set[str], environment: dict[str, str]) -> set[str]:
    """Return the names of all that a package needs, itself included, where its metadata are installed."""
    found: set[str] = set()
    waiting = [(name, extras)]
    while waiting:
        name, extras = waiting.pop()
        if name in found and not extras:
            continue
        found.add(name)
        for needed in map(Requirement, list_requirements(name)):
            wanted = any(needed.marker is None or needed.marker.evaluate({**environment, "extra": extra}) for extra in {"", *extras})
            if wanted and canonicalize_name(needed.name) not in found:
                waiting.append((canonicalize_name(needed.name), set(needed.extras)))
    return found


def list_requirements(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # a package for another Python than this
        return []


def preflight(*arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / ".ci" / "preflight"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=folder,
        check=False,
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
    assert named - {"app.py", "errata.py"} <= modules, "and none that is not there"


def test_the_readme_names_every_setting() -> None:
    assert all(f"ERRATA_{name.upper()}" in README for name in Settings.model_fields)


def test_no_tracked_file_is_over_twenty_megabytes() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("Expected git and a repository to list the tracked files. Found none.")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    assert all((ROOT / name).stat().st_size <= 20e6 for name in names if name and (ROOT / name).exists())


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_package_of_the_closure_is_pinned(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    unpinned = name_closure("errata", {"dev"}, environment) - {"errata"} - PINNED
    assert not {name for name in unpinned if not name.startswith(TORCHS_OWN)}


def test_a_machine_with_all_that_is_needed_passes_the_preflight() -> None:
    assert preflight(sys.executable).returncode == 0


def test_no_python_at_all_is_said_in_a_sentence() -> None:
    result = preflight("")
    assert result.returncode == 1
    assert "Expected Python 3.11, 3.12 or 3.13 on the PATH, found none" in result.stderr


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


def fake_disk(folder: Path, free_mb: int, *, mount: str = "*") -> str:
    """Put a `df` on the PATH that has little free where the path asked for matches `mount`."""
    fake_command(
        folder,
        "df",
        f'case "$2" in {mount}) free={free_mb};; *) free=90000;; esac\n'
        'echo "Filesystem 1M-blocks Used Available Use% Mounted"; echo "disk 99999 1 $free 9% /"',
    )
    fake_command(folder, "uname", '[ "$1" = -s ] && echo Linux || echo x86_64')
    return f"{folder}:{os.environ['PATH']}"


def test_a_full_disk_is_said_in_a_sentence_with_what_was_found(tmp_path: Path) -> None:
    result = preflight(sys.executable, folder=tmp_path, PATH=fake_disk(tmp_path, 12))
    assert result.returncode == 1
    assert "Expected at least 10000 MB" in result.stderr
    assert "found 12 MB" in result.stderr


def test_the_cpu_build_of_torch_needs_less_disk(tmp_path: Path) -> None:
    path = fake_disk(tmp_path, 4000)
    assert preflight(sys.executable, folder=tmp_path, PATH=path, TORCH_INDEX="https://wheels.example/cpu").returncode == 0
    assert preflight(sys.executable, folder=tmp_path, PATH=path, TORCH_INDEX="").returncode == 1


def test_a_full_folder_for_downloads_is_named(tmp_path: Path) -> None:
    full = tmp_path / "downloads"
    full.mkdir()
    result = preflight(sys.executable, folder=tmp_path, PATH=fake_disk(tmp_path, 12, mount="*downloads"), TMPDIR=str(full), TORCH_INDEX="")
    assert result.returncode == 1
    assert f"in {full} for downloads, found 12 MB" in result.stderr
    assert "set TMPDIR" in result.stderr


def test_an_environment_that_has_torch_needs_no_disk(tmp_path: Path) -> None:
    record = tmp_path / ".venv/lib/python3.11/site-packages/torch-2.13.0.dist-info/RECORD"
    record.parent.mkdir(parents=True)
    record.touch()
    assert preflight(sys.executable, folder=tmp_path, PATH=fake_disk(tmp_path, 12)).returncode == 0


def test_an_environment_without_a_working_pip_is_made_anew(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    fake_command(tmp_path / ".venv" / "bin", "python", "exit 1")
    python = fake_command(tmp_path, "python", 'echo "$@" >> calls; [ "$2" = venv ] && exit 9; exit 0')
    record = tmp_path / ".venv/lib/python3.11/site-packages/torch-2.13.0.dist-info/RECORD"
    record.parent.mkdir(parents=True)
    record.touch()
    subprocess.run(["make", "run", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "-m venv --clear .venv" in (tmp_path / "calls").read_text()


def test_the_readme_shows_the_query_from_a_reply_back_to_its_corrections() -> None:
    shown = README.split("```sql")[1].split("```")[0]
    assert shown.split() == TRACE_TURN.split()


def test_the_readme_names_every_verb() -> None:
    verbs = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands if command.callback}
    assert verbs <= set(re.findall(r"`([a-z-]+)`", README)) | {"chat"}
