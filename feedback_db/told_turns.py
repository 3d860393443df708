"""Turns that a program asked for: whose they are, and which conversation they go on with, as far as what it tells says so.

A program sends everything that was said, each time. What the log holds already is found again; what it does not hold is kept as told.
"""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from feedback_db import conversations
from feedback_db.conversations import LoggedReply, Told
from feedback_db.database import Reader, Transaction, find_row
from feedback_db.errors import NotFoundError
from feedback_db.people import find_or_add_external
from feedback_db.records import ApiKeyId, Channel, ConversationId, PersonId, Turn, TurnId, TurnState

PROGRAM = "API key"  # begins the names of all people whom programs name
Pairs = Sequence[tuple[str, str]]  # what was said, the oldest first, each a (user message, reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: a key, and whom its program says it asks for; `user` "" where it does not say."""

    key_id: ApiKeyId
    key_name: str
    user: str

    @property
    def person_name(self) -> str:
        """Return the name of the person: the key's own where nobody is named."""
        return f"{PROGRAM} {self.key_name}" + (f"/{self.user}" if self.user else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a program tells beside a message; `chat_id` and `message_id` are its names of conversation and reply, None where it has none.

    `consent` None says nothing on training; `wording` names the sentence that was agreed to. `system` is its own system message.
    """

    chat_id: str | None
    history: tuple[tuple[str, str], ...]
    system: str | None
    consent: bool | None
    wording: str
    message_id: str | None = None


def log_told_turn(tx: Transaction, turn_id: TurnId, *, caller: Caller, context: Context, logged: LoggedReply, now: datetime) -> Turn:
    """Log a turn in the conversation that it goes on with, or in a new one, with all that the program told.

    Where it asks the last question again after the same, the last turn is replaced; anything else after less than was said is a branch.

    Raises:
        EmptyTextError, TextTooLongError, HostileTextError: the user's name cannot be one.
    """
    person = find_or_add_external(tx, PersonId(uuid.uuid4().hex), name=caller.person_name, now=now)
    found = _find_conversation(tx, person.id, caller, context)
    history, replaces = (context.history or None, None) if found is None else _compare(tx, found, context.history, logged.user_message)
    conversation_id = _begin(tx, person.id, context, logged, now) if found is None else found
    if context.consent is not None and context.consent is not conversations.read_consent(tx, conversation_id):
        conversations.record_consent(tx, conversation_id, given=context.consent, wording=context.wording, now=now)
    thread_hash = _hash_thread([*context.history, (logged.user_message, logged.reply)])
    told = Told(key_id=caller.key_id, history=history, system=context.system, thread_hash=thread_hash, message_id=context.message_id)
    return conversations.log_turn(tx, turn_id, conversation_id=conversation_id, logged=logged, replaces=replaces, told=told, now=now)


def find_told_turn(reader: Reader, turn_id: TurnId, *, key_id: ApiKeyId) -> tuple[Turn, PersonId]:
    """Return a turn that was asked for with a key, and whose it is.

    Raises:
        NotFoundError: there is none of this id, or another key's (the sentence does not tell which).
    """
    sql = "SELECT person_id FROM turns JOIN conversations ON conversations.id = conversation_id WHERE turns.id = :id AND key_id = :key_id"
    owner = PersonId(find_row(reader, sql, {"id": turn_id, "key_id": key_id}, kind="a completion of this key")["person_id"])
    return conversations.find_turn(reader, turn_id, owner=owner), owner


def find_named_turn(reader: Reader, chat_id: str, message_id: str, *, key_id: ApiKeyId) -> TurnId:
    """Return the turn that a program names as it named it when it asked; the newest, where it has asked again under the same name.

    Raises:
        NotFoundError: no turn of this key has such a name.
    """
    sql = """
        SELECT turns.id FROM turns JOIN conversations ON conversations.id = conversation_id
        WHERE message_id = :message_id AND key_id = :key_id AND chat_id = :chat_id ORDER BY turns.rowid DESC LIMIT 1
    """
    row = reader.execute(sql, {"chat_id": chat_id, "message_id": message_id, "key_id": key_id}).fetchone()
    if row is None:
        raise NotFoundError("a message of this key", message_id)
    return TurnId(row["id"])


def _find_conversation(tx: Transaction, person_id: PersonId, caller: Caller, context: Context) -> ConversationId | None:
    """Return the conversation that goes on.

    Without a name of it, it is found by what was said, and only where the program says whom it asks for: the chats of strangers may begin
    with the same words.
    """
    if context.chat_id is not None:
        row = tx.execute(
            "SELECT id FROM conversations WHERE person_id = :person_id AND chat_id = :chat_id",
            {"person_id": person_id, "chat_id": context.chat_id},
        ).fetchone()
    elif caller.user and context.history:
        row = tx.execute(
            """
            SELECT conversations.id FROM turns JOIN conversations ON conversations.id = conversation_id
            WHERE thread_hash = :thread_hash AND person_id = :person_id AND chat_id IS NULL ORDER BY turns.rowid DESC LIMIT 1
            """,
            {"person_id": person_id, "thread_hash": _hash_thread(context.history)},
        ).fetchone()
    else:
        row = None
    return None if row is None else ConversationId(row["id"])


def _compare(
    tx: Transaction, conversation_id: ConversationId, history: Pairs, message: str
) -> tuple[tuple[tuple[str, str], ...] | None, TurnId | None]:
    """Return the history to keep, None where the log holds it, and the turn that is replaced, None where none is."""
    said: list[tuple[str, str]] = []
    turns = conversations.list_turns(tx, conversation_id)
    before: list[tuple[str, str]] = []  # what was said before the last turn
    for turn in turns:
        if turn.told_history is not None:
            said = list(turn.told_history)
        before = list(said)
        if turn.state is not TurnState.FAILED and turn.reply:
            said.append((turn.user_message, turn.reply))
    if said == list(history):
        return None, None
    if turns and before == list(history) and turns[-1].user_message == message:
        return turns[-1].told_history, turns[-1].id
    return tuple(history), None


def _begin(tx: Transaction, person_id: PersonId, context: Context, logged: LoggedReply, now: datetime) -> ConversationId:
    title = context.history[0][0] if context.history else logged.user_message
    conversation_id = ConversationId(uuid.uuid4().hex)
    conversations.start_conversation(tx, conversation_id, person_id=person_id, channel=Channel.API, title=title, now=now)
    tx.execute("UPDATE conversations SET chat_id = :chat_id WHERE id = :id", {"id": conversation_id, "chat_id": context.chat_id})
    return conversation_id


def _hash_thread(said: Pairs) -> str:
    return hashlib.blake2b(json.dumps([list(pair) for pair in said]).encode(), digest_size=16).hexdigest()
