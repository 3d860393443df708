"""A lock that lives exactly as long as the processes that hold it, and whether a process is still the one it was. One host only.

The lock is on the open file, which children inherit with the descriptor; so it is free when the trainer and all its children are gone,
however they went, and whoever finds it free knows that nobody trains.
"""

import fcntl
import os
from pathlib import Path

import psutil

TRAINER_LOCK = "trainer.lock"  # in the folder of the runs; who holds it trains
_SAME_START_S = 1.0  # the system counts a process' start in ticks, and psutil adds the time of the boot, so it may differ a little


def take_lock(path: Path) -> int | None:
    """Take a lock without waiting; return the descriptor that holds it until it is closed everywhere, None if another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def start_time(pid: int) -> float | None:
    """Return when a process started, in seconds as the system counts them, None if there is none of this number."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def is_same_process(pid: int, process_started_at: float) -> bool:
    """Say whether the process of this number, alive or not yet buried, is the one that started then: numbers are used again."""
    found = start_time(pid)
    return found is not None and abs(found - process_started_at) <= _SAME_START_S


def is_alive(pid: int, process_started_at: float) -> bool:
    """Say whether the process that started then still runs; one that has ended and that nobody has buried does not."""
    try:
        return is_same_process(pid, process_started_at) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
