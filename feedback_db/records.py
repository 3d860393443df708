"""The vocabulary: what the memory holds, as frozen records. Pure; knows no SQL.

Times are aware datetimes in UTC; None always means "not (yet)" unless a docstring says otherwise.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

PersonId = NewType("PersonId", str)
ConversationId = NewType("ConversationId", str)
TurnId = NewType("TurnId", str)
CorrectionId = NewType("CorrectionId", str)
ReviewId = NewType("ReviewId", int)
ApiKeyId = NewType("ApiKeyId", str)


class PersonKind(StrEnum):
    """Where a person comes from: signed in, anonymous in a browser, or named by a program that uses the API."""

    ACCOUNT = "account"
    VISITOR = "visitor"
    EXTERNAL = "external"


class Role(StrEnum):
    """What a person may do; each role may do all that the ones before it may."""

    END_USER = "end_user"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Say whether this role may do what the other may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Channel(StrEnum):
    """Through which front a conversation is held."""

    WEB = "web"
    API = "api"
    TERMINAL = "terminal"
    DEMO = "demo"


class TurnState(StrEnum):
    """How a reply ended."""

    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


class CorrectionState(StrEnum):
    """What became of a correction."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


class Decision(StrEnum):
    """What a reviewer decides."""

    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who writes, corrects, reviews or administers; `name` is empty for a visitor and for an erased person."""

    id: PersonId
    kind: PersonKind
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    erased_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation of one person; `consent` is the newest word on training, None if it was never asked for."""

    id: ConversationId
    person_id: PersonId
    channel: Channel
    title: str
    started_at: datetime
    consent: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A user message and its reply, written from the first token to the last by release `version`.

    Token counts are of the rendered prompt and of the reply; `first_token_ms` is None where no token came. `replaces` is the turn whose
    place it takes, asked again or in other words; None for most.

    A program that asked for it holds key `key_id`, None for a page. `told_history` is what it says was said before, each a (user message,
    reply), None where the conversation's own turns are; `told_system` is its own system message, None where it sent none.
    """

    id: TurnId
    conversation_id: ConversationId
    position: int
    user_message: str
    reply: str
    state: TurnState
    error: str | None
    version: int
    prompt_tokens: int
    reply_tokens: int
    first_token_ms: int | None
    latency_ms: int
    created_at: datetime
    replaces: TurnId | None = None
    key_id: ApiKeyId | None = None
    told_history: tuple[tuple[str, str], ...] | None = None
    told_system: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What a person thinks of a turn; `reason` is one of those that a page offers, "" for none."""

    turn_id: TurnId
    is_good: bool
    reason: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The right reply to a turn, as somebody proposes it."""

    id: CorrectionId
    turn_id: TurnId
    author_id: PersonId
    corrected_reply: str
    state: CorrectionState
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One reviewer's word on a correction; `final_reply` is what shall be learned (None when rejected)."""

    id: ReviewId
    correction_id: CorrectionId
    reviewer_id: PersonId
    decision: Decision
    final_reply: str | None
    note: str
    created_at: datetime
    withdrawn_at: datetime | None
