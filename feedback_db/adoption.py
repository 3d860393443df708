"""What somebody said without an account becomes their account's, once they have one: nobody counts as two people, or reviews their own.

Who proves to be the visitor is the caller's to know. The rows themselves are rewritten, so that whatever counts people, then or later,
counts one. A correction that the account has reviewed before cannot be rewritten, for the database refuses reviews of one's own; it keeps
the visitor as its author, the review is withdrawn unless a snapshot holds it, and the account reviews it no more.
"""

from dataclasses import dataclass
from datetime import datetime

from feedback_db.corrections import withdraw_reviews_of
from feedback_db.database import Reader, Transaction, read_time, store_time
from feedback_db.records import PersonId
from feedback_db.sign_in_sessions import end_all

_OWNED = (
    "UPDATE conversations SET person_id = :account WHERE person_id = :visitor",
    "UPDATE ratings SET person_id = :account WHERE person_id = :visitor",
    "UPDATE open_reports SET person_id = :account WHERE person_id = :visitor",
    "UPDATE dismissed_reports SET person_id = :account WHERE person_id = :visitor",
)
_AUTHORED = (
    """
    UPDATE corrections SET author_id = :account WHERE author_id = :visitor
    AND NOT EXISTS (SELECT 1 FROM reviews WHERE correction_id = corrections.id AND reviewer_id = :account)
    """,
    """
    UPDATE reviews SET author_id = :account WHERE author_id = :visitor
    AND correction_id IN (SELECT id FROM corrections WHERE author_id = :account)
    """,
    """
    UPDATE fix_votes SET author_id = :account WHERE author_id = :visitor
    AND correction_id IN (SELECT id FROM corrections WHERE author_id = :account)
    """,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a visitor has said: how many conversations, of which the newest has this title, and when the last message came."""

    conversation_count: int
    newest_title: str
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What became an account's; `withdrawn_count` reviews were of its own corrections."""

    conversation_count: int
    correction_count: int
    withdrawn_count: int


def find_holdings(reader: Reader, visitor: PersonId) -> Holdings | None:
    """Return what there is to adopt of a visitor, None if there is nothing."""
    row = reader.execute(
        """
        SELECT count(DISTINCT conversations.id) AS number, max(coalesce(turns.created_at, started_at)) AS last_at,
               (SELECT title FROM conversations WHERE person_id = :visitor ORDER BY started_at DESC LIMIT 1) AS title
        FROM conversations LEFT JOIN turns ON turns.conversation_id = conversations.id WHERE person_id = :visitor
        """,
        {"visitor": visitor},
    ).fetchone()
    if not row["number"]:
        return None
    return Holdings(conversation_count=row["number"], newest_title=row["title"], last_at=read_time(row["last_at"]))


def adopt(tx: Transaction, visitor: PersonId, *, account: PersonId, now: datetime) -> Adopted:
    """Make what a visitor has said an account's, consent to each conversation as it was given; the visitor is signed out for good."""
    withdrawn = withdraw_reviews_of(tx, author=visitor, reviewer=account, now=now)
    told = {"visitor": visitor, "account": account, "now": store_time(now)}
    tx.execute("INSERT INTO adoptions (visitor_id, account_id, adopted_at) VALUES (:visitor, :account, :now)", told)
    conversation_count, *_ = (tx.execute(statement, told).rowcount for statement in _OWNED)
    tx.execute("PRAGMA defer_foreign_keys = ON")  # until this transaction ends: reviews refer to their correction by its author, too
    correction_count, *_ = (tx.execute(statement, told).rowcount for statement in _AUTHORED)
    end_all(tx, visitor, now=now)
    return Adopted(conversation_count=conversation_count, correction_count=correction_count, withdrawn_count=withdrawn)
