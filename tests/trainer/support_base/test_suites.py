from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from trainer.support_base import suites
from trainer.support_base.corpus import Corpus
from trainer.support_base.suites import Question, QuestionFileError

HUMAN_QUESTIONS = Path(__file__).parent / "human_questions.jsonl"


@pytest.fixture(scope="module")
def questions(corpus: Corpus) -> list[Question]:
    return suites.draw_questions(corpus, 1)


def test_there_are_at_least_two_thousand_questions_in_all_suites(questions: list[Question]) -> None:
    assert len(questions) >= 2000
    assert {question.suite for question in questions} == {
        *("intent", "clarify", "follow_up", "reference", "long_reference", "long_follow_up"),
        *("small_talk", "identity", "refusal", "refusal_near"),
    }


def test_long_contexts_are_long(questions: list[Question], tokenizer: PreTrainedTokenizerFast) -> None:
    lengths = [
        len(tokenizer.apply_chat_template(question.prompt, tokenize=True)["input_ids"])
        for question in questions
        if question.suite.startswith("long")
    ]
    assert sum(lengths) / len(lengths) > 900
    assert max(lengths) < 2048


def test_every_intent_has_questions_typed_by_hand(corpus: Corpus) -> None:
    by_hand = suites.read_human_questions(HUMAN_QUESTIONS, corpus)
    assert len(by_hand) >= 200
    assert {question.wanted.topic for question in by_hand} == {*corpus.intents, "out_of_scope"}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"intent": "fly_to_mars", "question": "when?", "entity": null}', "fly_to_mars"),
        ("what?", "JSON"),
        ('{"intent": "api_key"}', "question"),
    ],
)
def test_a_line_that_is_no_question_is_named(line: str, found: str, corpus: Corpus, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(f"{line}\n")
    with pytest.raises(QuestionFileError, match=rf"line 1: expected .*Found .*{found}"):
        suites.read_human_questions(file, corpus)


def test_a_missing_file_of_questions_is_an_error(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(QuestionFileError, match="Found no file"):
        suites.read_human_questions(tmp_path / "nowhere.jsonl", corpus)
