"""The web server, which ends programs' replies when it is asked to end, and not only when it runs out of patience."""

import threading
from collections.abc import Callable
from types import FrameType

import uvicorn


class _Server(uvicorn.Server):
    """Tells, once, that the end was asked for."""

    at_end: Callable[[], None]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, as a signal asks for."""
        if not self.should_exit:
            # In a thread of its own: a signal may come while this one holds what is needed.
            threading.Thread(target=self.at_end, name="end", daemon=True).start()
        super().handle_exit(sig, frame)


def make_server(config: uvicorn.Config, *, at_end: Callable[[], None]) -> uvicorn.Server:
    """Return a server; `at_end` is called as soon as it is asked to end, while requests are still being answered."""
    server = _Server(config)
    server.at_end = at_end
    return server
