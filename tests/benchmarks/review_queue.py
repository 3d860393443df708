"""The review page over a log of a million messages: `python -m tests.benchmarks.review_queue --json` prints one JSON object last.

Half of the messages are questions and half replies. The queue is measured at the database (a page of it, and taking the next item) and in
the page's handlers (opening the page, skipping, comparing, searching), driven through the wall. The peer is what one would write first: the
same page grouped out of the log by plain SQL, without a table that is kept; both must return the same questions in the same order.
"""

import inspect
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import wraps
from itertools import count as count_up
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from rich.console import Console
from starlette.testclient import TestClient

from assistant.web.review_page import ReviewPage
from assistant.web.sign_in import SignIn
from assistant.web.site import build_site
from feedback_db import people, releases, review_queue
from feedback_db.audit import Audit
from feedback_db.database import Database, Transaction, store_time
from feedback_db.questions import name_question
from feedback_db.records import PersonId, Role
from tests.assistant.web.site_driving import call, read_config
from tests.auditing import open_audit
from tests.benchmarks.percentile import find_percentile
from trainer.review_aids import MemoryAids

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CONVERSATION_TURNS = 4
WORDINGS = 20_000
BAD_SHARE, CORRECTED_SHARE, EXAMPLES = 0.04, 0.02, 1_000
REVIEWER = PersonId("reviewer")
_console = Console(stderr=True)
_PEER = """
    WITH opened AS (
        SELECT turns.question_key, turns.id AS turn_id, corrections.author_id AS person_id, corrections.id AS correction_id,
               corrections.created_at
        FROM corrections JOIN turns ON turns.id = corrections.turn_id WHERE corrections.state = 'pending'
        UNION ALL
        SELECT turns.question_key, turns.id, ratings.person_id, NULL, ratings.created_at
        FROM ratings JOIN turns ON turns.id = ratings.turn_id
        WHERE is_good = 0 AND withdrawn_at IS NULL AND NOT EXISTS (SELECT 1 FROM corrections WHERE turn_id = turns.id)
        AND NOT EXISTS (
            SELECT 1 FROM corrections JOIN turns AS same ON same.id = corrections.turn_id
            WHERE same.question_key = turns.question_key AND corrections.state = 'approved'
        )
    )
    SELECT question_key, count(DISTINCT person_id) AS reporters, count(correction_id) AS corrections, min(created_at) AS first_at
    FROM opened GROUP BY question_key ORDER BY corrections = 0, reporters DESC, first_at, question_key LIMIT 50
"""


def main(
    turns: Annotated[int, typer.Option(help="Turns in the log; each is two messages.", min=1000)] = 500_000,
    pages: Annotated[int, typer.Option(help="How often each thing is measured.", min=10)] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Measure on a log that is drawn anew."""
    with tempfile.TemporaryDirectory() as folder, Database(Path(folder) / "errata.db") as db:
        audit = open_audit(db)
        began = time.perf_counter()
        fill(db, audit, turns, Random("review queue"))
        _console.print(
            f"A log of {2 * turns:,} messages, {review_queue.count_items(db.read()):,} questions wait; {time.perf_counter() - began:.0f} s"
        )
        found = {"messages": 2 * turns, "waiting": review_queue.count_items(db.read()), "megabytes": round(db.path.stat().st_size / 1e6)}
        found |= measure_database(db, pages) | measure_handlers(db, audit, pages)
    if as_json:
        print(json.dumps(found))
    else:
        _console.print(found)


def fill(db: Database, audit: Audit, turns: int, rng: Random) -> None:
    """Log conversations whose questions people ask as they do: few very often, most once."""
    with db.write() as tx:
        people.add_account(tx, REVIEWER, name="reviewer", role=Role.REVIEWER, password_hash="x", now=NOW)
        people.add_account(tx, PersonId("other"), name="other", role=Role.REVIEWER, password_hash="x", now=NOW)
        release = releases.add_release(
            tx, base="b", revision="r", quantisation="nf4", template_hash="t", system_message=None, sampling={}, now=NOW
        )
        releases.deploy(tx, audit, release.version, actor=None, reason="The base.", now=NOW)
    words = [
        f"{rng.choice(('how', 'where', 'when', 'why', 'can'))} {number} word{rng.randrange(900)} of item{number % 700}"
        for number in range(WORDINGS)
    ]
    for first in range(0, turns, 50_000):
        with db.write() as tx:
            _fill_some(tx, range(first, min(turns, first + 50_000)), words, rng)


def _fill_some(tx: Transaction, numbers: range, words: list[str], rng: Random) -> None:
    visitors, talks, consents, logged, rated, corrected = [], [], [], [], [], []
    for number in numbers:
        talk, at = number // CONVERSATION_TURNS, store_time(NOW - timedelta(seconds=40 * (600_000 - number)))
        if number % CONVERSATION_TURNS == 0:
            visitors.append((f"v{talk}", at))
            talks.append((f"c{talk}", f"v{talk}", at))
            consents.append((f"c{talk}", at))
        asked = words[min(WORDINGS - 1, int(rng.paretovariate(0.6)) - 1)]
        key = name_question(asked) if number % CONVERSATION_TURNS == 0 else f"t{number}"
        logged.append((f"t{number}", f"c{talk}", number % CONVERSATION_TURNS, asked, f"It takes {rng.randrange(90)} days.", at, key))
        roll = rng.random()
        if roll < CORRECTED_SHARE:
            corrected.append((f"k{number}", f"t{number}", f"v{talk}", f"It takes {rng.randrange(90)} days and costs nothing.", at))
        elif roll < CORRECTED_SHARE + BAD_SHARE:
            rated.append((f"t{number}", f"v{talk}", at))
    insert = [
        ("INSERT INTO people (id, kind, name, role, created_at) VALUES (?, 'visitor', '', 'end_user', ?)", visitors),
        ("INSERT INTO conversations (id, person_id, channel, title, started_at) VALUES (?, ?, 'web', 'Talk', ?)", talks),
        ("INSERT INTO consents (conversation_id, given, wording, recorded_at) VALUES (?, 1, 'v', ?)", consents),
        (
            """
            INSERT INTO turns (id, conversation_id, position, user_message, reply, state, version, sampling, prompt_tokens, reply_tokens,
                               first_token_ms, latency_ms, created_at, question_key)
            VALUES (?, ?, ?, ?, ?, 'complete', 0, '{}', 9, 9, 40, 200, ?, ?)
            """,
            logged,
        ),
        ("INSERT INTO corrections (id, turn_id, author_id, corrected_reply, created_at) VALUES (?, ?, ?, ?, ?)", corrected),
        ("INSERT INTO ratings (turn_id, person_id, is_good, reason, comment, created_at) VALUES (?, ?, 0, 'wrong', '', ?)", rated),
    ]
    for sql, rows in insert:
        for row in rows:
            tx.execute(sql, row)


def measure_database(db: Database, count: int) -> dict[str, Any]:
    """Alternate pages of the queue with the peer's, and take items; both sides must list the same."""
    ours, peer, taken = [], [], []
    for number in range(count):
        with timed(ours):
            items = review_queue.list_items(db.read(), reviewer=REVIEWER, now=NOW)
        if number % (count // 5) == 0:
            with timed(peer):
                keys = [row["question_key"] for row in db.read().execute(_PEER)]
            assert keys == [item.question_key for item in items], "unequal work"
    for _ in range(count):
        with timed(taken), db.write() as tx:
            item = review_queue.claim_next(tx, reviewer=REVIEWER, now=NOW)
            assert item is not None
            review_queue.skip(tx, item.question_key, reviewer=REVIEWER, now=NOW)
    return {
        "page_p50_ms": percentile(ours, 50),
        "page_p99_ms": percentile(ours, 99),
        "next_p99_ms": percentile(taken, 99),
        "plain_sql_p50_ms": percentile(peer, 50),
        "page_ratio": round(percentile(ours, 50) / percentile(peer, 50), 6),
    }


def measure_handlers(db: Database, audit: Audit, pages: int) -> dict[str, Any]:
    """Drive the page through the wall and time its functions from inside."""
    spent: dict[str, list[float]] = {}
    sign_in = SignIn(db, audit)
    page = ReviewPage(
        db, audit, sign_in, MemoryAids(db), read_version=lambda: 0, approvals_required=1, mounts=("/review", "/"), clock=lambda: NOW
    ).build()
    for function in page.fns.values():
        if function.fn is not None:
            function.fn = _time_each(function.fn, spent)
    _approve_some(db, audit)
    seconds = count_up(1)
    site = build_site({"/review": page}, sign_in, welcomes_visitors=True, clock=lambda: NOW + timedelta(seconds=next(seconds)))
    with TestClient(site, base_url="http://errata.test") as browser:
        with db.write() as tx:
            token = sign_in.open_account(tx, people.find_person(tx, REVIEWER), now=NOW).token
        browser.cookies.set("errata", token, domain="errata.test")
        config = read_config(browser, "/review")
        for number in range(pages):
            shown = call(browser, config, "_load", [], mount="/review").shown
            told = [shown["key"], shown["chosen"], f"It takes {number} days.", "", "", ""]
            event = {"reply": told[2]}
            assert call(browser, config, "_compare", told[:2], event=event, mount="/review").is_success
            if number % 2:
                assert call(browser, config, "_approve_item", told, mount="/review").is_success
            else:
                assert call(browser, config, "_reject_item", [*told[:2], ""], mount="/review").is_success
    return {
        "handler_p99_ms": max(percentile(found, 99) for found in spent.values()),
        "handlers_p99_ms": {name: percentile(found, 99) for name, found in spent.items()},
    }


def _approve_some(db: Database, audit: Audit) -> None:
    """Have examples in force, with which every reply is compared."""
    from feedback_db import corrections, examples
    from feedback_db.records import CorrectionId, Decision

    with db.write() as tx:
        rows = tx.execute("SELECT id, turn_id FROM corrections WHERE state = 'pending' ORDER BY created_at LIMIT ?", (EXAMPLES,)).fetchall()
        for row in rows:
            corrections.review(tx, CorrectionId(row["id"]), Decision.APPROVED, reviewer=PersonId("other"), now=NOW)
            asked = tx.execute("SELECT user_message FROM turns WHERE id = ?", (row["turn_id"],)).fetchone()["user_message"]
            examples.add_example(tx, CorrectionId(row["id"]), messages=[{"role": "user", "content": asked}], now=NOW)


def _time_each(function: Callable[..., Any], spent: dict[str, list[float]]) -> Callable[..., Any]:
    @wraps(function)
    def measured(*values: Any) -> Any:
        with timed(spent.setdefault(function.__name__, [])):
            return function(*values)

    measured.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # Gradio counts arguments by it
    return measured


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Add how many milliseconds the body takes."""
    began = time.perf_counter()
    yield
    into.append(1000 * (time.perf_counter() - began))


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share (in per cent) of the values lies, to two digits."""
    return round(find_percentile(values, share / 100), 2)


if __name__ == "__main__":
    typer.run(main)
