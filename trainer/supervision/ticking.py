"""Ticks in the background of the app's process: the supervisor takes a step, then what is deployed is served.

Nothing is stored here: the jobs live in memory, and what must survive a restart is in the memory's own tables, so a tick that was
missed while the process was down is made up for by the next one.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler

_log = logging.getLogger(__name__)
Step = Callable[[datetime], object]


class Ticking:
    """Calls the steps, one after the other, every so many seconds until it is stopped; never two ticks at once."""

    def __init__(self, steps: Sequence[Step], *, every_s: float) -> None:
        self._steps = steps
        self._scheduler = BackgroundScheduler(timezone=UTC)
        # One that is late is done late, and several that were missed are done once.
        self._scheduler.add_job(
            self._tick,
            "interval",
            seconds=every_s,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
            next_run_time=datetime.now(UTC),
        )

    def __enter__(self) -> "Ticking":
        """Start ticking, at once for the first time."""
        self._scheduler.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; a tick under way ends first."""
        self._scheduler.shutdown(wait=True)

    def _tick(self) -> None:
        for step in self._steps:
            try:
                step(datetime.now(UTC))
            except Exception:  # noqa: BLE001  the thread's outermost frame: one bad tick must not end the schedule
                _log.exception("a tick failed; the next one goes on")
