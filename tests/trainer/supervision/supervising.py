"""A supervisor over a real memory with a fake trainer; as a program, one that dies at a named point: `supervising.py FOLDER MODE POINT`."""

import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from feedback_db import conversations, corrections, people, releases, requests, runs
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database
from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, Role, TurnId
from feedback_db.training_records import RequestKind, Run
from tests.auditing import open_audit
from tests.logged_replies import make_logged_reply
from trainer.planning import ServedBase, make_plan
from trainer.run_directory import Row
from trainer.supervision.supervisor import Supervisor
from trainer.verdict import GatePolicy

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANN, BOB = PersonId("ann"), PersonId("bob")
QUESTIONS = (("how long is the warranty", "It is 3 years."), ("how do I reach sales", "Write to sales@acme.example."))
_FAKE = str(Path(__file__).with_name("fake_trainer.py"))
_DEADLINE_S = 60.0


def serve(**changed: Any) -> ServedBase:
    facts: dict[str, Any] = {
        "name": "bundled",
        "revision": "r0",
        "quantisation": "nf4",
        "template_hash": "t0",
        "system_message": "You are Ada.",
        "device": None,
        "sampling": {"temperature": 0.0, "max_tokens": 64},
        "context_tokens": 512,
        "count_tokens": lambda messages: sum(len(message["content"].split()) + 4 for message in messages),
    }
    return ServedBase(**{**facts, **changed})


def make_supervisor(db: Database, mode: str = "learn", **changed: Any) -> Supervisor:
    folder = db.path.parent
    guard = [Row(messages=({"role": "user", "content": f"what about topic{number} then"},)) for number in range(12)]
    facts: dict[str, Any] = {
        "served": serve(),
        "gate": GatePolicy(untouched_least=0),
        "command": (sys.executable, "-I", _FAKE, mode),
    }
    return Supervisor(db, open_audit(db), folder / "runs", make_plan(guard, system_message="You are Ada."), **{**facts, **changed})


@contextmanager
def open_world(folder: Path) -> Iterator[Database]:
    """Open a memory with people, a live bare base and a conversation that may be trained; made if it is not there."""
    is_new = not (folder / "errata.db").exists()
    with Database(folder / "errata.db") as db:
        if is_new:
            _populate(db)
        yield db


def _populate(db: Database) -> None:
    with db.write() as tx:
        for person, role in ((ANN, Role.END_USER), (BOB, Role.ADMIN)):
            people.add_account(tx, person, name=person, role=role, password_hash="$", now=NOW)
        served = serve()
        releases.add_release(
            tx,
            base=served.name,
            revision=served.revision,
            quantisation=served.quantisation,
            template_hash=served.template_hash,
            system_message=served.system_message,
            sampling=served.sampling,
            now=NOW,
        )
        releases.deploy(tx, open_audit(db), 0, actor=None, reason="the bare base", now=NOW)
        conversations.start_conversation(tx, ConversationId("c1"), person_id=ANN, channel=Channel.WEB, title="Hi", now=NOW)
        conversations.record_consent(tx, ConversationId("c1"), given=True, wording="v1", now=NOW)


def say(question: str) -> LoggedReply:
    """Return a wrong reply to a question."""
    return make_logged_reply(question, "I do not know.")


def approve(db: Database, key: str, question: str, reply: str, conversation: str = "c1") -> CorrectionId:
    """Log a turn, correct its reply as one person and approve that as another."""
    with db.write() as tx:
        conversations.log_turn(tx, TurnId(f"t-{key}"), conversation_id=ConversationId(conversation), logged=say(question), now=NOW)
        added = corrections.add_correction(tx, CorrectionId(key), turn_id=TurnId(f"t-{key}"), corrected_reply=reply, author=ANN, now=NOW)
        corrections.review(tx, added.id, Decision.APPROVED, reviewer=BOB, now=NOW)
    return added.id


def approve_all(db: Database) -> None:
    for number, (question, reply) in enumerate(QUESTIONS):
        approve(db, f"k{number}", question, reply)


def ask(db: Database, kind: RequestKind, now: datetime = NOW) -> int:
    with db.write() as tx:
        return requests.add_request(tx, kind, person_id=BOB, reason="", now=now).id


def tick_until(supervisor: Supervisor, is_there: Callable[[], bool], now: datetime = NOW) -> None:
    """Tick until a condition holds; fails after a deadline."""
    deadline, pause = monotonic() + _DEADLINE_S, Event()
    while not is_there():
        assert monotonic() < deadline, "it did not come about in time"
        supervisor.tick(now)
        now += timedelta(milliseconds=1)
        pause.wait(0.01)


def last_run(db: Database) -> Run:
    return runs.list_runs(db.read(), limit=1)[0]


def has_ended(db: Database) -> bool:
    found = runs.list_runs(db.read(), limit=1)
    return bool(found) and found[0].finished_at is not None


def die_at(point: str) -> None:
    """Have this process killed before or after a function is called: "module:name:before", or a method as "module:Class.name:after"."""
    module, path, when = point.split(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for one in owners:
        owner = getattr(owner, one)
    real = getattr(owner, name)

    def fatal(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, fatal)


def main(arguments: Mapping[int, str]) -> None:
    folder, mode, point = Path(arguments[1]), arguments[2], arguments[3]
    with open_world(folder) as db:
        supervisor = make_supervisor(db, mode)
        if point:
            die_at(point)
        tick_until(supervisor, lambda: False if not point else has_ended(db))


if __name__ == "__main__":
    main(dict(enumerate(sys.argv)))
