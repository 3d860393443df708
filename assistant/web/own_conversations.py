"""What happens to a person's own conversations: a message is answered, a conversation erased. Nobody reaches another's. Knows no page."""

import uuid
from collections.abc import Callable
from datetime import datetime

from assistant.answering import Answering, UnderWay
from assistant.errors import AssistantError
from assistant.web.feedback import CONSENT
from feedback_db import conversations, erasure
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.errors import FeedbackError, NotFoundError
from feedback_db.records import Channel, ConversationId, Person, TurnId


class OwnConversations:
    """Begins answers, erases, and checks whose a conversation is."""

    def __init__(self, db: Database, audit: Audit, answering: Answering, clock: Callable[[], datetime]) -> None:
        self._db, self._audit, self._answering, self._clock = db, audit, answering, clock

    def begin_answer(self, person: Person, message: str, conversation: str, *, consent: bool) -> tuple[ConversationId, UnderWay]:
        """Begin to answer a message, in a new conversation if there is none yet; where that is refused, none is left."""
        if conversation:
            conversation_id = self.check(person, conversation)
            return conversation_id, self._answering.ask(conversation_id, message, person_id=person.id)
        now, conversation_id = self._clock(), ConversationId(uuid.uuid4().hex)
        with self._db.write() as tx:
            conversations.start_conversation(tx, conversation_id, person_id=person.id, channel=Channel.WEB, title=message, now=now)
            if consent:
                conversations.record_consent(tx, conversation_id, given=True, wording=CONSENT, now=now)
        try:
            return conversation_id, self._answering.ask(conversation_id, message, person_id=person.id)
        except (AssistantError, FeedbackError):
            with self._db.write() as tx:  # nothing was said in it
                erasure.erase_conversation(tx, conversation_id, now=now)
            raise

    def begin_again(self, person: Person, conversation: str, turn: str, message: str | None) -> tuple[ConversationId, UnderWay]:
        """Begin to answer the last message again, in other words if there are any."""
        conversation_id = self.check(person, conversation)
        last = conversations.find_turn(self._db.read(), TurnId(turn), owner=person.id)
        found = self._answering.ask(
            conversation_id, last.user_message if message is None else message, person_id=person.id, replaces=last.id
        )
        return conversation_id, found

    def erase(self, person: Person, conversation: str) -> None:
        """Erase a conversation with its answer under way; one that is gone already is what was wanted."""
        try:
            erased = self.check(person, conversation)
            found = self._answering.find(erased)
            if found is not None:
                found.stop()
                found.wait()
            with self._db.write() as tx:  # the next tick of the supervisor takes the text out of the files, too
                counts = erasure.erase_conversation(tx, erased, now=self._clock()).counts
                self._audit.append(tx, actor=person.id, action="erase", subject=erased, details=dict(counts), now=self._clock())
            self._answering.forget()
        except NotFoundError:
            return

    def is_answered(self, conversation_id: ConversationId | None, asked: str) -> bool:
        """Say whether a message is the last that was answered in a conversation."""
        turns = [] if conversation_id is None else conversations.list_turns(self._db.read(), conversation_id)
        return bool(turns) and turns[-1].user_message == asked.strip()

    def check(self, person: Person, conversation: str) -> ConversationId:
        """Return the id of a conversation that is the person's own.

        Raises:
            NotFoundError: it is not, or there is none.
        """
        return conversations.find_conversation(self._db.read(), ConversationId(conversation), owner=person.id).id

    def is_own(self, person: Person, conversation: str) -> bool:
        """Say whether a conversation is there and the person's own."""
        try:
            self.check(person, conversation)
        except NotFoundError:
            return False
        return True
