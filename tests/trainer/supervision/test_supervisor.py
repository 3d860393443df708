import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import psutil
import pytest

from feedback_db import conversations, erasure, examples, golden, people, releases, requests, runs, snapshots, unwatched
from feedback_db.database import Database
from feedback_db.errors import NotFoundError, NothingToRollBackError, ReasonNeededError
from feedback_db.forecast import read_forecast
from feedback_db.recipe import Recipe, read_recipe
from feedback_db.records import Channel, ConversationId, CorrectionId, PersonId, Role, TurnId
from feedback_db.reports import VerdictKind
from feedback_db.training_records import ExampleId, RequestId, RequestKind, RunState
from tests.auditing import open_audit
from tests.trainer.supervision.supervising import (
    ANN,
    BOB,
    NOW,
    QUESTIONS,
    approve,
    approve_all,
    ask,
    has_ended,
    last_run,
    make_supervisor,
    open_world,
    say,
    serve,
    tick_until,
)
from trainer.planning import make_plan
from trainer.run_directory import RunDirectory
from trainer.schedule import SchedulePolicy
from trainer.supervision.forgetting import forget
from trainer.supervision.process_lock import take_lock
from trainer.supervision.supervisor import Supervisor

_PROGRAM = Path(__file__).with_name("supervising.py")
_ROOT = Path(__file__).parents[3]
_EVERY_MINUTE = SchedulePolicy(cron="* * * * *", least_examples=2, cool_down=timedelta(hours=1))


@pytest.fixture(autouse=True)
def bury() -> Iterator[None]:
    """End the trainers that a test has left, so that none outlives it."""
    yield
    left = psutil.Process().children(recursive=True)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=30)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
def start(db: Database) -> Iterator[Callable[..., Supervisor]]:
    """Make a supervisor with a fake trainer of a mode."""
    made: list[Supervisor] = []

    def make(mode: str = "learn", **changed: object) -> Supervisor:
        made.append(make_supervisor(db, mode, **changed))
        return made[-1]

    yield make
    left = psutil.Process().children(recursive=True)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=30)
    for supervisor in made:
        supervisor.stop()


def train(db: Database, supervisor: Supervisor, now: datetime = NOW) -> None:
    ask(db, RequestKind.TRAIN)
    count = len(runs.list_runs(db.read()))
    tick_until(supervisor, lambda: len(runs.list_runs(db.read())) > count and has_ended(db), now)


def wait_for_trainer(db: Database, supervisor: Supervisor, now: datetime = NOW) -> psutil.Process:
    """Tick until the trainer is at work."""

    def is_at_work() -> bool:
        run = runs.find_active_run(db.read())
        return run is not None and any(event.phase == "starting" for event in runs.list_events(db.read(), run.id))

    tick_until(supervisor, is_at_work, now)
    return psutil.Process(last_run(db).pid)


def read_starts(db: Database) -> list[str]:
    return (db.path.parent / "runs" / "starts").read_text().split()


def outcome(db: Database, request: int) -> str | None:
    return requests.find_request(db.read(), RequestId(request)).outcome


def check_true_end(db: Database) -> None:
    """One run, one release, live; each example trained in it once; no two trainers at a time; the audit holds."""
    (run,) = runs.list_runs(db.read())
    assert run.state is RunState.SUCCEEDED
    assert [release.version for release in releases.list_releases(db.read())] == [1, 0]
    assert [deployment.version for deployment in releases.list_deployments(db.read())] == [1, 0]
    assert sorted(snapshots.list_content_hashes(db.read(), run.snapshot_id)) == ["k0", "k1"]
    folder = db.path.parent
    rows = RunDirectory(folder / "runs" / run.id).read_rows("train")
    assert len({(row.example_id, row.question) for row in rows}) == len(rows)
    assert {row.example_id for row in rows} == {"k0", "k1"}
    assert not examples.list_untrained(db.read())
    assert not (folder / "runs" / "overlaps").exists()
    assert open_audit(db).find_fault(db.read()) is None
    assert take_and_give(folder / "runs" / "trainer.lock")


def take_and_give(path: Path) -> bool:
    lock = take_lock(path)
    if lock is not None:
        os.close(lock)
    return lock is not None


def test_what_is_approved_is_learned_and_goes_live(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    train(db, start())
    check_true_end(db)
    report = runs.find_report(db.read(), last_run(db).id)
    assert report is not None
    assert report.verdict.kind is VerdictKind.PROMOTE
    assert [event.phase for event in runs.list_events(db.read(), last_run(db).id)] == ["starting", "training", "finished"]
    assert last_run(db).requested_by == BOB


def test_the_run_directory_carries_what_the_run_is(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start()
    train(db, supervisor)
    directory = RunDirectory(db.path.parent / "runs" / last_run(db).id)
    spec = directory.read_spec()
    assert (spec.run_id, spec.snapshot_id, spec.revision) == (last_run(db).id, last_run(db).snapshot_id, "r0")
    assert not directory.incumbent.exists()
    approve(db, "k2", "what does a second key cost", "It costs $15.")
    train(db, supervisor, NOW + timedelta(hours=2))
    second = RunDirectory(db.path.parent / "runs" / last_run(db).id)
    assert (second.incumbent / "manifest.json").read_bytes() == (directory.adapter / "manifest.json").read_bytes()
    assert {row.example_id for row in second.read_rows("train")} == {"k0", "k1", "k2"}


def test_a_rejected_candidate_is_a_release_that_does_not_go_live(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start("reject")
    train(db, supervisor)
    assert last_run(db).state is RunState.REJECTED
    assert [release.version for release in releases.list_releases(db.read())] == [1, 0]
    live = releases.find_live(db.read())
    assert live is not None
    assert live[0].version == 0
    with pytest.raises(ReasonNeededError, match="the gate says 'rejected'"):
        supervisor.promote(1, actor=BOB, reason=" ", now=NOW)
    assert supervisor.promote(1, actor=BOB, reason="I have read the replies.", now=NOW).version == 1
    assert supervisor.roll_back(actor=BOB, reason="", now=NOW).version == 0
    with pytest.raises(NothingToRollBackError):
        supervisor.roll_back(actor=BOB, reason="", now=NOW)
    with pytest.raises(NotFoundError):
        supervisor.promote(9, actor=BOB, reason="", now=NOW)


def test_the_schedule_does_not_train_again_what_the_gate_has_rejected(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start("reject", schedule=_EVERY_MINUTE)
    train(db, supervisor)
    later = NOW + timedelta(hours=3)
    supervisor.tick(later)
    status = requests.read_status(db.read())
    assert status is not None
    assert "The last run was on exactly these examples" in " ".join(status.reasons)
    approve(db, "k2", "what does a second key cost", "It costs $15.")
    tick_until(supervisor, lambda: len(runs.list_runs(db.read())) == 2, later + timedelta(minutes=2))


def test_a_failed_trainer_fails_the_run_with_its_sentence(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    train(db, start("fail"))
    assert (last_run(db).state, last_run(db).error) == (RunState.FAILED, "The loss became infinite.")
    assert len(examples.list_untrained(db.read())) == 2


def test_a_trainer_that_is_killed_again_and_again_fails_the_run(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    train(db, start("die"))
    assert (last_run(db).state, last_run(db).attempt) == (RunState.FAILED, 3)
    assert "killed 3 times without a word. Memory may have run out" in str(last_run(db).error)
    assert len(read_starts(db)) == 3


def test_a_killed_trainer_is_resumed_as_the_same_run(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    supervisor = start("wait")
    wait_for_trainer(db, supervisor).kill()
    (db.path.parent / "runs" / "go").touch()
    tick_until(supervisor, lambda: has_ended(db))
    assert last_run(db).attempt == 2
    check_true_end(db)


def test_a_trainer_that_somebody_else_ends_is_resumed(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    supervisor = start("wait")
    wait_for_trainer(db, supervisor).terminate()
    tick_until(supervisor, lambda: last_run(db).attempt == 2)
    (db.path.parent / "runs" / "go").touch()
    tick_until(supervisor, lambda: has_ended(db))
    check_true_end(db)


def test_a_trainer_that_is_ended_with_its_host_is_resumed_by_the_next_supervisor(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    first = start("wait")
    trainer = wait_for_trainer(db, first)
    assert first.end_trainer(wait_s=30)
    first.stop()
    assert not trainer.is_running()
    assert last_run(db).state is RunState.RUNNING, "it is only put off"
    second = start("wait")
    tick_until(second, lambda: last_run(db).attempt == 2)
    (db.path.parent / "runs" / "go").touch()
    tick_until(second, lambda: has_ended(db))
    check_true_end(db)


def test_without_a_trainer_there_is_none_to_end(db: Database, start: Callable[..., Supervisor]) -> None:
    assert start("wait").end_trainer(wait_s=0)


def test_a_cancelled_run_ends_and_makes_no_release(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    supervisor = start("wait")
    wait_for_trainer(db, supervisor)
    asked = ask(db, RequestKind.CANCEL)
    tick_until(supervisor, lambda: has_ended(db))
    assert last_run(db).state is RunState.CANCELLED
    assert "has ended: cancelled" in str(outcome(db, asked))
    assert len(releases.list_releases(db.read())) == 1
    assert runs.list_events(db.read(), last_run(db).id)[-1].phase == "stopped"


def test_what_was_cancelled_does_not_go_live_though_it_had_just_finished(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    supervisor = start("learn")
    supervisor.tick(NOW)
    psutil.wait_procs([psutil.Process(last_run(db).pid)], timeout=30)
    ask(db, RequestKind.CANCEL)
    tick_until(supervisor, lambda: has_ended(db))
    assert last_run(db).state is RunState.CANCELLED


def test_a_restarted_supervisor_adopts_the_trainer(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    first = start("wait")
    trainer = wait_for_trainer(db, first)
    first.stop()
    second = start("wait")
    second.tick(NOW)
    second.tick(NOW)
    assert (last_run(db).state, last_run(db).attempt, last_run(db).pid) == (RunState.RUNNING, 1, trainer.pid)
    (db.path.parent / "runs" / "go").touch()
    tick_until(second, lambda: has_ended(db))
    check_true_end(db)
    assert len(read_starts(db)) == 1


def test_a_second_request_waits_for_the_run_under_way(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    supervisor = start("wait")
    wait_for_trainer(db, supervisor)
    again = ask(db, RequestKind.TRAIN)
    supervisor.tick(NOW)
    assert outcome(db, again) is None
    status = requests.read_status(db.read())
    assert status is not None
    assert status.reasons[0] == "A run is under way."


def test_while_children_of_a_dead_trainer_hold_the_lock_nothing_starts(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    supervisor = start()
    lock = take_lock(db.path.parent / "runs" / "trainer.lock")
    assert lock is not None
    supervisor.tick(NOW)
    assert runs.list_runs(db.read()) == []
    os.close(lock)
    tick_until(supervisor, lambda: has_ended(db))
    check_true_end(db)


def test_requests_that_cannot_be_met_are_answered(db: Database, start: Callable[..., Supervisor]) -> None:
    asked = [ask(db, kind) for kind in (RequestKind.TRAIN, RequestKind.CANCEL, RequestKind.DRY_RUN)]
    start().tick(NOW)
    told = [str(outcome(db, one)) for one in asked]
    assert told[0] == "No run was started: No approved example may be trained."
    assert told[1] == "No run is under way."
    assert told[2].startswith("No run would start: No approved example may be trained.")


def test_a_dry_run_tells_what_would_be_trained_and_trains_nothing(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    asked = ask(db, RequestKind.DRY_RUN)
    start().tick(NOW)
    assert "A run would start. It would train 2 of the approved examples in 12 rows" in str(outcome(db, asked))
    assert runs.list_runs(db.read()) == []


def test_a_dry_run_foresees_each_example_new_ones_first_and_how_long_it_takes(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start()
    train(db, supervisor)
    with db.write() as tx:
        first = next(one for one in runs.list_events(tx, last_run(db).id) if one.step is not None)
        assert first.step is not None
        later = replace(first, number=99, step=first.step + 10, happened_at=first.happened_at + timedelta(seconds=80))
        runs.append_events(tx, last_run(db).id, [later])
    approve(db, "k2", "where are you", "In Leeds.")
    asked = ask(db, RequestKind.DRY_RUN)
    supervisor.tick(NOW)
    forecast = read_forecast(requests.find_request(db.read(), RequestId(asked)).forecast or "")
    assert [(one.id, one.wordings, one.rows, one.is_new) for one in forecast.examples] == [
        ("k2", 1, 6, True),
        ("k0", 1, 6, False),
        ("k1", 1, 6, False),
    ]
    assert forecast.steps == 80  # 18 rows and the few questions that there are to rehearse, by 8, in 20 epochs
    assert forecast.seconds == pytest.approx(forecast.steps * 8, abs=60)
    assert forecast.tokens > 18 * 4


def test_a_run_knows_how_many_questions_are_no_longer_watched(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    with db.write() as tx:
        unwatched.stop_watching(tx, "a key", correction_id=CorrectionId("k0"), person_id=BOB, now=NOW)
    train(db, start())
    assert RunDirectory(db.path.parent / "runs" / last_run(db).id).read_spec().unwatched_count == 1


def test_a_run_follows_the_recipe_that_it_was_asked_with_and_another_request_gets_its_own(
    db: Database, start: Callable[..., Supervisor]
) -> None:
    approve_all(db)
    supervisor = start()
    with db.write() as tx:
        asked = [
            requests.add_request(tx, RequestKind.TRAIN, person_id=BOB, reason="", recipe=recipe, now=NOW)
            for recipe in (Recipe(rank=8), Recipe(rank=8), None)
        ]
    tick_until(supervisor, lambda: len(runs.list_runs(db.read())) == 2 and has_ended(db))
    second, first = runs.list_runs(db.read())
    assert [read_recipe(run.recipe).rank for run in (first, second)] == [8, 16]
    assert [first.id in str(outcome(db, request.id)) for request in asked] == [True, True, False]


def test_another_schedule_is_followed_at_once(db: Database, start: Callable[..., Supervisor]) -> None:
    supervisor = start(schedule=SchedulePolicy(cron="0 2 * * *"))
    supervisor.tick(NOW)
    served = serve(system_message="You are Bea.")
    plan = make_plan([], system_message="You are Bea.")
    supervisor.reconfigure(plan, served=served, schedule=SchedulePolicy(cron="0 20 * * *"), now=NOW)
    supervisor.tick(NOW)
    status = requests.read_status(db.read())
    assert status is not None
    assert status.next_look_at == NOW.replace(hour=20)
    approve_all(db)
    train(db, supervisor)
    spec = RunDirectory(db.path.parent / "runs" / last_run(db).id).read_spec()
    assert spec.system_message == "You are Bea."


def test_examples_longer_than_the_context_are_left_out_and_told(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    approve(db, "long", "tell me all", "word " * 600)
    dry, asked = ask(db, RequestKind.DRY_RUN), ask(db, RequestKind.TRAIN)
    supervisor = start()
    tick_until(supervisor, lambda: has_ended(db))
    assert "left out: long" in str(outcome(db, dry))
    assert "was started" in str(outcome(db, asked))
    assert sorted(snapshots.list_content_hashes(db.read(), last_run(db).snapshot_id)) == ["k0", "k1"]


def test_where_everything_is_too_long_the_request_is_answered(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    asked = ask(db, RequestKind.TRAIN)
    start(served=serve(context_tokens=20)).tick(NOW)
    assert outcome(db, asked) == "No run was started: Every approved example is longer than the base's context."
    start(served=serve(context_tokens=20)).tick(NOW + timedelta(minutes=1))
    status = requests.read_status(db.read())
    assert status is not None
    assert status.reasons[0] == "Every approved example is longer than the base's context."


def test_a_look_starts_a_run_by_itself_also_one_that_fell_into_a_pause(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start(schedule=SchedulePolicy(cron="0 2 * * *", least_examples=2))
    supervisor.tick(NOW)
    status = requests.read_status(db.read())
    assert status is not None
    assert status.reasons == ("2 examples were approved: enough.", "The next look is at 02:00.")
    tick_until(supervisor, lambda: has_ended(db), NOW + timedelta(days=1))
    assert (last_run(db).requested_by, last_run(db).reason) == (None, "2 examples were approved since the live release.")


def test_a_newer_correction_retires_those_that_it_contradicts(db: Database, start: Callable[..., Supervisor]) -> None:
    approve(db, "old1", "how long can I return something", "You can return products within 14 days.")
    approve(db, "old2", "what is your return window", "You can return products within 14 days.")
    supervisor = start()
    supervisor.tick(NOW)
    approve(db, "new", "until when may I send it back", "You can return products within 30 days.")
    supervisor.tick(NOW + timedelta(minutes=1))
    assert [example.id for example in examples.list_examples(db.read())] == ["new"]
    assert examples.find_example(db.read(), ExampleId("old1")).superseded_by == "new"


def test_without_consent_nothing_is_trained(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    with db.write() as tx:
        conversations.record_consent(tx, ConversationId("c1"), given=False, wording="v1", now=NOW)
    asked = ask(db, RequestKind.TRAIN)
    start().tick(NOW)
    assert outcome(db, asked) == "No run was started: No approved example may be trained."


def test_a_queued_run_whose_example_lost_its_consent_fails_and_is_never_trained(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    supervise_until_death(db, "trainer.supervision.supervisor:Supervisor._order:after")
    with open_world(db.path.parent) as reopened:
        with reopened.write() as tx:
            conversations.record_consent(tx, ConversationId("c1"), given=False, wording="v1", now=NOW)
        make_supervisor(reopened).tick(NOW)
        assert last_run(reopened).state is RunState.FAILED
        assert "may no longer be trained" in str(last_run(reopened).error)
    assert not (db.path.parent / "runs" / "starts").exists()


def test_a_resumed_run_whose_example_lost_its_consent_fails_and_is_not_trained_further(
    db: Database, start: Callable[..., Supervisor]
) -> None:
    approve_all(db)
    supervisor = start("wait")
    ask(db, RequestKind.TRAIN)
    process = wait_for_trainer(db, supervisor)
    with db.write() as tx:
        conversations.record_consent(tx, ConversationId("c1"), given=False, wording="v1", now=NOW)
    process.kill()
    tick_until(supervisor, lambda: has_ended(db))
    assert last_run(db).state is RunState.FAILED
    assert "may no longer be trained" in str(last_run(db).error)
    assert len(read_starts(db)) == 1


def test_what_has_just_finished_does_not_go_live_if_its_example_was_erased(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start()
    ask(db, RequestKind.TRAIN)
    supervisor.tick(NOW)
    psutil.Process(last_run(db).pid).wait(30)
    with db.write() as tx:
        erasure.erase_conversation(tx, ConversationId("c1"), now=NOW)
    tick_until(supervisor, lambda: has_ended(db))
    assert last_run(db).state is RunState.FAILED
    assert len(releases.list_releases(db.read())) == 1


def test_a_run_under_way_that_learns_from_what_is_erased_is_ended_and_its_folder_emptied(
    db: Database, start: Callable[..., Supervisor]
) -> None:
    approve(db, "k0", *QUESTIONS[0])
    supervisor = start("wait")
    ask(db, RequestKind.TRAIN)
    wait_for_trainer(db, supervisor)
    with db.write() as tx:
        erasure.erase_conversation(tx, ConversationId("c1"), now=NOW)
    tick_until(supervisor, lambda: not erasure.list_uncleaned(db.read()))
    assert last_run(db).state is RunState.FAILED
    left = [path for path in db.path.parent.rglob("*") if path.is_file() and b"warranty" in path.read_bytes()]
    assert left == []


def test_an_erasure_ends_the_run_that_learns_from_it_and_leaves_no_word_in_any_file(db: Database, start: Callable[..., Supervisor]) -> None:
    approve(db, "k0", *QUESTIONS[0])
    supervisor, folder = start("wait"), db.path.parent
    ask(db, RequestKind.TRAIN)
    wait_for_trainer(db, supervisor)
    found = forget(db, open_audit(db), folder / "runs", "c1", is_person=False, actor=None, wait_s=30, now=NOW)
    assert (last_run(db).state, found.run_to_end, found.emptied) == (RunState.FAILED, None, (last_run(db).id,))
    assert [path for path in folder.rglob("*") if path.is_file() and b"warranty" in path.read_bytes()] == []
    assert erasure.list_uncleaned(db.read()) == []


def test_an_erasure_leaves_a_run_alone_that_learns_from_something_else(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    with db.write() as tx:
        conversations.start_conversation(tx, ConversationId("c2"), person_id=ANN, channel=Channel.WEB, title="Hi", now=NOW)
    supervisor, folder = start("wait"), db.path.parent
    ask(db, RequestKind.TRAIN)
    wait_for_trainer(db, supervisor)
    found = forget(db, open_audit(db), folder / "runs", "c2", is_person=False, actor=None, wait_s=0, now=NOW)
    assert (found.run_to_end, found.emptied) == (None, ())
    (folder / "runs" / "go").touch()
    tick_until(supervisor, lambda: has_ended(db))
    assert last_run(db).state is RunState.SUCCEEDED
    assert erasure.list_uncleaned(db.read()) == []


def test_what_was_asked_in_a_turn_that_is_erased_during_the_run_is_not_in_its_report(
    db: Database, start: Callable[..., Supervisor]
) -> None:
    approve_all(db)
    for number in range(8):  # some of them watch what else changes
        with db.write() as tx:
            conversation = ConversationId(f"other{number}")
            conversations.start_conversation(tx, conversation, person_id=ANN, channel=Channel.WEB, title="Hi", now=NOW)
            conversations.record_consent(tx, conversation, given=True, wording="v1", now=NOW)
            said = say(f"secret number{number}")
            conversations.log_turn(tx, TurnId(f"other{number}"), conversation_id=conversation, logged=said, now=NOW)
    supervisor, folder = start("wait"), db.path.parent
    ask(db, RequestKind.TRAIN)
    wait_for_trainer(db, supervisor)
    assert b"secret" in (folder / "runs" / last_run(db).id / "guard.jsonl").read_bytes()
    with db.write() as tx:
        for number in range(8):
            erasure.erase_conversation(tx, ConversationId(f"other{number}"), now=NOW)
    (folder / "runs" / "go").touch()
    tick_until(supervisor, lambda: not erasure.list_uncleaned(db.read()))
    assert last_run(db).state is RunState.SUCCEEDED
    assert [path for path in folder.rglob("*") if path.is_file() and b"secret" in path.read_bytes()] == []


def test_one_part_of_a_tick_that_fails_does_not_keep_the_others_from_their_work(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)

    def count(_: object) -> int:
        raise ValueError("a tokenizer that cannot")

    supervisor = start(served=serve(count_tokens=count))
    asked = ask(db, RequestKind.CANCEL)
    with pytest.raises(ValueError, match="a tokenizer that cannot"):
        supervisor.tick(NOW)
    assert outcome(db, asked) == "No run is under way."


def test_after_somebody_went_back_the_next_candidate_needs_a_person(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start()
    train(db, supervisor)
    supervisor.roll_back(actor=BOB, reason="It is rude.", now=NOW)
    approve(db, "k2", "what does a second key cost", "It costs $15.")
    train(db, supervisor, NOW + timedelta(hours=2))
    report = runs.find_report(db.read(), last_run(db).id)
    assert report is not None
    assert report.verdict.kind is VerdictKind.NEEDS_PERSON
    assert report.verdict.reasons[0] == "Somebody went back to release 0; until somebody promotes one, none goes live by itself."


def test_a_persons_rollback_stands_whatever_the_machine_deploys_after_it(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start()
    train(db, supervisor)
    supervisor.roll_back(actor=BOB, reason="It is rude.", now=NOW)
    with db.write() as tx:
        releases.deploy(tx, open_audit(db), 0, actor=None, reason="The base as the settings name it.", now=NOW)
    approve(db, "k2", "what does a second key cost", "It costs $15.")
    train(db, supervisor, NOW + timedelta(hours=2))
    report = runs.find_report(db.read(), last_run(db).id)
    assert report is not None
    assert report.verdict.kind is VerdictKind.NEEDS_PERSON


def test_what_the_engine_refused_is_trained_again_by_the_schedule(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start(schedule=_EVERY_MINUTE)
    train(db, supervisor)
    live = releases.find_live(db.read())
    assert live is not None
    with db.write() as tx:
        releases.record_swap(tx, live[0].id, version=1, error="Found damage.", duration_ms=0.0, now=NOW)
        releases.roll_back(tx, open_audit(db), actor=None, reason="The engine refused release 1.", now=NOW)
    supervisor.tick(NOW + timedelta(hours=1))
    tick_until(supervisor, lambda: len(runs.list_runs(db.read())) == 2, NOW + timedelta(hours=3))


def test_an_erased_golden_item_is_not_in_the_report_of_the_run_under_way(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    with db.write() as tx:
        people.add_account(tx, PersonId("eve"), name="eve", role=Role.REVIEWER, password_hash="$", now=NOW)
        golden.add_golden(tx, question="what is the secret word", reply="It is 'hush'.", added_by=PersonId("eve"), now=NOW)
    supervisor = start("wait")
    ask(db, RequestKind.TRAIN)
    wait_for_trainer(db, supervisor)
    with db.write() as tx:
        erasure.erase_person(tx, PersonId("eve"), now=NOW)
    (db.path.parent / "runs" / "go").touch()
    tick_until(supervisor, lambda: has_ended(db))
    report = runs.find_report(db.read(), last_run(db).id)
    assert report is not None
    assert "secret" not in report.report


def test_a_status_is_written_once_where_the_clock_is_put_back(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start(schedule=SchedulePolicy(cron="30 2 * * *", zone="Europe/Berlin"))
    eve_of_the_change = datetime(2026, 10, 24, 12, tzinfo=UTC)
    supervisor.tick(eve_of_the_change)
    supervisor.tick(eve_of_the_change + timedelta(seconds=2))
    status = requests.read_status(db.read())
    assert status is not None
    assert status.updated_at == eve_of_the_change


def test_a_candidate_that_was_not_measured_against_what_is_live_needs_a_person(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    supervisor = start("wait")
    (db.path.parent / "runs").mkdir()
    (db.path.parent / "runs" / "go").touch()
    train(db, supervisor)
    (db.path.parent / "runs" / "go").unlink()
    approve(db, "k2", "what does a second key cost", "It costs $15.")
    ask(db, RequestKind.TRAIN)
    wait_for_trainer(db, supervisor, NOW + timedelta(hours=1))
    supervisor.roll_back(actor=BOB, reason="", now=NOW)
    (db.path.parent / "runs" / "go").touch()
    tick_until(supervisor, lambda: has_ended(db), NOW + timedelta(hours=2))
    report = runs.find_report(db.read(), last_run(db).id)
    assert report is not None
    assert report.verdict.kind is VerdictKind.NEEDS_PERSON
    live = releases.find_live(db.read())
    assert live is not None
    assert live[0].version == 0


@pytest.mark.parametrize("damage", ["report", "manifest", "input"])
def test_a_result_that_is_not_whole_fails_the_run(db: Database, start: Callable[..., Supervisor], damage: str) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    supervisor = start()
    supervisor.tick(NOW)
    folder = db.path.parent / "runs" / last_run(db).id
    psutil.wait_procs([psutil.Process(last_run(db).pid)], timeout=30)
    {
        "report": lambda: (folder / "report.json").write_text(json.dumps({"shape": 9, "items": []})),
        "manifest": (folder / "adapter" / "manifest.json").unlink,
        "input": lambda: (folder / "test.jsonl").write_text(""),
    }[damage]()
    tick_until(supervisor, lambda: has_ended(db))
    assert last_run(db).state is RunState.FAILED
    assert len(releases.list_releases(db.read())) == 1


def test_a_run_that_cannot_be_started_fails_with_a_sentence(db: Database, start: Callable[..., Supervisor]) -> None:
    approve_all(db)
    train(db, start())
    adapter = db.path.parent / "runs" / last_run(db).id / "adapter"
    adapter.rename(adapter.with_name("elsewhere"))
    approve(db, "k2", "what does a second key cost", "It costs $15.")
    ask(db, RequestKind.TRAIN)
    start().tick(NOW + timedelta(hours=2))
    assert last_run(db).state is RunState.FAILED
    assert "and to start a trainer there. Found: " in str(last_run(db).error)


_POINTS = (
    "trainer.supervision.supervisor:take_in:before",
    "feedback_db.examples:add_example:after",
    "trainer.supervision.supervisor:take_in:after",
    "trainer.supervision.supervisor:settle_contradictions:after",
    "feedback_db.snapshots:take_snapshot:after",
    "feedback_db.runs:queue_run:after",
    "trainer.supervision.supervisor:Supervisor._order:after",
    "trainer.run_directory:write_whole:after",
    "trainer.supervision.caretaker:write_run:after",
    "trainer.supervision.caretaker:spawn_trainer:before",
    "trainer.supervision.caretaker:spawn_trainer:after",
    "feedback_db.runs:start_run:after",
    "trainer.supervision.caretaker:let_go:before",
    "trainer.supervision.caretaker:let_go:after",
    "feedback_db.runs:append_events:after",
    "trainer.supervision.promotion:read_result:before",
    "feedback_db.runs:add_report:after",
    "feedback_db.runs:finish_run:after",
    "feedback_db.releases:add_release:after",
    "feedback_db.releases:deploy:after",
    "trainer.supervision.promotion:record_result:after",
    "trainer.supervision.caretaker:Caretaker._conclude:after",
    "feedback_db.audit:Audit.publish_head:before",
)


def run_supervisor(folder: Path, mode: str, point: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, _PROGRAM, folder, mode, point], env={**os.environ, "PYTHONPATH": str(_ROOT)}, cwd=_ROOT)


def supervise_until_death(db: Database, point: str) -> None:
    """Give the memory to another process that supervises until it is killed at a point."""
    db.close()
    assert run_supervisor(db.path.parent, "learn", point).wait(120) == -signal.SIGKILL


@pytest.mark.parametrize("point", _POINTS)
def test_a_supervisor_killed_at_any_point_loses_and_repeats_nothing(tmp_path: Path, point: str) -> None:
    with open_world(tmp_path) as db:
        approve_all(db)
        ask(db, RequestKind.TRAIN)
        supervise_until_death(db, point)
    with open_world(tmp_path) as db:
        supervisor = make_supervisor(db)
        tick_until(supervisor, lambda: has_ended(db))
        supervisor.tick(NOW + timedelta(minutes=1))
        check_true_end(db)
        assert len(read_starts(db)) == 1
        assert len(examples.list_examples(db.read())) == len(QUESTIONS)


def end_trainer(at_work: Path) -> None:
    with suppress(psutil.NoSuchProcess, ValueError):  # it writes its number this very moment, or is being ended already
        psutil.Process(int(at_work.read_text())).kill()


def kill_at_random(folder: Path, rng: Random) -> None:
    """Kill supervisors at random moments, once perhaps the trainer, too; then let a last one bring everything to its end."""
    with open_world(folder) as db:
        approve_all(db)
        ask(db, RequestKind.TRAIN)
    for number in range(2):
        program = run_supervisor(folder, "wait", "")
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(rng.uniform(0.1, 2.5))
        program.kill()
        program.wait()
        at_work = folder / "runs" / "at_work"
        if number == 0 and at_work.exists() and rng.random() < 0.5:
            end_trainer(at_work)
    (folder / "runs").mkdir(exist_ok=True)
    (folder / "runs" / "go").touch()
    with open_world(folder) as db:
        supervisor = make_supervisor(db)
        tick_until(supervisor, lambda: has_ended(db))
        check_true_end(db)


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(3, 50))])
def test_supervisors_killed_at_random_lose_and_repeat_nothing(tmp_path: Path, seed: int) -> None:
    kill_at_random(tmp_path, Random(seed))
