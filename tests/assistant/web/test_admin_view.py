import re
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from assistant.web.admin_view import read_progress, render_audit, render_progress
from feedback_db.api_keys import ApiKey, Scope
from feedback_db.audit import AuditRow
from feedback_db.records import ApiKeyId, Person, PersonId, PersonKind, Role
from feedback_db.training_records import Run, RunEvent, RunId, RunState, SnapshotId

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RUN = Run(
    id=RunId("r1"),
    snapshot_id=SnapshotId("s1"),
    recipe="{}",
    seed=1,
    state=RunState.RUNNING,
    attempt=1,
    pid=None,
    process_started_at=None,
    requested_by=PersonId("ada"),
    reason="",
    error=None,
    created_at=NOW,
    started_at=NOW,
    finished_at=None,
)


def trained(step: int, loss: float) -> RunEvent:
    details = {"steps": 100, "loss": loss, "eta_s": 74.53}
    return RunEvent(number=step, happened_at=NOW, phase="training", step=step, details=details)


def test_progress_is_told_in_round_numbers() -> None:
    assert read_progress(RUN, [trained(25, 1.03704)]).sentence == "training, step 25 of 100, loss 1.037, about 75 s left"


def test_the_loss_curve_does_not_follow_every_single_step() -> None:
    shown = render_progress(read_progress(RUN, [trained(step, float(step % 2)) for step in range(1, 61)]))
    found = re.search(r'points="([^"]+)"', shown)
    assert found is not None
    heights = [float(point.split(",")[1]) for point in found[1].split()]
    assert len(heights) == 60
    assert all(abs(one - other) < 5 for one, other in pairwise(heights[20:])), "0 and 100 where each step was drawn"


def somebody(person_id: str, name: str, *, is_erased: bool = False) -> Person:
    kind = PersonKind.ACCOUNT if name or is_erased else PersonKind.VISITOR
    erased_at = NOW if is_erased else None
    return Person(id=PersonId(person_id), kind=kind, name=name, role=Role.END_USER, created_at=NOW, disabled_at=None, erased_at=erased_at)


PEOPLE = [somebody("a" * 32, "Ada <b>"), somebody("b" * 32, "Bob"), somebody("c" * 32, ""), somebody("d" * 32, "", is_erased=True)]

KEY = ApiKey(
    id=ApiKeyId("1" * 32),
    name="shop",
    hint="wxyz",
    scopes=frozenset({Scope.CHAT}),
    made_by=PersonId("b" * 32),
    made_at=NOW,
    used_at=None,
    revoked_at=None,
)


@pytest.mark.parametrize(
    ("actor", "action", "subject", "details", "told"),
    [
        ("a", "set_role", "b" * 32, {"role": "end_user"}, ["Ada &lt;b&gt;", "set role: end user", "Bob"]),
        ("a", "disable", "b" * 32, {"role": ""}, ["Ada &lt;b&gt;", "disable", "Bob"]),
        (None, "create_user", "d" * 32, {"role": "admin"}, ["Errata", "create user: admin", "somebody erased"]),
        ("d", "sign_in", "d" * 32, {}, ["somebody erased", "sign in", "somebody erased"]),
        ("b", "review", "0123456789abcdef" * 2, {"decision": "approved"}, ["Bob", "review: approved", "correction 01234567…"]),
        ("c", "erase", "e" * 32, {"turns": 2, "ratings": 0}, ["a visitor", "erase: turns 2", "conversation eeeeeeee…"]),
        ("a", "deploy", "release 3", {"deployment": 4}, ["Ada &lt;b&gt;", "deploy: deployment 4", "release 3"]),
        (
            None,
            "retire_example",
            "f" * 32,
            {"superseded_by": "9" * 32},
            ["Errata", "retire example: superseded by 99999999…", "example ffffffff…"],
        ),
        ("e", "back_up", "database", {}, ["somebody", "back up", "database"]),
        ("b", "make_key", "1" * 32, {"name": "shop", "scopes": "chat"}, ["Bob", "make key: name shop, scopes chat", "key shop"]),
        ("b", "revoke_key", "2" * 32, {}, ["Bob", "revoke key", "key 22222222…"]),
    ],
)
def test_the_audit_speaks_of_people_by_name_and_of_the_rest_in_words(
    actor: str | None, action: str, subject: str, details: dict[str, str | int | bool | None], told: list[str]
) -> None:
    actor_id = None if actor is None else PersonId(actor * 32)
    row = AuditRow(number=1, happened_at=NOW, actor_id=actor_id, action=action, subject=subject, details=details)
    shown = render_audit([row], None, PEOPLE, [KEY])
    assert re.findall(r"<td[^>]*>([^<]*)</td>", shown)[2:] == told
