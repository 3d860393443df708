"""An admin's deeds on an Errata that runs, here or elsewhere, asked for over its API."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any

import httpx

from assistant.api.admin_view import summarise_training
from assistant.errors import RemoteError
from feedback_db.runs import tell_event
from feedback_db.training_records import RunEvent

Publish = Callable[[str, float | None], None]  # is told what is done, and how much of that as a share
_PAUSE_S = 0.5
_TIMEOUT_S = 30.0
_PATIENCE_S = 120.0  # how long a run may go without news, or without an Errata that tells


class RemoteAdmin:
    """Asks one Errata by its address with an admin's key. Use as a context manager."""

    def __init__(self, address: str, token: str) -> None:
        shown = token if token.isascii() and token.isprintable() and token else "none"  # anything else is no key, and no header
        self._http = httpx.Client(
            base_url=f"{address.rstrip('/')}/v1/admin", headers={"authorization": f"Bearer {shown}"}, timeout=_TIMEOUT_S, trust_env=False
        )

    def __enter__(self) -> "RemoteAdmin":
        """Return the admin itself."""
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Close the connections."""
        self._http.close()

    def is_reachable(self) -> bool:
        """Say whether Errata answers there."""
        try:
            self.read_state()
        except RemoteError:
            return False
        return True

    def train(self, reason: str, *, publish: Publish) -> dict[str, Any]:
        """Ask for a run, follow it to its end, and return what came of it.

        Raises:
            RemoteError: Errata cannot be reached, or refuses.
        """
        before = {run["id"] for run in self.list_runs()}
        asked = self._ask("POST", "/runs", {"reason": reason})
        while asked["outcome"] is None:
            time.sleep(_PAUSE_S)
            asked = self._ask("GET", f"/requests/{asked['id']}")
        run = next((run for run in self.list_runs() if run["id"] not in before), None)
        if run is not None:
            run = self._follow_run(run["id"], publish)
        return summarise_training(asked["outcome"], run, live=self.read_state()["served"])

    def promote(self, version: int, reason: str) -> str:
        """Put a version live; return a sentence that says what came of it."""
        return str(self._ask("POST", f"/versions/{version}/promote", {"reason": reason})["outcome"])

    def roll_back(self, reason: str) -> str:
        """Put live again what was live before; return a sentence that says what came of it."""
        return str(self._ask("POST", "/rollback", {"reason": reason})["outcome"])

    def cancel(self, reason: str) -> str:
        """Ask for the end of the run under way; return a sentence that says what comes of it."""
        run_id = self.read_state()["active_run"]
        if run_id is None:
            return "No run is under way."
        self._ask("POST", f"/runs/{run_id}/cancel", {"reason": reason})
        return f"Run '{run_id}' saves and ends."

    def read_state(self) -> dict[str, Any]:
        """Return what is live, what is being trained, and when the schedule looks next."""
        return self._ask("GET", "/status")

    def list_runs(self) -> list[dict[str, Any]]:
        """Return the runs, the newest first."""
        return list(self._ask("GET", "/runs")["data"])

    def list_versions(self) -> list[dict[str, Any]]:
        """Return the versions, the newest first."""
        return list(self._ask("GET", "/versions")["data"])

    def _follow_run(self, run_id: str, publish: Publish) -> dict[str, Any]:
        """Tell of each event of a run, and return the run once it has ended; a connection that breaks is made anew."""
        last, until = 0, time.monotonic() + _PATIENCE_S
        while True:
            try:
                with self._http.stream("GET", f"/runs/{run_id}/events", headers={"last-event-id": str(last)}) as stream:
                    if stream.is_error:
                        raise RemoteError(str(self._http.base_url), f"it answers {stream.status_code} to who follows a run.")
                    for name, told in _read_events(stream.iter_lines()):
                        if name == "end":
                            return told
                        last, until = told["number"], time.monotonic() + _PATIENCE_S
                        publish(*tell_event(_read_event(told)))
            except httpx.TransportError as error:
                if time.monotonic() > until:
                    raise RemoteError(str(self._http.base_url), str(error) or type(error).__name__) from error
            time.sleep(_PAUSE_S)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, json=body)
            told = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise RemoteError(str(self._http.base_url), str(error) or type(error).__name__) from error
        if not isinstance(told, dict):
            raise RemoteError(str(self._http.base_url), "an answer that is none of Errata's")
        if answer.is_error:
            fault = told.get("error")
            raise RemoteError(str(self._http.base_url), str(fault["message"] if isinstance(fault, dict) else answer.status_code))
        return _Told(str(self._http.base_url), told)


class _Told(dict[str, Any]):
    """What an Errata has told; what it should have told and has not is an error in a sentence."""

    def __init__(self, address: str, told: dict[str, Any]) -> None:
        super().__init__(told)
        self._address = address

    def __missing__(self, name: str) -> Any:
        raise RemoteError(self._address, f"an answer without '{name}', which is none of Errata's.")


def _read_event(told: dict[str, Any]) -> RunEvent:
    return RunEvent(
        number=told["number"],
        happened_at=datetime.fromisoformat(told["happened_at"]),
        phase=told["phase"],
        step=told["step"],
        details=told["details"],
    )


def _read_events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the server-sent events of a stream, each with its name."""
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)
