import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_db.questions import read_words
from feedback_db.training_records import Split
from trainer.variants import assign_split, change_wording, is_same_question, is_same_wording

ASKED = "How long does delivery to Leeds take for order A-4471?"


def test_a_wording_is_for_one_thing_for_ever() -> None:
    assert assign_split("k1", ASKED) is assign_split("k1", ASKED)
    assert {assign_split("k1", f"wording number {number}") for number in range(60)} == set(Split)


def test_case_greeting_and_punctuation_do_not_move_a_wording_to_another_part() -> None:
    for number in range(40):
        wording = f"where is my parcel number{number}"
        assert assign_split("k1", wording) is assign_split("k1", f"Hi, WHERE IS MY PARCEL number{number}??")


def test_wordings_that_differ_in_nothing_that_counts_are_one() -> None:
    assert is_same_wording(ASKED, f"Hello, {ASKED.lower()}")
    assert not is_same_wording(ASKED, "when will it be in Leeds")


def test_changes_differ_and_leave_names_numbers_and_codes_alone() -> None:
    changes = change_wording(ASKED, 12, seed="1")
    assert len(changes) == len(set(changes)) == 12
    assert all("A-4471" in change and "Leeds" in change for change in changes)
    assert changes == change_wording(ASKED, 12, seed="1")


def test_a_question_of_signs_only_gets_the_changes_there_are() -> None:
    assert len(change_wording("?", 5, seed="1")) <= 5


@given(st.text(max_size=60))
def test_any_text_can_be_changed_and_sorted(text: str) -> None:
    for change in change_wording(text, 3, seed="1"):
        assert change != text
    assert is_same_wording(text, text)


def test_near_identical_questions_are_one_and_other_numbers_are_not() -> None:
    assert is_same_question("How do I reset my password?", "hi how do i reset the password")
    assert not is_same_question("How do I reset my password?", "How do I change my address?")
    assert not is_same_question("what does error E-407 mean", "what does error E-408 mean")


def test_the_same_words_in_the_same_order_ask_the_same_whatever_the_greeting() -> None:
    assert read_words("Hello, how long is the WARRANTY? Thank you!") == read_words("how long is warranty")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("how much does shipping cost", "how much does express shipping cost"),
        ("turn on e-mail notifications", "turn off e-mail notifications"),
        ("how do i log in", "how do i log out"),
        ("change from Pro to Basic", "change from Basic to Pro"),
        ("can i return it", "can i not return it"),
    ],
)
def test_a_word_more_or_another_order_asks_something_else(first: str, second: str) -> None:
    assert read_words(first) != read_words(second)
