"""
title: Correct this answer
author: Errata
description: A button under Errata's answers: what would have been right goes to the reviewers, and then into the training.
required_open_webui_version: 0.12.4
version: 1
license: Apache-2.0
"""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from pydantic import BaseModel, Field

Tell = Callable[[dict[str, Any]], Awaitable[Any]]
NOT_MARKED = (
    "This answer is not known to Errata. Either another model gave it, or the filter of Errata was off. Ask again, and correct that."
)


class Action:
    """Asks what the right answer would have been, and sends it to Errata's reviewers."""

    class Valves(BaseModel):
        """What an admin sets."""

        address: str = Field(default="http://localhost:7860", description="Where Errata is, without /v1.")
        key: str = Field(
            default="", description="A key of Errata that may give feedback.", json_schema_extra={"input": {"type": "password"}}
        )
        timeout_s: float = Field(default=20.0, description="How long Errata may take to answer, in seconds.")

    def __init__(self) -> None:
        self.valves = self.Valves()

    async def action(
        self,
        body: dict[str, Any],
        __user__: dict[str, Any] | None = None,
        __event_emitter__: Tell | None = None,
        __event_call__: Tell | None = None,
    ) -> None:
        """Ask for the right answer to one message, send it, and say what came of it."""
        if __event_call__ is None or __event_emitter__ is None:
            return
        given = find_content(body, body.get("id"))
        right = await __event_call__(
            {
                "type": "input",
                "data": {
                    "title": "Correct this answer",
                    "message": "What would have been right? Somebody reads it before the assistant learns it.",
                    "placeholder": "The right answer",
                    "value": given,
                },
            }
        )
        if right is False:  # closed without an answer
            return
        if not isinstance(right, str):  # Open WebUI says that the page is gone, or that it took too long
            kind, sentence = "error", "Nothing was sent: no answer came from the page. Press the button again."
        elif not right.strip() or right.strip() == given.strip():
            kind, sentence = "warning", "Nothing was sent: the answer is as it was. Change it to what would have been right."
        else:
            kind, sentence = await self._send(body, right.strip(), (__user__ or {}).get("id"))
        await __event_emitter__({"type": "notification", "data": {"type": kind, "content": sentence}})

    async def _send(self, body: dict[str, Any], right: str, user_id: str | None) -> tuple[str, str]:
        """Send a correction; return how it went, as a kind of notification and a sentence."""
        said = {
            "chat_id": body.get("chat_id"),
            "message_id": body.get("id"),
            "metric_name": "demonstration",
            "value": right,
            "tags": {"user": user_id},
        }
        headers = {"authorization": f"Bearer {self.valves.key}"}
        limit = aiohttp.ClientTimeout(total=self.valves.timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.post(f"{self.valves.address.rstrip('/')}/v1/feedback", json=said, headers=headers) as answer,
            ):
                status, told = answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return "error", "Errata could not be reached, so nothing was sent. Try again later, or tell your admin."
        if status == 200:
            return "success", "Thank you. A reviewer looks at your correction next."
        if status == 404:
            return "error", NOT_MARKED
        if status in {401, 403}:
            return "error", "Errata did not accept the key of this button, so nothing was sent. Tell your admin."
        error = told.get("error") if isinstance(told, dict) else None
        reason = error.get("message") if isinstance(error, dict) else None
        return "error", f"Nothing was sent. {reason or f'Errata answered with status {status}.'}"


def find_content(body: dict[str, Any], message_id: str | None) -> str:
    """Return what a message says, "" where it is not there."""
    found = next((one for one in body.get("messages") or [] if one.get("id") == message_id), {})
    content = found.get("content")
    return content if isinstance(content, str) else ""
