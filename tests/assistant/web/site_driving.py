"""Drives the pages as a browser does, without one: joins Gradio's queue by a function's name and reads what comes of it."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from starlette.testclient import TestClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of an event: the status of joining, whether it succeeded, its last output by `elem_id`, and all texts that were sent."""

    status: int
    is_success: bool
    shown: dict[str, Any]
    sent: str


def read_config(client: TestClient, mount: str = "") -> dict[str, Any]:
    """Return how a page describes itself to a browser."""
    answer = client.get(f"{mount}/config")
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def call(
    client: TestClient,
    config: dict[str, Any],
    function: str,
    data: list[Any],
    *,
    event: dict[str, Any] | None = None,
    mount: str = "",
    page: str | None = None,
) -> Ended:
    """Call a function of a page by its name and wait until it has ended; `page` is the name of the page's stream, None for a new one."""
    dependency = next(one for one in config["dependencies"] if one["api_name"] == function)
    return join(client, config, dependency, data, event=event, mount=mount, page=page)


def join(
    client: TestClient,
    config: dict[str, Any],
    dependency: dict[str, Any],
    data: list[Any],
    *,
    event: dict[str, Any] | None = None,
    mount: str = "",
    page: str | None = None,
) -> Ended:
    """Call a function of a page by its number and wait until it has ended."""
    session_hash = page or uuid4().hex
    body = {"fn_index": dependency["id"], "data": data, "event_data": event, "session_hash": session_hash, "trigger_id": None}
    escaped, kind = json.dumps(body), {"content-type": "application/json"}  # a browser escapes half a character, too
    joined = client.post(f"{mount}/gradio_api/queue/join", content=escaped, headers=kind)
    if joined.status_code != 200:
        return Ended(status=joined.status_code, is_success=False, shown={}, sent=joined.text)
    told = client.get(f"{mount}/gradio_api/queue/data", params={"session_hash": session_hash}).text
    messages = [json.loads(line.removeprefix("data: ")) for line in told.splitlines() if line.startswith("data: ")]
    ended = next(one for one in messages if one["msg"] == "process_completed")
    ids = {one["id"]: one["props"].get("elem_id") for one in config["components"]}
    names = [ids[output] for output in dependency["outputs"]]
    shown = dict(zip(names, ended["output"].get("data", []), strict=False)) if ended["success"] else {}
    return Ended(status=200, is_success=ended["success"], shown=shown, sent=told)
