import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from trainer.supervision.process_lock import is_alive, is_same_process, start_time, take_lock
from trainer.supervision.trainer_process import abandon, ask_to_end, end_leftovers, let_go, read_start_time, spawn_trainer

_SLEEPER = (sys.executable, "-I", "-c", "import time; time.sleep(600)")


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    return tmp_path / "trainer.lock"


def is_free(path: Path) -> bool:
    lock = take_lock(path)
    if lock is not None:
        os.close(lock)
    return lock is not None


def wait_until_free(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not is_free(path):
        assert time.monotonic() < deadline
        os.sched_yield()


def spawn(folder: Path, lock_file: Path, command: tuple[str, ...] = _SLEEPER) -> "subprocess.Popen[bytes]":
    lock = take_lock(lock_file)
    assert lock is not None
    try:
        return spawn_trainer(command, folder, lock)
    finally:
        os.close(lock)


def test_a_lock_is_held_until_it_is_closed(lock_file: Path) -> None:
    held = take_lock(lock_file)
    assert held is not None
    assert take_lock(lock_file) is None
    os.close(held)
    assert is_free(lock_file)


def test_a_trainer_holds_the_lock_until_it_is_gone(tmp_path: Path, lock_file: Path) -> None:
    process = spawn(tmp_path, lock_file)
    let_go(process)
    assert not is_free(lock_file)
    process.kill()
    process.wait()
    assert is_free(lock_file)


def test_a_trainer_that_is_not_let_go_does_nothing(tmp_path: Path, lock_file: Path) -> None:
    process = spawn(tmp_path, lock_file, (sys.executable, "-c", f"open({str(tmp_path / 'done')!r}, 'w')"))
    abandon(process)
    assert process.returncode != 0
    assert not (tmp_path / "done").exists()
    assert is_free(lock_file)


def test_children_hold_the_lock_longer_than_a_trainer_and_are_ended(tmp_path: Path, lock_file: Path) -> None:
    process = spawn(tmp_path, lock_file, (sys.executable, "-I", "-c", "import os, time\nif os.fork() == 0: time.sleep(600)"))
    started_at = read_start_time(process)
    let_go(process)
    process.wait()
    assert not is_free(lock_file)
    end_leftovers(process.pid, started_at)
    wait_until_free(lock_file)


def test_a_trainer_is_known_by_its_number_and_its_start(tmp_path: Path, lock_file: Path) -> None:
    process = spawn(tmp_path, lock_file)
    started_at = read_start_time(process)
    assert is_alive(process.pid, started_at)
    assert is_alive(process.pid, started_at + 0.5)
    assert not is_alive(process.pid, started_at + 60)
    let_go(process)
    assert read_start_time(process) == started_at
    ask_to_end(process.pid, started_at + 60)
    ask_to_end(process.pid, started_at)
    psutil.wait_procs([psutil.Process(process.pid)], timeout=30)
    process.wait()
    assert start_time(process.pid) is None
    assert not is_same_process(process.pid, started_at)
    ask_to_end(process.pid, started_at)


def test_a_process_that_nobody_has_buried_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-I", "-c", ""])
    started_at = read_start_time(process)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_same_process(process.pid, started_at)
    assert not is_alive(process.pid, started_at)
    process.wait()


def test_what_a_trainer_says_is_logged(tmp_path: Path, lock_file: Path) -> None:
    process = spawn(tmp_path, lock_file, (sys.executable, "-I", "-c", "import sys; print('out'); print('err', file=sys.stderr)"))
    let_go(process)
    process.wait()
    assert sorted((tmp_path / "trainer.log").read_text().split()) == ["err", "out"]
