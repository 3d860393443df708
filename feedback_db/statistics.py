"""What happened day by day, for charts: counted by the database from its indexes. Days are UTC's."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from feedback_db.database import Reader, store_time
from feedback_db.records import CorrectionState
from feedback_db.training_records import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What happened on a day; `waiting` are corrections that nobody had decided on at its end.

    `first_token_ms` is the median time to the first token, `tokens_per_s` how fast replies were written behind it; None without a reply.
    """

    date: date
    replies: int
    liked: int
    disliked: int
    corrections: int
    approved: int
    rejected: int
    waiting: int
    first_token_ms: float | None
    tokens_per_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """What there is now: corrections and runs by their states, how many questions wait for a review, which version is wished to be live."""

    corrections: dict[str, int]
    runs: dict[str, int]
    waiting: int
    deployed: int | None


def count_states(reader: Reader) -> States:
    """Return how much there is of what, each state named, also where nothing is in it."""
    live = reader.execute("SELECT version FROM deployments ORDER BY id DESC LIMIT 1").fetchone()
    corrections = reader.execute("SELECT state, count(*) AS count FROM corrections GROUP BY state")
    runs = reader.execute("SELECT state, count(*) AS count FROM runs GROUP BY state")
    return States(
        corrections={state.value: 0 for state in CorrectionState} | {row["state"]: row["count"] for row in corrections},
        runs={state.value: 0 for state in RunState} | {row["state"]: row["count"] for row in runs},
        waiting=int(reader.execute("SELECT count(*) FROM queue_items").fetchone()[0]),
        deployed=None if live is None else int(live["version"]),
    )


def count_days(reader: Reader, *, until: datetime, days: int) -> list[Day]:
    """Return the last days up to a moment, the oldest first, quiet ones among them."""
    first = (until - timedelta(days=days - 1)).date()
    since = store_time(datetime.combine(first, datetime.min.time(), until.tzinfo))
    replies = {row["day"]: row for row in reader.execute(_REPLIES, {"since": since})}
    medians = {row["day"]: row["median"] for row in reader.execute(_MEDIANS, {"since": since})}
    ratings = {row["day"]: row for row in reader.execute(_RATINGS, {"since": since})}
    written = {row["day"]: row["count"] for row in reader.execute(_CORRECTIONS, {"since": since})}
    decided = {row["day"]: row for row in reader.execute(_DECISIONS, {"since": since})}
    waiting = int(reader.execute(_WAITING_BEFORE, {"since": since}).fetchone()["count"])
    found = []
    for day in (first + timedelta(days=number) for number in range(days)):
        name = day.isoformat()
        reply, rating, decision = replies.get(name), ratings.get(name), decided.get(name)
        approved, rejected = (0, 0) if decision is None else (decision["approved"], decision["rejected"])
        waiting += written.get(name, 0) - approved - rejected
        found.append(
            Day(
                date=day,
                replies=0 if reply is None else reply["count"],
                liked=0 if rating is None else rating["liked"],
                disliked=0 if rating is None else rating["disliked"],
                corrections=written.get(name, 0),
                approved=approved,
                rejected=rejected,
                waiting=waiting,
                first_token_ms=medians.get(name),
                tokens_per_s=None if reply is None else reply["tokens_per_s"],
            )
        )
    return found


_REPLIES = """
    SELECT substr(created_at, 1, 10) AS day, count(*) AS count,
           1000.0 * sum(iif(first_token_ms IS NULL, 0, reply_tokens)) / nullif(sum(latency_ms - first_token_ms), 0) AS tokens_per_s
    FROM turns WHERE created_at >= :since GROUP BY day
"""
_MEDIANS = """
    SELECT day, avg(first_token_ms) AS median FROM (
        SELECT substr(created_at, 1, 10) AS day, first_token_ms,
               row_number() OVER (PARTITION BY substr(created_at, 1, 10) ORDER BY first_token_ms) AS place,
               count(*) OVER (PARTITION BY substr(created_at, 1, 10)) AS count
        FROM turns WHERE created_at >= :since AND first_token_ms IS NOT NULL
    )
    WHERE 2 * place BETWEEN count AND count + 2 GROUP BY day
"""
_RATINGS = """
    SELECT substr(created_at, 1, 10) AS day, sum(is_good) AS liked, sum(1 - is_good) AS disliked
    FROM ratings WHERE created_at >= :since AND withdrawn_at IS NULL GROUP BY day
"""
_CORRECTIONS = "SELECT substr(created_at, 1, 10) AS day, count(*) AS count FROM corrections WHERE created_at >= :since GROUP BY day"
# A correction is decided when the last review came that its state rests on; one that waits for a second approval is not.
_DECISIONS = """
    SELECT substr(decided_at, 1, 10) AS day, sum(state = 'approved') AS approved, sum(state = 'rejected') AS rejected FROM (
        SELECT state, (SELECT max(created_at) FROM reviews WHERE correction_id = corrections.id AND withdrawn_at IS NULL) AS decided_at
        FROM corrections WHERE state <> 'pending'
        AND id IN (SELECT correction_id FROM reviews WHERE created_at >= :since AND withdrawn_at IS NULL)
    ) GROUP BY day
"""
_WAITING_BEFORE = """
    SELECT count(*) AS count FROM corrections WHERE created_at < :since AND (state = 'pending' OR (
        SELECT max(created_at) FROM reviews WHERE correction_id = corrections.id AND withdrawn_at IS NULL
    ) >= :since)
"""
