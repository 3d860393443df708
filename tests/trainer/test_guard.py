from dataclasses import replace

import pytest

from assistant.prompt import build_messages
from feedback_db.questions import name_question
from feedback_db.reports import Suite
from feedback_db.training_records import Example, ExampleId
from tests.trainer.test_examples import make_example
from trainer.guard import draw_default_questions, leave_out, leave_out_contradicted, leave_out_unwatched, split_guard
from trainer.run_directory import Row
from trainer.variants import Wordings

GOLDEN = Row(messages=tuple(build_messages(None, [], "what is your return window")), reply="You can return any product within 14 days.")


def ask(question: str) -> Row:
    return Row(messages=tuple(build_messages(None, [], question)))


def word(example: Example, *others: str) -> dict[ExampleId, Wordings]:
    return {example.id: Wordings(train=(example.messages[-1]["content"],), stop=(), test=others)}


@pytest.fixture(scope="module")
def drawn() -> list[Row]:
    return draw_default_questions(300, seed=1, system_message="You are Ada.")


def test_default_questions_are_as_many_as_wanted_each_once_and_the_same_again(drawn: list[Row]) -> None:
    assert len(drawn) == len({row.question.lower() for row in drawn}) == 300
    assert drawn == draw_default_questions(300, seed=1, system_message="You are Ada.")
    assert drawn != draw_default_questions(300, seed=2, system_message="You are Ada.")


def test_default_questions_stand_under_the_system_message_without_a_history(drawn: list[Row]) -> None:
    assert {tuple(message["role"] for message in row.messages) for row in drawn} == {("system", "user")}
    assert {row.messages[0]["content"] for row in drawn} == {"You are Ada."}


def test_more_than_the_corpus_can_word_is_not_drawn_for_ever() -> None:
    assert len(draw_default_questions(40, seed=1, system_message=None)) == 40
    assert draw_default_questions(0, seed=1, system_message=None) == []


def test_a_question_guards_or_is_replayed_for_ever(drawn: list[Row]) -> None:
    guard, replay = split_guard(drawn)
    assert {row.question for row in guard} | {row.question for row in replay} == {row.question for row in drawn}
    assert not {row.question for row in guard} & {row.question for row in replay}
    assert min(len(guard), len(replay)) > 100
    assert split_guard(drawn[::-1]) == (guard[::-1], replay[::-1])


def test_case_and_greeting_do_not_bring_a_guard_question_into_replay() -> None:
    for number in range(30):
        question = f"how do i open drawer number{number}"
        assert [len(part) for part in split_guard([ask(question)])] == [
            len(part) for part in split_guard([ask(f"Hi, {question.upper()}?")])
        ]


def test_guard_rows_want_no_reply_and_replay_rows_belong_to_no_suite(drawn: list[Row]) -> None:
    guard, replay = split_guard([replace(row, reply="old", suite=Suite.KEPT) for row in drawn])
    assert {(row.suite, row.reply) for row in guard} == {(Suite.UNTOUCHED, "")}
    assert {(row.suite, row.reply) for row in replay} == {(None, "")}


def test_what_asks_the_question_of_a_changed_example_leaves_the_suite() -> None:
    changed = make_example("k", "How do I reset my password?", "Open Settings > Security.")
    rows = [ask("hi how do i reset the password"), ask("how do i change my address")]
    assert leave_out(rows, [changed], word(changed)) == rows[1:]


def test_what_asks_it_in_another_wording_of_the_example_leaves_the_suite_too() -> None:
    changed = make_example("k", "How do I reset my password?", "Open Settings > Security.")
    rows = [ask("locked out, what now"), ask("how do i change my address")]
    assert leave_out(rows, [changed], word(changed, "I am locked out, what now?")) == rows[1:]


def test_what_is_no_longer_watched_leaves_the_suite_whatever_its_case_and_greeting() -> None:
    rows = [ask("Hi, How do I reset my password?"), ask("how do i change my address")]
    assert leave_out_unwatched(rows, {name_question("how do I reset my password") or ""}) == rows[1:]


def test_golden_rows_that_state_a_changed_fact_leave_the_suite() -> None:
    changed = make_example("k", "Until when can I send something back?", "You can return any product within 30 days.")
    kept = replace(GOLDEN, messages=tuple(build_messages(None, [], "how long is the warranty")), reply="The warranty lasts 14 days.")
    assert leave_out_contradicted([GOLDEN, kept], [changed]) == [kept]
    assert leave_out_contradicted([GOLDEN, kept], []) == [GOLDEN, kept]


def test_a_golden_row_that_only_resembles_what_is_changed_is_asked() -> None:
    changed = make_example("k", "how much does express shipping cost", "Express shipping costs $19.99.")
    near = replace(GOLDEN, messages=tuple(build_messages(None, [], "how much does shipping cost")), reply="Shipping costs $4.99.")
    assert leave_out_contradicted([near], [changed]) == [near]
