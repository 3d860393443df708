from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from feedback_db import conversations, corrections
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database
from feedback_db.records import ConversationId, CorrectionId, Decision, PersonId, TurnId
from feedback_db.statistics import count_days


def test_quiet_days_are_told_too_and_the_oldest_comes_first(db: Database, now: datetime) -> None:
    days = count_days(db.read(), until=now, days=7)
    assert [(now.date() - day.date).days for day in days] == [6, 5, 4, 3, 2, 1, 0]
    assert {(day.replies, day.liked, day.corrections, day.waiting, day.first_token_ms, day.tokens_per_s) for day in days} == {
        (0, 0, 0, 0, None, None)
    }


def test_replies_are_told_by_their_median_and_their_speed(
    db: Database, conversation: ConversationId, logged: LoggedReply, now: datetime
) -> None:
    with db.write() as tx:
        for number, first in enumerate((10, 20, 90, 400)):
            said = replace(logged, first_token_ms=first, latency_ms=first + 1000, reply_tokens=50)
            conversations.log_turn(tx, TurnId(f"t{number}"), conversation_id=conversation, logged=said, now=now)
    (today,) = count_days(db.read(), until=now, days=1)
    assert (today.replies, today.first_token_ms, today.tokens_per_s) == (4, 55, 50)


def test_thumbs_count_once_and_not_when_they_are_taken_back(db: Database, turn: TurnId, ann: PersonId, now: datetime) -> None:
    with db.write() as tx:
        conversations.rate(tx, turn, person_id=ann, is_good=True, reason="", comment="", now=now)
        conversations.rate(tx, turn, person_id=ann, is_good=False, reason="", comment="", now=now)
    (today,) = count_days(db.read(), until=now, days=1)
    assert (today.liked, today.disliked) == (0, 1)


def test_a_correction_waits_from_the_day_it_was_written_to_the_day_it_was_decided(
    db: Database, add_correction: Callable[[str], CorrectionId], bob: PersonId, now: datetime
) -> None:
    first, second, _ = (add_correction(key) for key in ("k1", "k2", "k3"))
    with db.write() as tx:
        corrections.review(tx, first, Decision.APPROVED, reviewer=bob, now=now + timedelta(days=1))
        corrections.review(tx, second, Decision.REJECTED, reviewer=bob, now=now + timedelta(days=2))
    days = count_days(db.read(), until=now + timedelta(days=3), days=4)
    assert [day.corrections for day in days] == [3, 0, 0, 0]
    assert [day.waiting for day in days] == [3, 2, 1, 1]
    assert [(day.approved, day.rejected) for day in days] == [(0, 0), (1, 0), (0, 1), (0, 0)]
    assert [day.waiting for day in days[2:]] == [day.waiting for day in count_days(db.read(), until=now + timedelta(days=3), days=2)]
