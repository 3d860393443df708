import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from feedback_db import conversations, corrections, erasure, examples, people, releases, requests, runs, sign_in_sessions, snapshots
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database, find_damage
from feedback_db.errors import NotFoundError
from feedback_db.lineage import Descendants
from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, TurnId
from feedback_db.reports import Verdict, VerdictKind
from feedback_db.training_records import ExampleId, Release, RequestKind, RunId, RunState, SnapshotId, Split
from tests.auditing import open_audit

SECRET = "kumquat-7431"
OTHER = ConversationId("c2")
ROLES = ("user", "assistant")
SYSTEM = {"role": "system", "content": "You are Ada."}
NOTHING = Descendants(snapshot_ids=(), run_ids=(), versions=())


def plant_turn(db: Database, conversation: ConversationId, logged: LoggedReply, key: str, now: datetime) -> TurnId:
    with db.write() as tx:
        said = replace(logged, user_message=f"{SECRET} asked", reply=f"{SECRET} replied")
        return conversations.log_turn(tx, TurnId(key), conversation_id=conversation, logged=said, now=now).id


def plant_correction(db: Database, turn: TurnId, author: PersonId, reviewer: PersonId, key: str, now: datetime) -> CorrectionId:
    with db.write() as tx:
        added = corrections.add_correction(tx, CorrectionId(key), turn_id=turn, corrected_reply=f"{SECRET} {key}", author=author, now=now)
        corrections.review(tx, added.id, Decision.APPROVED, reviewer=reviewer, now=now)
        messages = [{"role": "user", "content": f"{SECRET} asked"}]
        examples.add_example(tx, added.id, messages=messages, now=now)
        return added.id


def start_other(db: Database, person: PersonId, now: datetime) -> ConversationId:
    with db.write() as tx:
        conversations.start_conversation(tx, OTHER, person_id=person, channel=Channel.WEB, title="other", now=now)
        conversations.record_consent(tx, OTHER, given=True, wording="v1", now=now)
    return OTHER


def converse(
    db: Database, logged: LoggedReply, corrector: PersonId, author: PersonId, reviewer: PersonId, now: datetime, *, first_reply: str
) -> None:
    """Ask twice in conversation c1: the first reply is `corrector`'s to correct, the second `author`'s; its example shows the other."""
    for key, by, said in (("k1", corrector, first_reply), ("k2", author, "Second.")):
        with db.write() as tx:
            turn = replace(logged, user_message=f"q {key}", reply=said)
            conversations.log_turn(tx, TurnId(f"turn-{key}"), conversation_id=ConversationId("c1"), logged=turn, now=now)
            text = f"{SECRET} {key}" if key == "k1" else "14 days."
            corrections.add_correction(tx, CorrectionId(key), turn_id=TurnId(f"turn-{key}"), corrected_reply=text, author=by, now=now)
            corrections.review(tx, CorrectionId(key), Decision.APPROVED, reviewer=reviewer, now=now)
            history = examples.list_history(tx, TurnId(f"turn-{key}"))
            messages = [{"role": role, "content": said} for turns in history for role, said in zip(ROLES, turns, strict=True)]
            question = {"role": "user", "content": f"q {key}"}
            examples.add_example(tx, CorrectionId(key), messages=[SYSTEM, *messages, question], now=now)


def report_on(db: Database, run: RunId, asked: list[dict[str, str | None]], now: datetime) -> None:
    verdict = Verdict(kind=VerdictKind.PROMOTE, reasons=("It learned all.",))
    with db.write() as tx:
        runs.add_report(tx, run, shape=1, report=json.dumps({"shape": 1, "items": asked}), verdict=verdict, now=now)


def read_questions(db: Database, run: RunId) -> list[str | None]:
    stored = runs.find_report(db.read(), run)
    assert stored is not None
    assert stored.verdict.reasons == ("It learned all.",), "the verdict stays"
    return [one["question"] for one in json.loads(stored.report)["items"]]


def erase_person(db: Database, person: PersonId, now: datetime) -> erasure.Erased:
    with db.write() as tx:
        return erasure.erase_person(tx, person, now=now)


def erase_conversation(db: Database, conversation: ConversationId, now: datetime) -> erasure.Erased:
    with db.write() as tx:
        return erasure.erase_conversation(tx, conversation, now=now)


def files_with_secret(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_an_erased_conversation_goes_with_all_that_came_of_it(
    db: Database, conversation: ConversationId, adapted: Release, ann: PersonId, bob: PersonId, now: datetime
) -> None:
    with db.write() as tx:
        conversations.rate(tx, TurnId("turn-k1"), person_id=ann, is_good=False, reason="wrong", comment="no", now=now)
        examples.add_variant(tx, CorrectionId("k1"), text="where?", split=Split.TEST, added_by=bob, now=now)
    erased = erase_conversation(db, conversation, now)
    assert erased.erased_at == now
    assert erased.counts == {
        "conversations": 1,
        "turns": 2,
        "ratings": 1,
        "corrections": 2,
        "reviews": 2,
        "examples": 2,
        "variants": 1,
        "golden_items": 0,
        "fix_votes": 0,
    }
    assert (erased.example_ids, erased.reworded_ids) == (("k1", "k2"), ())
    assert erased.descendants == Descendants(snapshot_ids=(SnapshotId("s1"),), run_ids=(RunId("r1"),), versions=(1,))
    assert db.read().execute("SELECT count(*) FROM consents").fetchone()[0] == 0
    assert find_damage(db.read()) == []


def test_snapshots_runs_and_releases_survive_an_erasure(
    db: Database, conversation: ConversationId, adapted: Release, run: RunId, snapshot: SnapshotId, now: datetime
) -> None:
    with db.write() as tx:
        deployed = releases.deploy(tx, open_audit(db), adapted.version, actor=None, reason="better", now=now)
    erase_conversation(db, conversation, now)
    assert snapshots.list_content_hashes(db.read(), snapshot) == {"k1": "hash of k1", "k2": "hash of k2"}
    assert runs.find_run(db.read(), run).snapshot_id == snapshot
    assert releases.find_live(db.read()) == (deployed, adapted)


def test_what_is_unknown_cannot_be_erased(db: Database, now: datetime) -> None:
    with pytest.raises(NotFoundError, match="a conversation 'nowhere'"):
        erase_conversation(db, ConversationId("nowhere"), now)
    with pytest.raises(NotFoundError, match="a person 'nobody'"):
        erase_person(db, PersonId("nobody"), now)


def test_an_example_that_was_superseded_by_an_erased_one_stays_retired(
    db: Database, consent: None, bob: PersonId, cleo: PersonId, logged: LoggedReply, add_example: Callable[[str], ExampleId], now: datetime
) -> None:
    older = add_example("k1")
    turn = plant_turn(db, start_other(db, bob, now), logged, "t2", now)
    newer = plant_correction(db, turn, bob, cleo, "k2", now)
    with db.write() as tx:
        examples.retire(tx, older, superseded_by=ExampleId(newer), now=now)
    erase_conversation(db, OTHER, now)
    assert examples.find_example(db.read(), older).superseded_by == newer, "what it says is outdated all the same"
    assert examples.list_examples(db.read()) == []
    assert examples.list_approved(db.read()) == []


def test_an_erased_person_is_a_nameless_row(db: Database, ann: PersonId, conversation: ConversationId, now: datetime) -> None:
    with db.write() as tx:
        sign_in_sessions.open_session(tx, "h1", person_id=ann, expires_at=now + timedelta(hours=1), now=now)
    erased = erase_person(db, ann, now)
    assert erased.counts["conversations"] == 1
    assert erased.descendants == NOTHING
    person = people.find_person(db.read(), ann)
    assert (person.name, person.erased_at) == ("", now)
    row = db.read().execute("SELECT password_hash FROM people WHERE id = 'ann'").fetchone()
    assert row["password_hash"] is None
    assert db.read().execute("SELECT count(*) FROM sessions WHERE ended_at IS NULL").fetchone()[0] == 0
    assert people.find_account(db.read(), "ann") is None


def test_erasing_a_person_again_changes_nothing(db: Database, ann: PersonId, conversation: ConversationId, now: datetime) -> None:
    erase_person(db, ann, now)
    again = erase_person(db, ann, now + timedelta(days=1))
    assert set(again.counts.values()) == {0}
    assert people.find_person(db.read(), ann).erased_at == now


def test_what_an_erased_person_wrote_about_others_turns_goes(
    db: Database,
    consent: None,
    turn: TurnId,
    bob: PersonId,
    cleo: PersonId,
    add_example: Callable[[str], ExampleId],
    take_snapshot: Callable[..., SnapshotId],
    now: datetime,
) -> None:
    reviewed = add_example("k1")
    correction = plant_correction(db, turn, bob, cleo, "k2", now)
    with db.write() as tx:
        examples.add_variant(tx, CorrectionId(reviewed), text="bob's wording", split=Split.TEST, added_by=bob, now=now)
        examples.add_variant(tx, CorrectionId(reviewed), text="cleo's wording", split=Split.TEST, added_by=cleo, now=now)
        conversations.rate(tx, turn, person_id=bob, is_good=False, reason="wrong", comment=SECRET, now=now)
        requests.add_request(tx, RequestKind.TRAIN, person_id=bob, reason=SECRET, now=now)
    take_snapshot("s1", ExampleId(correction))
    take_snapshot("s2", reviewed)
    erased = erase_person(db, bob, now)
    assert (erased.counts["conversations"], erased.counts["turns"], erased.counts["ratings"]) == (0, 0, 0)
    assert (erased.counts["corrections"], erased.counts["reviews"], erased.counts["variants"]) == (1, 1, 1)
    assert (erased.example_ids, erased.reworded_ids) == (("k2",), ("k1",))
    assert erased.descendants.snapshot_ids == ("s1", "s2"), "one held the example, the other the wording"
    assert [variant.text for variant in examples.list_variants(db.read(), CorrectionId(reviewed))] == ["cleo's wording"]
    assert [row["comment"] for row in db.read().execute("SELECT comment FROM ratings")] == [""]
    assert [request.reason for request in requests.list_open(db.read())] == [""]
    assert examples.find_example(db.read(), reviewed).reply == "a k1", "what bob approved was ann's"


def test_reports_lose_what_was_erased_and_nothing_else(
    db: Database,
    conversation: ConversationId,
    run: RunId,
    bob: PersonId,
    logged: LoggedReply,
    now: datetime,
) -> None:
    turn = plant_turn(db, start_other(db, bob, now), logged, "t2", now)
    with db.write() as tx:
        examples.add_variant(tx, CorrectionId("k1"), text="wording of the log", split=Split.TEST, turn_id=turn, now=now)
    asked: list[dict[str, str | None]] = [
        {"example_id": "k1", "question": "hello, wording of the log"},
        {"example_id": "k2", "question": "q k2"},
        {"example_id": None, "question": f"{SECRET} asked"},
        {"example_id": None, "question": "q k2"},
        {"example_id": None, "question": "a golden question"},
    ]
    report_on(db, run, asked, now)
    erased = erase_conversation(db, OTHER, now)
    assert (erased.example_ids, erased.reworded_ids) == ((), ("k1",))
    assert read_questions(db, run) == ["q k2", "q k2", "a golden question"]
    erase_conversation(db, conversation, now)
    assert read_questions(db, run) == ["a golden question"]


@pytest.mark.parametrize("by_person", [False, True])
def test_an_erased_text_is_in_none_of_the_files(
    db: Database,
    consent: None,
    bob: PersonId,
    cleo: PersonId,
    logged: LoggedReply,
    take_snapshot: Callable[..., SnapshotId],
    tmp_path: Path,
    now: datetime,
    by_person: bool,
) -> None:
    with db.write() as tx:
        planted = people.find_or_add_external(tx, PersonId("e1"), name=f"{SECRET} name", now=now)
        person, title = planted.id, f"{SECRET} title"
        conversations.start_conversation(tx, OTHER, person_id=person, channel=Channel.API, title=title, now=now)
        conversations.record_consent(tx, OTHER, given=True, wording="v1", now=now)
    turn = plant_turn(db, OTHER, logged, "t2", now)
    correction = plant_correction(db, turn, person, bob, "k1", now)
    with db.write() as tx:
        examples.add_variant(tx, correction, text=f"{SECRET} asked?", split=Split.TEST, added_by=bob, now=now)
        conversations.rate(tx, turn, person_id=person, is_good=False, reason="wrong", comment=f"{SECRET} comment", now=now)
        snapshot = snapshots.take_snapshot(tx, SnapshotId("s1"), content_hashes={ExampleId(correction): "h"}, now=now).id
        run = runs.queue_run(tx, RunId("r1"), snapshot_id=snapshot, recipe="{}", seed=1, requested_by=None, reason="due", now=now).id
    report_on(db, run, [{"example_id": correction, "question": SECRET * 2000}], now)
    assert files_with_secret(tmp_path)
    if by_person:
        erase_person(db, person, now)
    else:
        erase_conversation(db, OTHER, now)
        with db.write() as tx:
            tx.execute("UPDATE people SET name = 'x' WHERE id = 'e1'")
    db.erase_traces()
    assert files_with_secret(tmp_path) == []
    db.close()
    assert files_with_secret(tmp_path) == []


def test_items_of_a_report_go_where_any_of_their_texts_holds_what_was_erased(
    db: Database, run: RunId, bob: PersonId, cleo: PersonId, logged: LoggedReply, now: datetime
) -> None:
    turn = plant_turn(db, start_other(db, bob, now), logged, "t2", now)
    plant_correction(db, turn, bob, cleo, "k9", now)
    with db.write() as tx:
        examples.add_variant(tx, CorrectionId("k1"), text="yes?", split=Split.TEST, added_by=bob, now=now)
        examples.add_variant(tx, CorrectionId("k2"), text="bob's own wording", split=Split.TEST, added_by=bob, now=now)
    asked: list[dict[str, str | None]] = [
        {"example_id": None, "question": "1", "before": f"You said: {SECRET} asked"},
        {"example_id": None, "question": "2", "expected": f"It is {SECRET} k9."},
        {"example_id": None, "question": "3", "after": "Somebody said: bob's own wording"},
        {"example_id": None, "question": "yes?", "after": "Certainly."},
        {"example_id": None, "question": "Really yes?", "after": "One says yes? to that."},
    ]
    report_on(db, run, asked, now)
    erase_person(db, bob, now)
    assert read_questions(db, run) == ["Really yes?"], "a text as short as yes? says nothing of anybody"


def test_an_erased_correction_goes_from_the_history_of_other_examples(
    db: Database,
    consent: None,
    ann: PersonId,
    bob: PersonId,
    cleo: PersonId,
    logged: LoggedReply,
    take_snapshot: Callable[..., SnapshotId],
    now: datetime,
) -> None:
    converse(db, logged, bob, ann, cleo, now, first_reply="First.")
    assert examples.find_example(db.read(), ExampleId("k2")).messages[2]["content"] == f"{SECRET} k1"
    snapshot = take_snapshot("s1", ExampleId("k2"))
    with db.write() as tx:
        runs.queue_run(tx, RunId("r1"), snapshot_id=snapshot, recipe="{}", seed=1, requested_by=None, reason="due", now=now)
    report_on(db, RunId("r1"), [{"example_id": "k2", "question": "q2, asked otherwise"}, {"example_id": None, "question": "golden"}], now)
    erased = erase_person(db, bob, now)
    assert (erased.example_ids, erased.reworded_ids, erased.descendants.run_ids) == (("k1",), ("k2",), ("r1",))
    found = examples.find_example(db.read(), ExampleId("k2"))
    assert [message["content"] for message in found.messages] == ["You are Ada.", "q k1", "First.", "q k2"]
    assert [message["role"] for message in found.messages] == ["system", "user", "assistant", "user"]
    assert found.reply == "14 days."
    assert read_questions(db, RunId("r1")) == ["golden"]


def test_a_turn_without_a_reply_of_its_own_goes_from_a_history_with_its_correction(
    db: Database, consent: None, ann: PersonId, bob: PersonId, cleo: PersonId, logged: LoggedReply, now: datetime
) -> None:
    converse(db, logged, bob, ann, cleo, now, first_reply="")
    erase_person(db, bob, now)
    found = examples.find_example(db.read(), ExampleId("k2"))
    assert [message["content"] for message in found.messages] == ["You are Ada.", "q k2"]


def test_a_history_keeps_what_somebody_else_wrote_in_the_same_words(
    db: Database, consent: None, ann: PersonId, bob: PersonId, cleo: PersonId, logged: LoggedReply, now: datetime
) -> None:
    converse(db, logged, ann, ann, cleo, now, first_reply="First.")
    with db.write() as tx:
        same = f"{SECRET} k1"
        corrections.add_correction(tx, CorrectionId("k3"), turn_id=TurnId("turn-k2"), corrected_reply=same, author=bob, now=now)
    assert erase_person(db, bob, now).reworded_ids == ()
    assert examples.find_example(db.read(), ExampleId("k2")).messages[2]["content"] == same


def test_an_erased_persons_reasons_are_blanked(
    db: Database, snapshot: SnapshotId, bare_base: Release, bob: PersonId, cleo: PersonId, now: datetime
) -> None:
    for key, person in (("r1", bob), ("r2", cleo)):
        with db.write() as tx:
            runs.queue_run(tx, RunId(key), snapshot_id=snapshot, recipe="{}", seed=1, requested_by=person, reason=f"{person} asks", now=now)
            runs.finish_run(tx, RunId(key), RunState.CANCELLED, now=now)
            releases.deploy(tx, open_audit(db), bare_base.version, actor=person, reason=f"{person} wants it", now=now)
    erase_person(db, bob, now)
    assert [runs.find_run(db.read(), RunId(key)).reason for key in ("r1", "r2")] == ["Erased.", "cleo asks"]
    assert [deployment.reason for deployment in releases.list_deployments(db.read())] == ["cleo wants it", "Erased."]
    assert runs.find_run(db.read(), RunId("r1")).state is RunState.CANCELLED


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE runs SET reason = ''",
        "UPDATE runs SET reason = 'Erased.', seed = 2",
        "UPDATE runs SET reason = 'Erased.', state = 'failed', error = 'x'",
        "UPDATE deployments SET reason = 'x'",
        "UPDATE deployments SET reason = 'Erased.', version = 1",
        "UPDATE deployments SET reason = 'Erased.', actor_id = 'ann'",
    ],
)
def test_a_reason_is_blanked_and_nothing_else(db: Database, adapted: Release, ann: PersonId, now: datetime, sql: str) -> None:
    with db.write() as tx:
        releases.deploy(tx, open_audit(db), 0, actor=None, reason="better", now=now)
    with pytest.raises(sqlite3.IntegrityError, match=r"does not go back|keeps what was ordered|append-only"), db.write() as tx:
        tx.execute(sql)


def test_an_erasure_is_uncleaned_until_it_is_recorded_as_cleaned(
    db: Database, ann: PersonId, conversation: ConversationId, now: datetime
) -> None:
    later = now + timedelta(minutes=1)
    erase_conversation(db, conversation, now)
    erase_person(db, ann, later)
    first, second = erasure.list_uncleaned(db.read())
    assert (first.kind, first.subject, first.erased_at, first.cleaned_at) == (erasure.ErasureKind.CONVERSATION, conversation, now, None)
    assert (second.kind, second.subject, second.erased_at) == (erasure.ErasureKind.PERSON, ann, later)
    for moment in (later, later + timedelta(days=1)):
        with db.write() as tx:
            assert erasure.record_cleaned(tx, first.id, now=moment).cleaned_at == later, "the first time counts"
    assert erasure.list_uncleaned(db.read()) == [second]


def test_an_erasure_that_is_rolled_back_or_refused_leaves_nothing_to_clean(
    db: Database, conversation: ConversationId, now: datetime
) -> None:
    def erase_and_fail() -> None:
        with db.write() as tx:
            erasure.erase_conversation(tx, conversation, now=now)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        erase_and_fail()
    assert erasure.list_uncleaned(db.read()) == []
    erase_conversation(db, conversation, now)
    with pytest.raises(NotFoundError, match="a conversation 'c1'"):
        erase_conversation(db, conversation, now)
    assert len(erasure.list_uncleaned(db.read())) == 1


def test_only_an_erasure_is_cleaned(db: Database, now: datetime) -> None:
    with pytest.raises(NotFoundError, match="an erasure '1'"), db.write() as tx:
        erasure.record_cleaned(tx, erasure.ErasureId(1), now=now)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM erasures",
        "UPDATE erasures SET cleaned_at = NULL",
        "UPDATE erasures SET subject = 'c2'",
        "UPDATE erasures SET subject = 'c2', cleaned_at = '2026'",
    ],
)
def test_an_erasure_is_not_denied_afterwards(db: Database, conversation: ConversationId, now: datetime, sql: str) -> None:
    erase_conversation(db, conversation, now)
    with pytest.raises(sqlite3.IntegrityError, match=r"only cleaned|not deleted"), db.write() as tx:
        tx.execute(sql)
