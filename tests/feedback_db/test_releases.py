import sqlite3
from datetime import datetime

import pytest

from feedback_db import conversations, releases
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database
from feedback_db.errors import EmptyTextError, NotFoundError, NothingToRollBackError, ReleaseExistsError
from feedback_db.records import ConversationId, PersonId, TurnId
from feedback_db.training_records import Deployment, DeploymentId, Release, RunId, Swap, SwapOutcome
from tests.auditing import open_audit


def add_release(db: Database, now: datetime, run: RunId | None = None, adapter_hash: str | None = None) -> Release:
    with db.write() as tx:
        return releases.add_release(
            tx,
            base="bundled",
            revision="r0",
            quantisation="nf4",
            template_hash="t0",
            system_message=None,
            sampling={"temperature": 0.5},
            run_id=run,
            adapter_hash=adapter_hash,
            now=now,
        )


def deploy(db: Database, version: int, now: datetime, actor: PersonId | None = None, reason: str = "better") -> Deployment:
    with db.write() as tx:
        return releases.deploy(tx, open_audit(db), version, actor=actor, reason=reason, now=now)


def roll_back(db: Database, now: datetime) -> Deployment:
    with db.write() as tx:
        return releases.roll_back(tx, open_audit(db), actor=None, reason="worse", now=now)


def record_swap(db: Database, deployment: DeploymentId, version: int, now: datetime, error: str | None = None) -> Swap:
    with db.write() as tx:
        return releases.record_swap(tx, deployment, version=version, error=error, duration_ms=3.5, now=now)


def find_live_version(db: Database) -> int:
    live = releases.find_live(db.read())
    assert live is not None
    assert live[0].version == live[1].version
    return live[1].version


def change(db: Database, sql: str) -> None:
    with db.write() as tx:
        tx.execute(sql)


def test_releases_are_numbered_from_the_bare_base_on(db: Database, adapted: Release, now: datetime) -> None:
    another = add_release(db, now)
    assert [found.version for found in releases.list_releases(db.read())] == [2, 1, 0]
    bare = releases.find_release(db.read(), 0)
    assert (bare.system_message, bare.sampling, bare.run_id, bare.adapter_hash) == ("You are Ada.", {"temperature": 0.0}, None, None)
    assert (adapted.run_id, adapted.adapter_hash) == ("r1", "h1")
    assert (another.base, another.revision, another.quantisation, another.template_hash) == ("bundled", "r0", "nf4", "t0")
    assert (another.system_message, another.created_at) == (None, now)


def test_an_unknown_release_is_not_found(db: Database) -> None:
    with pytest.raises(NotFoundError, match="a release '9'"):
        releases.find_release(db.read(), 9)


def test_a_run_has_one_release(db: Database, adapted: Release, now: datetime) -> None:
    with pytest.raises(ReleaseExistsError, match="Found that 'r1' has one"):
        add_release(db, now, adapted.run_id, "h2")
    with pytest.raises(NotFoundError, match="a run 'nowhere'"):
        add_release(db, now, RunId("nowhere"), "h2")


def test_an_adapter_comes_of_a_run_and_a_run_gives_one(db: Database, bare_base: Release, run: RunId, now: datetime) -> None:
    for run_id, adapter_hash in ((run, None), (None, "h1")):
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            add_release(db, now, run_id, adapter_hash)


def test_version_0_has_no_adapter(db: Database, run: RunId) -> None:
    insert = """
        INSERT INTO releases (version, base, revision, quantisation, template_hash, sampling, run_id, adapter_hash, created_at)
        VALUES (:version, 'b', 'r', 'q', 't', '{}', 'r1', 'h', '2026')
    """
    with db.write() as tx:
        tx.execute("DROP TRIGGER releases_is_not_deleted")
        tx.execute("DELETE FROM turns")
        tx.execute("DELETE FROM releases")
    for version, match in ((0, "version_0_is_the_bare_base"), (-1, "CHECK")):
        with pytest.raises(sqlite3.IntegrityError, match=match), db.write() as tx:
            tx.execute(insert, {"version": version})


@pytest.mark.parametrize("sql", ["UPDATE releases SET base = 'x'", "DELETE FROM releases"])
def test_a_release_is_immutable(db: Database, bare_base: Release, sql: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="a release is immutable"):
        change(db, sql)


def test_a_turn_names_a_release_that_there_is(db: Database, conversation: ConversationId, logged: LoggedReply, now: datetime) -> None:
    change(db, "INSERT INTO releases VALUES (7, 'b', 'r', 'q', 't', NULL, '{}', NULL, NULL, '2026')")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), db.write() as tx:
        tx.execute(
            """
            INSERT INTO turns (id, conversation_id, position, user_message, reply, state, version, sampling, prompt_tokens, reply_tokens,
                               latency_ms, created_at)
            VALUES ('t', 'c1', 0, 'q', 'a', 'complete', 6, '{}', 1, 1, 1, '2026')
            """
        )
    with db.write() as tx:
        assert conversations.log_turn(tx, TurnId("t"), conversation_id=conversation, logged=logged, now=now).version == 0


def test_nothing_is_live_before_the_first_deployment(db: Database, bare_base: Release) -> None:
    assert releases.find_live(db.read()) is None


def test_the_newest_deployment_is_live(db: Database, adapted: Release, bob: PersonId, now: datetime) -> None:
    first, second = deploy(db, 0, now), deploy(db, 1, now, bob, "it learned all")
    assert releases.find_live(db.read()) == (second, adapted)
    assert (second.version, second.actor_id, second.reason, second.undoes, second.created_at) == (1, bob, "it learned all", None, now)
    assert releases.list_deployments(db.read()) == [second, first]
    assert releases.list_deployments(db.read(), limit=1) == [second]


def test_only_a_release_is_deployed_and_with_a_reason(db: Database, bare_base: Release, now: datetime) -> None:
    with pytest.raises(NotFoundError, match="a release '9'"):
        deploy(db, 9, now)
    with pytest.raises(EmptyTextError, match="Expected a reason"):
        deploy(db, 0, now, reason="  ")


def test_a_rollback_brings_back_what_was_live_before(db: Database, adapted: Release, now: datetime) -> None:
    deploy(db, 0, now)
    second = deploy(db, 1, now)
    rollback = roll_back(db, now)
    assert (rollback.version, rollback.undoes, rollback.reason) == (0, second.id, "worse")
    assert find_live_version(db) == 0


def test_rolling_back_again_goes_further_back(db: Database, adapted: Release, now: datetime) -> None:
    add_release(db, now)
    for version in (0, 1, 2):
        deploy(db, version, now)
    assert [roll_back(db, now).version for _ in range(2)] == [1, 0]
    with pytest.raises(NothingToRollBackError, match="Deploy a release instead"):
        roll_back(db, now)
    assert find_live_version(db) == 0


def test_after_a_rollback_the_next_deployment_can_be_undone_too(db: Database, adapted: Release, now: datetime) -> None:
    add_release(db, now)
    deploy(db, 0, now)
    deploy(db, 1, now)
    roll_back(db, now)
    deploy(db, 2, now)
    assert roll_back(db, now).version == 0, "version 1 was undone before"


@pytest.mark.parametrize("count", [0, 1])
def test_there_is_nothing_to_roll_back_to_at_the_first(db: Database, bare_base: Release, now: datetime, count: int) -> None:
    for _ in range(count):
        deploy(db, 0, now)
    with pytest.raises(NothingToRollBackError, match="Expected an earlier deployment"):
        roll_back(db, now)


def test_a_rollback_needs_a_reason(db: Database, bare_base: Release, now: datetime) -> None:
    for _ in range(2):
        deploy(db, 0, now)
    with pytest.raises(EmptyTextError), db.write() as tx:
        releases.roll_back(tx, open_audit(db), actor=None, reason="", now=now)


def test_a_deployment_is_undone_once_and_never_by_itself(db: Database, adapted: Release, now: datetime) -> None:
    for version in (0, 1):
        deploy(db, version, now)
    roll_back(db, now)
    insert = "INSERT INTO deployments (version, reason, undoes, created_at) VALUES (0, 'x', :undoes, '2026')"
    for undoes, match in ((2, "UNIQUE"), (4, "CHECK")):
        with pytest.raises(sqlite3.IntegrityError, match=match), db.write() as tx:
            tx.execute(insert, {"undoes": undoes})


def test_a_swap_is_the_fact_beside_the_wish(db: Database, adapted: Release, now: datetime) -> None:
    assert releases.find_served(db.read()) is None
    first, second = deploy(db, 0, now), deploy(db, 1, now)
    served = record_swap(db, first.id, 0, now)
    refused = record_swap(db, second.id, 1, now, "the adapter is truncated")
    assert (served.outcome, served.error, served.duration_ms, served.happened_at) == (SwapOutcome.SERVED, None, 3.5, now)
    assert (refused.outcome, refused.error) == (SwapOutcome.REFUSED, "the adapter is truncated")
    assert releases.find_served(db.read()) == served, "a refused release leaves the old one serving"
    assert releases.list_swaps(db.read()) == [refused, served]


def test_a_swap_needs_a_deployment_and_a_release(db: Database, bare_base: Release, now: datetime) -> None:
    deployed = deploy(db, 0, now)
    for deployment, version in ((DeploymentId(9), 0), (deployed.id, 9)):
        with pytest.raises(NotFoundError, match=f"release {version} and a deployment '{deployment}'"):
            record_swap(db, deployment, version, now)


def test_a_refused_swap_says_why_and_only_a_refused_one(db: Database, bare_base: Release, now: datetime) -> None:
    deploy(db, 0, now)
    insert = (
        "INSERT INTO swaps (deployment_id, version, outcome, error, duration_ms, happened_at) VALUES (1, 0, :outcome, :error, 1, '2026')"
    )
    for outcome, error in (("refused", None), ("refused", " "), ("served", "boom"), ("wished", None)):
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"), db.write() as tx:
            tx.execute(insert, {"outcome": outcome, "error": error})


@pytest.mark.parametrize("table", ["deployments", "swaps"])
@pytest.mark.parametrize("sql", ["UPDATE {table} SET version = 0", "DELETE FROM {table}"])
def test_what_was_wished_and_what_was_done_are_append_only(db: Database, bare_base: Release, now: datetime, table: str, sql: str) -> None:
    record_swap(db, deploy(db, 0, now).id, 0, now)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        change(db, sql.format(table=table))
