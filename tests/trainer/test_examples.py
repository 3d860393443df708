from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from feedback_db.records import ConversationId, CorrectionId, PersonId, TurnId
from feedback_db.training_records import ApprovedCorrection, Example, ExampleId, Split, Variant, VariantId, VariantSource
from trainer.examples import build_example_messages, collect_wordings, find_superseded, hash_example, name_snapshot, put_under
from trainer.variants import Wordings

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
APPROVED = ApprovedCorrection(
    id=CorrectionId("k"),
    turn_id=TurnId("t"),
    conversation_id=ConversationId("c"),
    author_id=PersonId("ann"),
    user_message="and for Leeds?",
    version=0,
    final_reply="It takes 3 days.",
    approved_at=NOW,
    consent=True,
)
HISTORY = [("hi", "Hello!"), ("how long does it take?", "Where to?"), ("are you there?", "")]
WORDINGS = Wordings(train=("how long?",), stop=(), test=())
FOURTEEN_DAYS = (
    "How long can I return something?",
    "what's your return window",
    "Can I send a jacket back after two weeks?",
    "is it too late to bring this back, bought it last week",
    "How many days do I get for a return?",
    "return policy?",
    "When does the return period end?",
    "If I don't like it, how long can I keep it before sending it back?",
    "hi, until when may I give the shoes back",
    "whats the deadline for returns pls",
    "I bought the wrong size, how much time do I have to return it?",
    "Do I have enough time to return a gift after the holidays?",
)


def make_example(key: str, question: str, reply: str, history: Sequence[tuple[str, str]] = ()) -> Example:
    messages = [
        message for asked, said in history for message in ({"role": "user", "content": asked}, {"role": "assistant", "content": said})
    ]
    return Example(
        id=ExampleId(key),
        turn_id=TurnId(key),
        conversation_id=ConversationId("c"),
        messages=({"role": "system", "content": "You are Ada."}, *messages, {"role": "user", "content": question}),
        reply=reply,
        created_at=NOW,
        retired_at=None,
        superseded_by=None,
    )


def make_variant(text: str, split: Split) -> Variant:
    return Variant(
        id=VariantId(1),
        correction_id=CorrectionId("k"),
        text=text,
        source=VariantSource.REVIEWER,
        split=split,
        turn_id=None,
        added_by=PersonId("bob"),
        created_at=NOW,
    )


@pytest.mark.parametrize(("budget", "kept"), [(9, 2), (2, 1), (1, 0), (0, 0)])
def test_messages_are_those_served_with_as_much_history_as_fits(budget: int, kept: int) -> None:
    messages = build_example_messages(
        APPROVED, HISTORY, system_message="You are Ada.", token_budget=budget, count_tokens=lambda h: len(h) + 1
    )
    assert [message["content"] for message in messages[1:-1]] == [text for turn in HISTORY[2 - kept : 2] for text in turn]
    assert messages[0] == {"role": "system", "content": "You are Ada."}
    assert messages[-1] == {"role": "user", "content": "and for Leeds?"}


def test_without_a_system_message_there_is_none() -> None:
    messages = build_example_messages(APPROVED, [], system_message=None, token_budget=9, count_tokens=len)
    assert messages == [{"role": "user", "content": "and for Leeds?"}]


def test_when_the_policy_changes_all_twelve_wordings_of_the_old_one_are_superseded() -> None:
    older = [
        make_example(f"old{number}", question, "You can return any product within 14 days.")
        for number, question in enumerate(FOURTEEN_DAYS)
    ]
    others = [make_example("other", "How long is the warranty?", "The warranty lasts 2 years.")]
    newer = make_example("new", "How long do I have to return an order?", "You can return any product within 30 days.")
    assert find_superseded(newer, [*older, *others, newer]) == [example.id for example in older]


def test_an_example_in_a_conversation_supersedes_by_question_and_reply() -> None:
    history = [("hello", "Hi, what can I do for you?")]
    older = make_example("old", "what is your return window", "You can return any product within 14 days.", history)
    newer = make_example("new", "until when can I return it", "You can return any product within 30 days.")
    assert find_superseded(newer, [older]) == ["old"]


def test_the_same_facts_supersede_nothing() -> None:
    older = make_example("old", "how long is the warranty", "Your warranty: 2 years.")
    assert find_superseded(make_example("new", "how long is the warranty", "The warranty lasts two years."), [older]) == []


def test_wordings_come_by_their_split_with_the_asked_one_first() -> None:
    variants = [make_variant("when?", Split.TEST), make_variant("time?", Split.TRAIN), make_variant("how long?", Split.TEST)]
    found = collect_wordings(make_example("k", "how long?", "3 days."), [*variants, make_variant("days?", Split.STOP)])
    assert found == Wordings(train=("how long?", "time?"), stop=("days?",), test=("when?",))


def test_what_differs_from_the_asked_wording_in_nothing_that_counts_trains_whatever_its_split() -> None:
    found = collect_wordings(make_example("k", "how long?", "3 days."), [make_variant("Hello, HOW LONG", Split.TEST)])
    assert found == Wordings(train=("how long?", "Hello, HOW LONG"), stop=(), test=())


def test_an_example_is_put_under_what_is_served_now() -> None:
    example = make_example("k", "how long?", "3 days.", [("hi", "Hello!")])
    assert put_under(example, "You are Bo.").messages == ({"role": "system", "content": "You are Bo."}, *example.messages[1:])
    assert put_under(example, None).messages == example.messages[1:]


def test_a_hash_names_all_that_is_trained_and_tells_nothing_without_the_salt() -> None:
    example = make_example("k", "how long?", "3 days.")
    found = hash_example(example, WORDINGS, salt=b"salt")
    assert found == hash_example(example, WORDINGS, salt=b"salt")
    changed = [
        hash_example(replace(example, reply="4 days."), WORDINGS, salt=b"salt"),
        hash_example(put_under(example, None), WORDINGS, salt=b"salt"),
        hash_example(example, replace(WORDINGS, test=("when?",)), salt=b"salt"),
        hash_example(example, WORDINGS, salt=b"pepper"),
    ]
    assert len({found, *changed}) == 5


def test_a_snapshot_is_named_by_its_content_whatever_the_order() -> None:
    hashes = {ExampleId("a"): "1", ExampleId("b"): "2"}
    assert name_snapshot(hashes) == name_snapshot(dict(reversed(hashes.items())))
    assert name_snapshot(hashes) != name_snapshot({**hashes, ExampleId("b"): "3"})
