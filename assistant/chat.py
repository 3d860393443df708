"""One answer: whose conversation, what was said, the prompt, the reply, the log. The only way from a message to a logged turn."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from threading import Lock
from typing import Any

from assistant.engine.live import LiveAssistant
from assistant.engine.rendering import count_prompt_tokens
from assistant.engine.reply import FinishReason, Outcome, Reply, Sampling
from assistant.errors import AssistantError, NothingServedError
from assistant.prompt import Message, build_messages, prompt_budget, trim_history
from feedback_db import conversations, releases
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database, Transaction
from feedback_db.errors import TurnReplacedError
from feedback_db.records import ConversationId, PersonId, Turn, TurnId, TurnState
from feedback_db.text_checks import check_text
from feedback_db.training_records import Release

MAX_MESSAGE_CHARS = 8000
_STATES = {
    FinishReason.COMPLETE: TurnState.COMPLETE,
    FinishReason.LENGTH: TurnState.COMPLETE,
    FinishReason.CANCELLED: TurnState.STOPPED,
    FinishReason.DEADLINE: TurnState.STOPPED,
    FinishReason.FAILED: TurnState.FAILED,
}


class Answer(Iterator[str]):
    """A reply on its way to somebody; iterate over its pieces. `turn` is what was logged, once the pieces have ended.

    Closing it before its end cancels the reply; what was said until then is logged as stopped.
    """

    def __init__(self, db: Database, reply: Reply, message: str, log: Callable[[Transaction, LoggedReply], Turn]) -> None:
        """Follow a reply to a message; `log` is called once, when it has ended."""
        self.reply, self.turn = reply, None
        self._db, self._message, self._log_turn = db, message, log
        self._said: list[str] = []
        self._logging = Lock()  # whoever ends it last, at shutdown two at once, logs nothing more

    turn: Turn | None

    def __next__(self) -> str:
        """Return the next piece.

        Raises:
            AssistantError: the reply failed; it is logged as failed.
            DiskFullError: the turn could not be logged.
        """
        try:
            piece = next(self.reply)
        except StopIteration:
            self._log(None)
            raise
        except AssistantError as error:
            self._log(str(error))
            raise
        self._said.append(piece)
        return piece

    def take(self) -> str:
        """Return the text that has come and was not read yet, perhaps none; never waits and never logs."""
        taken = self.reply.take()
        self._said.append(taken)
        return taken

    def close(self) -> None:
        """Cancel what is left of the reply and log what there is; does nothing once it has ended."""
        if self.turn is not None:
            return
        self.reply.cancel()
        try:
            for _ in self:
                pass
        except AssistantError:  # logged as failed, and nobody reads it any more
            return

    def _log(self, error: str | None) -> None:
        with self._logging:
            if self.turn is not None:
                return
            outcome = self.reply.outcome
            assert outcome is not None, "a reply that has ended tells how"
            logged = _describe(self._message, "".join(self._said).strip(), self.reply, outcome, error)
            with self._db.write() as tx:
                self.turn = self._log_turn(tx, logged)


def answer(
    db: Database,
    live: LiveAssistant,
    conversation_id: ConversationId,
    user_message: str,
    *,
    person_id: PersonId,
    turn_id: TurnId,
    replaces: TurnId | None = None,
    now: datetime,
    deadline_s: float | None = None,
) -> Answer:
    """Answer a message in a person's own conversation, by the release that is live now; with `replaces` in the place of its last turn.

    Raises:
        TurnReplacedError: `replaces` is not the last turn.
        NotFoundError: there is no such conversation, or it is somebody else's.
        EmptyTextError, TextTooLongError, HostileTextError: the message cannot be answered as it is.
        NothingServedError: no release has been swapped in yet.
        ContextFullError: the message alone fills the base's context.
        TemplateRefusedError, AssistantClosedError: see `LiveAssistant.stream`.
    """
    conversations.find_conversation(db.read(), conversation_id, owner=person_id)
    message = check_text(user_message, what="a message", max_chars=MAX_MESSAGE_CHARS)
    release = find_served(db, live)
    sampling = read_sampling(release)
    history = list_history(db, conversation_id, without=replaces)
    messages = build_prompt(live, release.system_message, history, message, max_tokens=sampling.max_tokens)
    reply = live.stream(messages, sampling, version=release.version, deadline_s=deadline_s)

    def log(tx: Transaction, logged: LoggedReply) -> Turn:
        return conversations.log_turn(tx, turn_id, conversation_id=conversation_id, logged=logged, replaces=replaces, now=now)

    return Answer(db, reply, message, log)


def find_served(db: Database, live: LiveAssistant) -> Release:
    """Return the release that answers now.

    Raises:
        NothingServedError: no release has been swapped in yet.
    """
    version = live.status().version
    if version is None:
        raise NothingServedError
    return releases.find_release(db.read(), version)


def list_history(db: Database, conversation_id: ConversationId, *, without: TurnId | None = None) -> list[tuple[str, str]]:
    """Return what was said so far, the oldest first, each a (user message, reply); turns without a reply are left out.

    Raises:
        TurnReplacedError: `without` is not the last turn.
    """
    turns = conversations.list_turns(db.read(), conversation_id)
    if without is not None and (not turns or turns.pop().id != without):
        raise TurnReplacedError
    return [(turn.user_message, turn.reply) for turn in turns if turn.state is not TurnState.FAILED and turn.reply]


def build_prompt(
    live: LiveAssistant, system_message: str | None, history: Sequence[tuple[str, str]], message: str, *, max_tokens: int
) -> list[Message]:
    """Build the prompt with as many whole earlier turns as leave room for the reply; half of the context is room enough."""

    def count(kept: Sequence[tuple[str, str]]) -> int:
        return count_prompt_tokens(live.base.tokenizer, build_messages(system_message, kept, message))

    kept = trim_history(history, token_budget=prompt_budget(live.base.context_tokens, max_tokens), count_tokens=count)
    return build_messages(system_message, kept, message)


def read_sampling(release: Release) -> Sampling:
    """Return how a release samples."""
    chosen: dict[str, Any] = dict(release.sampling)
    return Sampling(**chosen)


def _describe(message: str, said: str, reply: Reply, outcome: Outcome, error: str | None) -> LoggedReply:
    return LoggedReply(
        user_message=message,
        reply=said,
        state=_STATES[outcome.finish],
        error=error,
        version=reply.version,
        sampling=asdict(reply.sampling),
        prompt_tokens=outcome.prompt_tokens,
        reply_tokens=outcome.reply_tokens,
        first_token_ms=outcome.first_token_ms,
        latency_ms=outcome.latency_ms,
    )
