"""What a program says of a reply that its key asked for: a rating, a comment, or what the right reply would have been (TensorZero's shape).

A demonstration is a correction: it waits in the reviewers' queue, as one from a page does.
"""

import hashlib
import json
import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from assistant.api.completion_request import read_id
from assistant.api.completions import find_turn_id
from assistant.api.errors import ApiError
from feedback_db import api_feedback, conversations, corrections, told_turns
from feedback_db.api_keys import ApiKey
from feedback_db.database import Database, Transaction
from feedback_db.people import find_or_add_external
from feedback_db.records import CorrectionId, PersonId, Rating, Turn, TurnId
from feedback_db.told_turns import Caller

_RATINGS: dict[object, bool] = {  # 1 and 0 are True and False
    True: True,
    False: False,
    -1: False,
    "up": True,
    "down": False,
    "good": True,
    "bad": False,
}
_METRICS = ("rating", "comment", "demonstration")
_MAX_CLIENT_KEY_CHARS = 200


class FeedbackRequest(BaseModel):
    """What is said: `metric_name` is `rating`, `comment` or `demonstration`, and `value` what it is; a rating of null takes it back.

    The reply is named by `inference_id`, the completion's, or by the `chat_id` and `message_id` that were told when it was asked for.

    `tags` may hold `user`, who says it (by default whom the reply was for), `reason`, and `consent` to training.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"inference_id": "chatcmpl-…", "metric_name": "demonstration", "value": "It lasts 5 years."}]},
    )

    inference_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    chat_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    message_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    metric_name: str
    value: Any = None
    tags: dict[str, str | bool | None] = Field(default_factory=dict)
    dryrun: bool = False


class ApiFeedback:
    """Records what programs say; each feedback is one transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def note(self, key: ApiKey, said: FeedbackRequest, *, client_key: str | None, now: datetime) -> str:
        """Record a feedback and return its id; the same under the same key of the program is recorded once.

        Raises:
            ApiError: the metric or its value is none, or no reply is named.
            NotFoundError: the reply is not one of this key's.
            AlreadyCorrectedError: an earlier correction by the same person waits still.
            ClientKeyReusedError: another feedback came under this key of the program.
            EmptyTextError, TextTooLongError, HostileTextError: a text cannot be kept as it is.
        """
        if client_key is not None and not 0 < len(client_key) <= _MAX_CLIENT_KEY_CHARS:
            raise _refuse("Idempotency-Key", f"1 to {_MAX_CLIENT_KEY_CHARS} characters", client_key)
        content_hash = hashlib.sha256(json.dumps(said.model_dump(), sort_keys=True).encode()).hexdigest()
        feedback_id = uuid.uuid4().hex
        try:
            with self._db.write() as tx:
                before = client_key and api_feedback.find_noted(tx, key.id, client_key, content_hash=content_hash)
                if before:
                    return before
                turn, owner = told_turns.find_told_turn(tx, _find_turn_id(tx, key, said), key_id=key.id)
                author = self._find_author(tx, key, said, owner, now)
                _note_consent(tx, said, turn, is_owner=author == owner, now=now)
                self._note(tx, said, turn, author, now)
                api_feedback.note_feedback(
                    tx, feedback_id, key_id=key.id, turn_id=turn.id, client_key=client_key, content_hash=content_hash, now=now
                )
                if said.dryrun:
                    raise _OnlyTriedError
        except _OnlyTriedError:
            pass
        return feedback_id

    def _find_author(self, tx: Transaction, key: ApiKey, said: FeedbackRequest, owner: PersonId, now: datetime) -> PersonId:
        user = said.tags.get("user")
        if user is None:
            return owner
        name = read_id(user, "tags.user")
        if name is None:
            raise _refuse("tags.user", "a name", user)
        caller = Caller(key_id=key.id, key_name=key.name, user=name)
        return find_or_add_external(tx, PersonId(uuid.uuid4().hex), name=caller.person_name, now=now).id

    def _note(self, tx: Transaction, said: FeedbackRequest, turn: Turn, author: PersonId, now: datetime) -> None:
        rating = next(
            (one for one in conversations.list_ratings(tx, turn.conversation_id, person_id=author) if one.turn_id == turn.id), None
        )
        reason = str(said.tags.get("reason") or (rating.reason if rating is not None else ""))[:_MAX_CLIENT_KEY_CHARS]
        if said.metric_name == "rating":
            _rate(tx, said, turn, author, rating, reason, now)
        elif said.metric_name == "comment":
            is_good = rating is not None and rating.is_good  # a bare comment says that something is wrong: so somebody reads it
            conversations.rate(tx, turn.id, person_id=author, is_good=is_good, reason=reason, comment=_read_text(said.value), now=now)
        elif said.metric_name == "demonstration":
            right = _read_text(said.value)
            if right.strip() == turn.reply.strip():
                raise _refuse("value", "a reply that differs from the one given", "the same")
            comment = "" if rating is None or rating.is_good else rating.comment
            conversations.rate(tx, turn.id, person_id=author, is_good=False, reason=reason, comment=comment, now=now)
            corrections.add_correction(tx, CorrectionId(uuid.uuid4().hex), turn_id=turn.id, corrected_reply=right, author=author, now=now)
        else:
            raise _refuse("metric_name", " or ".join(_METRICS), said.metric_name)


def _note_consent(tx: Transaction, said: FeedbackRequest, turn: Turn, *, is_owner: bool, now: datetime) -> None:
    """Record the user's word on training where it is news; nobody else has it."""
    consent = said.tags.get("consent")
    if consent is None:
        return
    if str(consent).lower() not in {"true", "false"}:
        raise _refuse("tags.consent", "true or false", consent)
    if not is_owner:
        raise _refuse("tags.consent", "the word of the user whom the reply was for, without another tags.user,", "somebody else's")
    given = str(consent).lower() == "true"
    if given is not conversations.read_consent(tx, turn.conversation_id):
        conversations.record_consent(tx, turn.conversation_id, given=given, wording="told by the program", now=now)


def _find_turn_id(tx: Transaction, key: ApiKey, said: FeedbackRequest) -> TurnId:
    if said.inference_id is not None:
        return find_turn_id(said.inference_id)
    if said.chat_id is None or said.message_id is None:
        raise _refuse("inference_id", "the completion's id, or chat_id and message_id,", None)
    return told_turns.find_named_turn(tx, said.chat_id, said.message_id, key_id=key.id)


class _OnlyTriedError(Exception):
    """Takes back all that was written."""


def _rate(tx: Transaction, said: FeedbackRequest, turn: Turn, author: PersonId, rating: Rating | None, reason: str, now: datetime) -> None:
    if said.value is None:
        conversations.withdraw_rating(tx, turn.id, person_id=author, now=now)
        return
    if not isinstance(said.value, bool | int | float | str) or said.value not in _RATINGS:
        raise _refuse("value", "true, false, 1, -1 or null as a rating", said.value)
    is_good = _RATINGS[said.value]
    comment = rating.comment if rating is not None and rating.is_good == is_good else ""
    conversations.rate(tx, turn.id, person_id=author, is_good=is_good, reason=reason, comment=comment, now=now)


def _read_text(value: object) -> str:
    """Return a text, or the texts of a list of parts.

    Raises:
        ApiError: it is none, or blank.
    """
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        text = "\n".join(part["text"] for part in value)
        if text.strip():
            return text
    raise _refuse("value", "a text", value)


def _refuse(param: str, expected: str, found: object) -> ApiError:
    return ApiError(400, f"Expected {expected} as {param}. Found {str(found)!r:.60}.", code="invalid_value", param=param)
