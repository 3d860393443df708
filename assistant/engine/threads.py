"""How many of the processor's threads a forward pass uses: threads that wait for each other cost a small pass more than they give.

Measured on two cores, bundled base, 4 rows a step: 5.0 ms with one thread, 14 ms with two; a pass over 1024 tokens: 88 and 69 ms
(100 M parameters: 455 and 280 ms). Where one turns into the other depends on model and machine, so it is tried out at the start.
"""

import time
from collections.abc import Callable

import torch

_SIZES = (1, 4, 16, 64, 256)  # tokens in a pass
_REPEATS = 3
_WORTH = 0.9  # of the time with one thread, from which on more are worth it
_LONG_S = 0.5  # a pass that takes so long is not a small one


class PassThreads:
    """One thread for small passes and all for large ones; `large_from` is the least number of tokens of a large one."""

    def __init__(self) -> None:
        self.all, self.large_from = torch.get_num_threads(), 0

    def choose(self, tokens: int) -> None:
        """Set the threads for a pass over so many tokens; in the thread that runs it."""
        torch.set_num_threads(self.all if tokens >= self.large_from else 1)

    def try_out(self, run: Callable[[int], None]) -> None:
        """Find out from how many tokens on all threads are quicker; `run` runs a pass over so many, and has its threads chosen."""
        if self.all == 1:
            return
        found = 2 * _SIZES[-1]
        for size in reversed(_SIZES):
            self.large_from = size + 1
            alone = _time(run, size)
            self.large_from = size
            if alone < _LONG_S and _time(run, size) > _WORTH * alone:
                break
            found = size
        self.large_from = found

    def reset(self) -> None:
        """Leave torch as it was: what one thread chooses, threads that begin later take over."""
        torch.set_num_threads(self.all)


def _time(run: Callable[[int], None], size: int) -> float:
    """Return the seconds of the quickest of some passes."""
    found = float("inf")
    for _ in range(_REPEATS):
        started = time.perf_counter()
        run(size)
        found = min(found, time.perf_counter() - started)
        if found > _LONG_S:
            break
    return found
