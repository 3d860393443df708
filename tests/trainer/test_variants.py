from random import Random

from hypothesis import given
from hypothesis import strategies as st

from feedback_db.training_records import Split
from trainer.support_base.corpus import load_corpus
from trainer.support_base.grammar import pick_alternatives
from trainer.variants import QuestionIndex, assign_split, change_wording, is_same_question, is_same_wording

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


def test_an_index_finds_what_comparing_each_with_each_finds() -> None:
    questions = [
        pick_alternatives(template, Random(seed))
        for intent in load_corpus().intents.values()
        for seed, template in enumerate(intent.questions[:3])
    ]
    index = QuestionIndex(questions)
    for asked in questions[::7]:
        assert index.find_same(f"hello {asked} thanks") == [
            place for place, question in enumerate(questions) if is_same_question(f"hello {asked} thanks", question)
        ]
