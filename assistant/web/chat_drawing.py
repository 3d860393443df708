"""What the chat page shows of a person's conversations: reads them, and says what each component holds then. Changes nothing."""

import uuid
from collections.abc import Sequence
from typing import Any

from assistant.answering import UnderWay
from assistant.engine.live import LiveAssistant
from assistant.web import chat_view
from assistant.web.chat_layout import ChatLayout
from feedback_db import conversations, fixes
from feedback_db.database import Database
from feedback_db.records import ConversationId, Person

SHOWN_AT_ONCE = 50  # turns; a page with more of them becomes slow, so more are shown only to whoever asks
Shown = dict[Any, Any]  # what changes on the page: component → its value


class ChatDrawing:
    """Draws on the components of one page."""

    def __init__(
        self, on: ChatLayout, db: Database, live: LiveAssistant, *, title: str, examples: Sequence[str], mounts: Sequence[str]
    ) -> None:
        self._on, self._db, self._live = on, db, live
        self._title, self._examples, self._mounts = title, tuple(examples), tuple(mounts)

    def show(self, person: Person, conversation_id: ConversationId | None, under_way: UnderWay | None = None) -> Shown:
        """Return the whole page as it is for somebody with a conversation, None for a new one."""
        found = None if conversation_id is None else conversations.find_conversation(self._db.read(), conversation_id, owner=person.id)
        return {
            self._on.header: self.render_header(person),
            self._on.search: "",
            self._on.list: self.render_list(person, conversation_id or "", ""),
            self._on.log: self.render_log(person, conversation_id, under_way),
            self._on.pending: "" if under_way is None or conversation_id is None else self.render_pending(conversation_id, under_way),
            self._on.notice: "",
            self._on.conversation: conversation_id or "",
            self._on.consent: found is not None and bool(found.consent),
        }

    def render_pending(self, conversation: ConversationId, under_way: UnderWay) -> str:
        """Return a reply on its way, with a new mark: the page follows it from here on."""
        return chat_view.render_pending(under_way.message, under_way.text, conversation=conversation, mark=uuid.uuid4().hex)

    def render_header(self, person: Person) -> str:
        """Return the top of the page."""
        version = self._live.status().version
        return chat_view.render_header(self._title, person, path="/", version=version, mounts=self._mounts, side="Conversations")

    def render_list(self, person: Person, shown: str, search: str) -> str:
        """Return a person's conversations that hold what is searched for."""
        own = conversations.list_conversations(self._db.read(), person.id, search=search)
        return chat_view.render_conversations(own, shown=ConversationId(shown), search=search)

    def render_log(
        self, person: Person, conversation_id: ConversationId | None, under_way: UnderWay | None, *, most: int = SHOWN_AT_ONCE
    ) -> str:
        """Return a conversation of a person's own, None for a new one, with its last `most` turns."""
        reader = self._db.read()
        served = self._live.status().version
        turns = [] if conversation_id is None else conversations.list_turns(reader, conversation_id)
        told = [] if conversation_id is None else fixes.list_fixes(reader, conversation_id, author=person.id, served=served)
        ratings = [] if conversation_id is None else conversations.list_ratings(reader, conversation_id, person_id=person.id)
        consent = conversation_id is not None and bool(conversations.find_conversation(reader, conversation_id, owner=person.id).consent)
        replaced = None if under_way is None else under_way.replaces
        standing = [turn for turn in turns if turn.id != replaced]
        return chat_view.render_log(
            standing[-most:],
            ratings,
            told,
            greeting="How can I help?",
            examples=self._examples,
            has_consent=consent,
            is_answering=under_way is not None,
            earlier=max(0, len(standing) - most),
        )
