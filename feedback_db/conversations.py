"""Conversations, their turns, consent to training, ratings. Whoever asks for a conversation names its owner: nobody sees another's."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from feedback_db.database import Reader, Transaction, find_row, read_time, store_time, translate_refusals
from feedback_db.errors import NotFoundError, TurnReplacedError
from feedback_db.questions import name_question
from feedback_db.records import ApiKeyId, Channel, Conversation, ConversationId, PersonId, Rating, Turn, TurnId, TurnState
from feedback_db.text_checks import check_text
from feedback_db.training_records import OpeningQuestion

_MAX_TITLE_CHARS = 80
_WITH_CONSENT = """
    SELECT conversations.*, given AS consent
    FROM conversations LEFT JOIN standing_consents ON standing_consents.conversation_id = conversations.id
"""
_HOLDS_WORDS = """(:search = '' OR instr(lower(title), lower(:search)) OR EXISTS (
    SELECT 1 FROM turns WHERE turns.conversation_id = conversations.id
    AND (instr(lower(user_message), lower(:search)) OR instr(lower(reply), lower(:search)))
))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedReply:
    """What the engine tells of a reply when it has ended, and what was said; see `Turn` for the units."""

    user_message: str
    reply: str
    state: TurnState
    error: str | None
    version: int
    sampling: Mapping[str, float | int | bool | None]
    prompt_tokens: int
    reply_tokens: int
    first_token_ms: int | None
    latency_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a program tells with a message; see `Turn` for the fields. `thread_hash` is of all that was said, the reply included.

    `message_id` is the program's name of the reply, None where it has none.
    """

    key_id: ApiKeyId
    history: tuple[tuple[str, str], ...] | None
    system: str | None
    thread_hash: str
    message_id: str | None = None


def start_conversation(
    tx: Transaction, conversation_id: ConversationId, *, person_id: PersonId, channel: Channel, title: str, now: datetime
) -> Conversation:
    """Start a conversation; a title that is too long is cut."""
    tx.execute(
        """
        INSERT INTO conversations (id, person_id, channel, title, started_at)
        VALUES (:id, :person_id, :channel, :title, :started_at)
        """,
        {
            "id": conversation_id,
            "person_id": person_id,
            "channel": channel,
            "title": _shorten(title),
            "started_at": store_time(now),
        },
    )
    return find_conversation(tx, conversation_id, owner=person_id)


def find_conversation(reader: Reader, conversation_id: ConversationId, *, owner: PersonId) -> Conversation:
    """Return a person's own conversation.

    Raises:
        NotFoundError: there is none of this id, or it is somebody else's (the sentence does not tell which).
    """
    sql = f"{_WITH_CONSENT} WHERE id = :id AND person_id = :owner"
    row = find_row(reader, sql, {"id": conversation_id, "owner": owner}, kind="a conversation")
    return _to_conversation(row)


def list_conversations(reader: Reader, owner: PersonId, *, search: str = "", limit: int = 50) -> list[Conversation]:
    """Return a person's conversations, the newest first; with `search`, those that hold these words in their title or a message."""
    rows = reader.execute(
        f"{_WITH_CONSENT} WHERE person_id = :owner AND {_HOLDS_WORDS} ORDER BY started_at DESC LIMIT :limit",
        {"owner": owner, "search": search.strip(), "limit": limit},
    )
    return [_to_conversation(row) for row in rows]


def count_owned(reader: Reader, conversation_ids: Iterable[ConversationId], *, owner: PersonId) -> int:
    """Return how many of the conversations are a person's own."""
    sql = "SELECT count(*) FROM conversations WHERE person_id = :owner AND id IN (SELECT value FROM json_each(:ids))"
    return int(reader.execute(sql, {"owner": owner, "ids": json.dumps(list(conversation_ids))}).fetchone()[0])


def rename_conversation(tx: Transaction, conversation_id: ConversationId, *, owner: PersonId, title: str) -> Conversation:
    """Give a person's own conversation another title; one that is too long is cut.

    Raises:
        NotFoundError: there is none of this id, or it is somebody else's.
        EmptyTextError, TextTooLongError, HostileTextError: the title cannot be one.
    """
    found = find_conversation(tx, conversation_id, owner=owner)
    title = _shorten(check_text(title, what="a title", max_chars=1000))
    tx.execute("UPDATE conversations SET title = :title WHERE id = :id", {"id": found.id, "title": title})
    return find_conversation(tx, conversation_id, owner=owner)


def record_consent(tx: Transaction, conversation_id: ConversationId, *, given: bool, wording: str, now: datetime) -> None:
    """Append a person's word on training; `wording` names the version of the sentence they were shown."""
    tx.execute(
        "INSERT INTO consents (conversation_id, given, wording, recorded_at) VALUES (:conversation_id, :given, :wording, :recorded_at)",
        {"conversation_id": conversation_id, "given": given, "wording": wording, "recorded_at": store_time(now)},
    )


def has_consent(reader: Reader, conversation_id: ConversationId) -> bool:
    """Say whether the newest word on training of a conversation, whoever owns it, is yes."""
    return read_consent(reader, conversation_id) is True


def read_consent(reader: Reader, conversation_id: ConversationId) -> bool | None:
    """Return the newest word on training of a conversation, whoever owns it, None where there is none."""
    row = reader.execute("SELECT given FROM standing_consents WHERE conversation_id = :id", {"id": conversation_id}).fetchone()
    return None if row is None else bool(row["given"])


def log_turn(
    tx: Transaction,
    turn_id: TurnId,
    *,
    conversation_id: ConversationId,
    logged: LoggedReply,
    replaces: TurnId | None = None,
    told: Told | None = None,
    now: datetime,
) -> Turn:
    """Append a turn to a conversation; with `replaces` it takes the place of an earlier one, which stays in the log.

    `told` is what a program told with it, None for a page's.

    A question that opens a conversation shares its key with all of the same words; later in a conversation it may mean anything.

    Raises:
        TurnReplacedError: the other turn is replaced already, or of another conversation.
        NotFoundError: there is no such conversation.
    """
    sql = """
        INSERT INTO turns (id, conversation_id, position, user_message, reply, state, error, version, sampling,
                           prompt_tokens, reply_tokens, first_token_ms, latency_ms, created_at, replaces, key_id, thread_hash,
                           told_history, told_system, message_id, question_key)
        VALUES (:id, :conversation_id,
                (SELECT coalesce(max(position) + 1, 0) FROM turns WHERE conversation_id = :conversation_id),
                :user_message, :reply, :state, :error, :version, :sampling,
                :prompt_tokens, :reply_tokens, :first_token_ms, :latency_ms, :created_at, :replaces, :key_id, :thread_hash,
                :told_history, :told_system, :message_id,
                iif(json_array_length(:told_history) > 0 OR EXISTS (
                    SELECT 1 FROM turns AS earlier WHERE conversation_id = :conversation_id AND id IS NOT :replaces
                    AND NOT EXISTS (SELECT 1 FROM turns WHERE turns.replaces = earlier.id)
                ), :id, coalesce(:question_name, :id)))
    """
    refused = TurnReplacedError()
    gone = NotFoundError("a conversation", conversation_id)  # it was erased while the reply was written
    with translate_refusals({"turns.replaces": refused, "a turn replaces an earlier one": refused, "FOREIGN KEY": gone}):
        tx.execute(
            sql,
            {
                "id": turn_id,
                "conversation_id": conversation_id,
                "user_message": logged.user_message,
                "reply": logged.reply,
                "state": logged.state,
                "error": logged.error,
                "version": logged.version,
                "sampling": json.dumps(logged.sampling, sort_keys=True),
                "prompt_tokens": logged.prompt_tokens,
                "reply_tokens": logged.reply_tokens,
                "first_token_ms": logged.first_token_ms,
                "latency_ms": logged.latency_ms,
                "created_at": store_time(now),
                "replaces": replaces,
                "key_id": None if told is None else told.key_id,
                "thread_hash": None if told is None else told.thread_hash,
                "told_history": None if told is None or told.history is None else json.dumps(told.history, ensure_ascii=False),
                "told_system": None if told is None else told.system,
                "message_id": None if told is None else told.message_id,
                "question_name": name_question(logged.user_message),
            },
        )
    return _to_turn(tx.execute("SELECT * FROM turns WHERE id = :id", {"id": turn_id}).fetchone())


def find_turn(reader: Reader, turn_id: TurnId, *, owner: PersonId) -> Turn:
    """Return a turn of a person's own conversation.

    Raises:
        NotFoundError: there is none of this id, or it is somebody else's.
    """
    sql = """
        SELECT turns.* FROM turns JOIN conversations ON conversations.id = turns.conversation_id
        WHERE turns.id = :id AND person_id = :owner
    """
    row = find_row(reader, sql, {"id": turn_id, "owner": owner}, kind="a turn")
    return _to_turn(row)


def list_context(reader: Reader, turn_id: TurnId) -> list[Turn]:
    """Return a turn of anybody's, last, and what was said before it, for reviewers; turns replaced by then are left out.

    Where a program told what was said before a turn, it comes first.

    Raises:
        NotFoundError: there is no such turn.
    """
    rows = reader.execute(
        """
        SELECT turns.* FROM turns JOIN turns AS wanted ON wanted.conversation_id = turns.conversation_id
        WHERE wanted.id = :id AND turns.position <= wanted.position AND NOT EXISTS (
            SELECT 1 FROM turns AS newer WHERE newer.replaces = turns.id AND newer.position <= wanted.position
        ) ORDER BY turns.position
        """,
        {"id": turn_id},
    ).fetchall()
    if not rows:
        raise NotFoundError("a turn", turn_id)
    turns = [_to_turn(row) for row in rows]
    begins = max((place for place, turn in enumerate(turns) if turn.told_history is not None), default=0)
    return turns[begins:]


def list_turns(reader: Reader, conversation_id: ConversationId) -> list[Turn]:
    """Return a conversation's turns, the oldest first, but for those that were replaced."""
    rows = reader.execute(
        """
        SELECT * FROM turns
        WHERE conversation_id = :id AND NOT EXISTS (SELECT 1 FROM turns AS newer WHERE newer.replaces = turns.id)
        ORDER BY position
        """,
        {"id": conversation_id},
    )
    return [_to_turn(row) for row in rows]


def discard_conversation(tx: Transaction, conversation_id: ConversationId) -> None:
    """Delete a conversation that was begun a moment ago; one that people know is erased (see `erasure`)."""
    tx.execute("DELETE FROM conversations WHERE id = :id", {"id": conversation_id})


def list_opening_questions(reader: Reader, *, limit: int) -> list[OpeningQuestion]:
    """Return questions that began a conversation, the newest first: consented to, answered to the end, and not corrected.

    What a program asked after something else, or told the assistant to be something else for, is none.
    """
    rows = reader.execute(
        """
        SELECT turns.id, user_message, reply, EXISTS (
            SELECT 1 FROM ratings WHERE turn_id = turns.id AND is_good = 0 AND withdrawn_at IS NULL
        ) AS is_disliked
        FROM turns JOIN standing_consents ON standing_consents.conversation_id = turns.conversation_id AND given = 1
        WHERE position = 0 AND state = 'complete' AND told_history IS NULL AND told_system IS NULL
        AND NOT EXISTS (SELECT 1 FROM corrections WHERE corrections.turn_id = turns.id AND corrections.state <> 'rejected')
        ORDER BY turns.created_at DESC, turns.id LIMIT :limit
        """,
        {"limit": limit},
    )
    return [
        OpeningQuestion(turn_id=TurnId(row["id"]), text=row["user_message"], reply=row["reply"], is_disliked=bool(row["is_disliked"]))
        for row in rows
    ]


def keep_turns(reader: Reader, turn_ids: Iterable[TurnId]) -> set[TurnId]:
    """Return those of the turns that are there; the others were erased."""
    rows = reader.execute("SELECT id FROM turns WHERE id IN (SELECT value FROM json_each(:ids))", {"ids": json.dumps(list(turn_ids))})
    return {TurnId(row["id"]) for row in rows}


def rate(tx: Transaction, turn_id: TurnId, *, person_id: PersonId, is_good: bool, reason: str, comment: str, now: datetime) -> None:
    """Rate a turn; an earlier rating by the same person is withdrawn."""
    withdraw_rating(tx, turn_id, person_id=person_id, now=now)
    comment = check_text(comment, what="a comment", max_chars=4000) if comment.strip() else ""
    tx.execute(
        """
        INSERT INTO ratings (turn_id, person_id, is_good, reason, comment, created_at)
        VALUES (:turn_id, :person_id, :is_good, :reason, :comment, :created_at)
        """,
        {
            "turn_id": turn_id,
            "person_id": person_id,
            "is_good": is_good,
            "reason": reason,
            "comment": comment,
            "created_at": store_time(now),
        },
    )


def withdraw_rating(tx: Transaction, turn_id: TurnId, *, person_id: PersonId, now: datetime) -> None:
    """Take a person's rating of a turn back, if there is one."""
    tx.execute(
        "UPDATE ratings SET withdrawn_at = :now WHERE turn_id = :turn_id AND person_id = :person_id AND withdrawn_at IS NULL",
        {"turn_id": turn_id, "person_id": person_id, "now": store_time(now)},
    )


def list_ratings(reader: Reader, conversation_id: ConversationId, *, person_id: PersonId) -> list[Rating]:
    """Return what a person thinks of the turns of a conversation."""
    rows = reader.execute(
        """
        SELECT ratings.* FROM ratings JOIN turns ON turns.id = turn_id
        WHERE conversation_id = :id AND person_id = :person_id AND withdrawn_at IS NULL
        """,
        {"id": conversation_id, "person_id": person_id},
    )
    return [
        Rating(turn_id=TurnId(row["turn_id"]), is_good=bool(row["is_good"]), reason=row["reason"], comment=row["comment"]) for row in rows
    ]


def _shorten(title: str) -> str:
    line = " ".join(title.split())
    return line if len(line) <= _MAX_TITLE_CHARS else f"{line[: _MAX_TITLE_CHARS - 1]}…"


def _to_conversation(row: sqlite3.Row) -> Conversation:
    return Conversation(
        id=ConversationId(row["id"]),
        person_id=PersonId(row["person_id"]),
        channel=Channel(row["channel"]),
        title=row["title"],
        started_at=read_time(row["started_at"]),
        consent=None if row["consent"] is None else bool(row["consent"]),
    )


def _to_turn(row: sqlite3.Row) -> Turn:
    return Turn(
        id=TurnId(row["id"]),
        conversation_id=ConversationId(row["conversation_id"]),
        position=row["position"],
        user_message=row["user_message"],
        reply=row["reply"],
        state=TurnState(row["state"]),
        error=row["error"],
        version=row["version"],
        prompt_tokens=row["prompt_tokens"],
        reply_tokens=row["reply_tokens"],
        first_token_ms=row["first_token_ms"],
        latency_ms=row["latency_ms"],
        created_at=read_time(row["created_at"]),
        replaces=None if row["replaces"] is None else TurnId(row["replaces"]),
        key_id=row["key_id"],
        told_history=None if row["told_history"] is None else tuple((asked, said) for asked, said in json.loads(row["told_history"])),
        told_system=row["told_system"],
    )
