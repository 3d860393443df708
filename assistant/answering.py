"""Answers under way: each runs to its end by itself, and whoever likes follows it; a page that is reloaded finds it again.

One conversation has one answer under way at a time, and one person a few.
"""

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from assistant.chat import Answer, answer
from assistant.engine.live import LiveAssistant
from assistant.errors import AlreadyAnsweringError, AssistantClosedError, AssistantError, TooManyAnswersError
from feedback_db import conversations
from feedback_db.database import Database
from feedback_db.errors import FeedbackError
from feedback_db.records import ConversationId, PersonId, TurnId

_DEADLINE_S = 300.0
_MOST_A_PERSON = 2  # one goes on while its person asks elsewhere; with more, one visitor could take every place in the queue


class UnderWay:
    """An answer on its way; `text` is what there is of it, `error` why it failed, None unless it did."""

    def __init__(self, found: Answer, message: str, replaces: TurnId | None) -> None:
        self.message, self.replaces, self.version = message, replaces, found.reply.version
        self.text, self.error = "", None
        self._answer = found
        self._ended = threading.Event()

    error: AssistantError | FeedbackError | None

    @property
    def is_ended(self) -> bool:
        """Say whether the answer has ended and is logged."""
        return self._ended.is_set()

    def wait(self) -> None:
        """Wait until the answer has ended and is logged."""
        self._ended.wait()

    def stop(self) -> None:
        """End the answer after the token that is being computed."""
        self._answer.reply.cancel()

    def run(self) -> None:
        """Take the answer in until it has ended."""
        try:
            for piece in self._answer:
                self.text += piece
        except (AssistantError, FeedbackError) as error:
            self.error = error

    def end(self) -> None:
        """Tell all who wait that there is nothing more to come."""
        self._ended.set()


class Answering:
    """Starts answers and finds those under way."""

    def __init__(self, db: Database, live: LiveAssistant, clock: Callable[[], datetime]) -> None:
        self._db, self._live, self._clock = db, live, clock
        self._under_way: dict[ConversationId, UnderWay | None] = {}  # None: begins this moment
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """Stop all answers under way, and wait until what each has said is logged; no other begins."""
        with self._lock:
            self._closed.set()
            found = [begun for begun in self._under_way.values() if begun is not None]
        for begun in found:
            begun.stop()
        for begun in found:
            begun.wait()

    def ask(self, conversation_id: ConversationId, message: str, *, person_id: PersonId, replaces: TurnId | None = None) -> UnderWay:
        """Begin to answer a message in a person's own conversation; with `replaces` in the place of its last turn.

        Raises:
            AlreadyAnsweringError: an answer is under way in this conversation.
            TooManyAnswersError: the person has as many under way as one may have.
            AssistantClosedError: no answer begins any more.
            AssistantError, FeedbackError: see `chat.answer`.
        """
        with self._lock:
            if self._closed.is_set():
                raise AssistantClosedError
            if conversation_id in self._under_way:
                raise AlreadyAnsweringError
            if conversations.count_owned(self._db.read(), self._under_way, owner=person_id) >= _MOST_A_PERSON:
                raise TooManyAnswersError(_MOST_A_PERSON)
            self._under_way[conversation_id] = None
        try:
            found = answer(
                self._db,
                self._live,
                conversation_id,
                message,
                person_id=person_id,
                turn_id=TurnId(uuid.uuid4().hex),
                replaces=replaces,
                deadline_s=_DEADLINE_S,
                now=self._clock(),
            )
        except BaseException:
            self._forget(conversation_id)
            raise
        begun = UnderWay(found, message.strip(), replaces)
        with self._lock:
            self._under_way[conversation_id] = begun
            if self._closed.is_set():  # meanwhile
                begun.stop()
        threading.Thread(target=self._run, args=(conversation_id, begun), name="answer", daemon=True).start()
        return begun

    def find(self, conversation_id: ConversationId) -> UnderWay | None:
        """Return the answer under way in a conversation, None if there is none."""
        with self._lock:
            return self._under_way.get(conversation_id)

    def forget(self) -> None:
        """Let go of what the model still holds of conversations that are erased."""
        with suppress(AssistantClosedError):
            self._live.forget()

    def _run(self, conversation_id: ConversationId, begun: UnderWay) -> None:
        try:
            begun.run()
        finally:
            self._forget(conversation_id)  # first: whoever hears that it has ended may ask the next
            begun.end()

    def _forget(self, conversation_id: ConversationId) -> None:
        with self._lock:
            del self._under_way[conversation_id]
