"""
title: Errata: whose question it is
author: Errata
description: Tells Errata who asks, in which chat, and whether the chat may be learned from.
required_open_webui_version: 0.12.4
version: 1
license: Apache-2.0
"""

from typing import Any, Literal

from pydantic import BaseModel, Field

NOT_ONES_OWN = ("temporary:", "local:", "channel:")  # how Open WebUI names chats that it does not keep, or that several people write in


class Filter:
    """Marks what is asked of Errata. It changes no message, and marks nothing that another model is asked."""

    class Valves(BaseModel):
        """What an admin sets."""

        models: str = Field(default="support", description="Errata's models, with commas between them; 'support' means its versions, too.")
        consent: Literal["nobody", "who agrees", "everybody"] = Field(
            default="who agrees",
            description="Whose chats may be learned from: nobody's, those of people who agreed, or everybody's, if your rules allow that.",
        )
        priority: int = Field(default=0, description="Filters with a lower number come first.")

    class UserValves(BaseModel):
        """What each person sets."""

        may_learn: bool = Field(
            default=False, description="The support assistant may learn from my chats, once somebody has reviewed them."
        )

    def __init__(self) -> None:
        self.valves = self.Valves()

    async def inlet(
        self,
        body: dict[str, Any],
        __user__: dict[str, Any] | None = None,
        __metadata__: dict[str, Any] | None = None,
        __model__: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Mark a question on its way to Errata."""
        if not is_errata(body.get("model"), __model__, self.valves.models):
            return body
        user, known = __user__ or {}, __metadata__ or {}
        chat_id, message_id = known.get("chat_id") or "", known.get("message_id")
        consents, wording = self._read_consent(user, is_own=not chat_id.startswith(NOT_ONES_OWN))
        marks = {"chat_id": chat_id or None, "message_id": message_id, "consent": consents, "consent_wording": wording}
        return {**body, "user": str(user.get("id") or ""), "errata": {name: value for name, value in marks.items() if value is not None}}

    def _read_consent(self, user: dict[str, Any], *, is_own: bool) -> tuple[bool, str]:
        """Return whether a chat may be learned from, and what was agreed to; a temporary chat or a channel may never be."""
        if not is_own:
            return False, "Open WebUI: a temporary chat, or a channel"
        if self.valves.consent == "who agrees":
            return bool(getattr(user.get("valves"), "may_learn", False)), "Open WebUI: the person's own valve 'may_learn'"
        return self.valves.consent == "everybody", f"Open WebUI: the admin's valve 'consent' says {self.valves.consent}"


def is_errata(model_id: str | None, model: dict[str, Any] | None, names: str) -> bool:
    """Return whether a model, or what it is made from, is one of these names or a version of it."""
    base_id = ((model or {}).get("info") or {}).get("base_model_id")
    known = {name.strip() for name in names.split(",")} - {""}
    return any(one.split("@")[0] in known for one in (model_id, base_id) if one)
