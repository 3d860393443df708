"""The trainer as a process: started in a group of its own with the lock inherited, asked to end, ended. Knows no run and no database.

It begins only when it is let go, after whoever started it has recorded which process it is. If the starter dies before, it ends without
having done anything: so there is never a trainer of which nobody knows.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from trainer.supervision.process_lock import is_alive, is_same_process, start_time

COMMAND = (sys.executable, "-m", "trainer")
_ROOT = Path(__file__).parents[2]
_WAIT_THEN_RUN = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sh")  # at the end of its input `read` fails, and sh ends


def spawn_trainer(command: Sequence[str], folder: Path, lock: int) -> "subprocess.Popen[bytes]":
    """Start a trainer for a run directory, which waits until it is let go; it inherits the lock's descriptor, what it says is logged."""
    with (folder / "trainer.log").open("ab") as log:
        return subprocess.Popen(
            [*_WAIT_THEN_RUN, *command, os.fspath(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            bufsize=0,
            cwd=_ROOT,
            pass_fds=(lock,),
            start_new_session=True,
        )


def let_go(process: "subprocess.Popen[bytes]") -> None:
    """Let a trainer begin; one that has died meanwhile is found dead later."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(b"go\n")
    process.stdin.close()


def abandon(process: "subprocess.Popen[bytes]") -> None:
    """End a trainer that was not let go: it has done nothing yet."""
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def read_start_time(process: "subprocess.Popen[bytes]") -> float:
    """Return when a child started; it is not buried before it is asked for, so its number is its own."""
    found = start_time(process.pid)
    assert found is not None
    return found


def ask_to_end(pid: int, process_started_at: float) -> None:
    """Ask a trainer and its children to save and end, if it is still that process."""
    if is_alive(pid, process_started_at):
        _signal(pid, signal.SIGTERM)


def end_leftovers(pid: int, process_started_at: float) -> None:
    """Kill the children of a trainer that is gone; a number that belongs to another process by now is left alone."""
    if start_time(pid) is None or is_same_process(pid, process_started_at):
        _signal(pid, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
