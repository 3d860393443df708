"""
title: Errata: thumbs up and down
author: Errata
description: Passes ratings of Errata's answers on to Errata, with reason and comment.
required_open_webui_version: 0.12.4
version: 1
license: Apache-2.0
"""

import logging
from typing import Any

import aiohttp
from open_webui.models.feedbacks import Feedbacks
from pydantic import BaseModel, Field

log = logging.getLogger(__name__)


class Event:
    """Listens to ratings, and sends those of Errata's answers on. It waits for nobody and is waited for by nobody."""

    class Valves(BaseModel):
        """What an admin sets."""

        address: str = Field(default="http://localhost:7860", description="Where Errata is, without /v1.")
        key: str = Field(
            default="", description="A key of Errata that may give feedback.", json_schema_extra={"input": {"type": "password"}}
        )
        models: str = Field(default="support", description="Errata's models, with commas between them; 'support' means its versions, too.")
        timeout_s: float = Field(default=20.0, description="How long Errata may take to answer, in seconds.")

    def __init__(self) -> None:
        self.valves = self.Valves()

    async def event(self, event: dict[str, Any]) -> None:
        """Take note of what has happened; only ratings matter here."""
        if event.get("event") not in {"feedback.created", "feedback.updated"}:
            return
        feedback = await Feedbacks.get_feedback_by_id((event.get("subject") or {}).get("id"))
        if feedback is not None and is_errata(feedback.data or {}, feedback.meta or {}, self.valves.models):
            await self._send(list_said(feedback.data or {}, feedback.meta or {}, feedback.user_id))

    async def _send(self, said: list[dict[str, Any]]) -> None:
        """Send one after the other; what Errata refuses goes into Open WebUI's log."""
        limit = aiohttp.ClientTimeout(total=self.valves.timeout_s)
        address = f"{self.valves.address.rstrip('/')}/v1/feedback"
        headers = {"authorization": f"Bearer {self.valves.key}"}
        try:
            async with aiohttp.ClientSession(timeout=limit, headers=headers) as session:
                for one in said:
                    async with session.post(address, json=one) as answer:
                        if answer.status != 200:
                            log.warning("Errata did not take a rating. Found status %d: %.300s", answer.status, await answer.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("Errata could not be reached at %s, so a rating is not known there: %r", self.valves.address, error)


def list_said(data: dict[str, Any], meta: dict[str, Any], user_id: str) -> list[dict[str, Any]]:
    """Return what a rating says, as Errata's feedback; nothing where it is neither up nor down."""
    rating = str(data.get("rating"))
    if rating not in {"1", "-1"} or not meta.get("chat_id") or not meta.get("message_id"):
        return []
    tags = {"user": user_id, "reason": data.get("reason") or None}
    named = {"chat_id": meta["chat_id"], "message_id": meta["message_id"], "tags": tags}
    said = [{**named, "metric_name": "rating", "value": rating == "1"}]
    comment = data.get("comment")
    if isinstance(comment, str) and comment.strip():
        said.append({**named, "metric_name": "comment", "value": comment})
    return said


def is_errata(data: dict[str, Any], meta: dict[str, Any], names: str) -> bool:
    """Return whether the rated model, or what it is made from, is one of these names or a version of it."""
    model_id = data.get("model_id") or meta.get("model_id")
    base_id = (meta.get("base_models") or {}).get(model_id)
    known = {name.strip() for name in names.split(",")} - {""}
    return any(one.split("@")[0] in known for one in (model_id, base_id) if one)
