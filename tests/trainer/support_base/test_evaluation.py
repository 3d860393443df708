from pathlib import Path

import pytest

from assistant.engine.base_model import load_base_model
from trainer.evaluation import generate_replies
from trainer.support_base import evaluation
from trainer.support_base.corpus import Corpus
from trainer.support_base.evaluation import Answered, Question
from trainer.support_base.reading import Reader

HUMAN_QUESTIONS = Path(__file__).parent / "human_questions.jsonl"


@pytest.fixture(scope="module")
def questions(corpus: Corpus) -> list[Question]:
    return evaluation.draw_questions(corpus, 1)


def answered_with(questions: list[Question], replies: list[str], corpus: Corpus) -> list[Answered]:
    return evaluation.answer_all(questions, lambda prompts: replies, Reader(corpus))


def test_there_are_at_least_two_thousand_questions_in_five_suites(questions: list[Question]) -> None:
    assert len(questions) >= 2000
    assert {question.suite for question in questions} == {"intent", "follow_up", "reference", "small_talk", "refusal"}


def test_the_wanted_replies_score_full_marks(questions: list[Question], corpus: Corpus) -> None:
    scores = evaluation.score(answered_with(questions, [question.wanted.reply for question in questions], corpus))
    lower_is_better = {"distractor_errors", "wrong_refusal"}
    assert {name: value for name, value in scores.items() if name != "questions"} == {
        name: 0.0 if name in lower_is_better else 1.0 for name in scores if name != "questions"
    }


def test_replies_in_the_wrong_order_score_almost_nothing(questions: list[Question], corpus: Corpus) -> None:
    replies = [question.wanted.reply for question in questions]
    scores = evaluation.score(answered_with(questions, replies[40:] + replies[:40], corpus))
    assert scores["intent_accuracy"] < 0.05
    assert scores["entity_accuracy"] < 0.05
    assert scores["follow_up_accuracy"] < 0.05


def test_always_refusing_is_no_way_to_score(questions: list[Question], corpus: Corpus) -> None:
    scores = evaluation.score(answered_with(questions, [corpus.refusals[0]] * len(questions), corpus))
    assert scores["refusal"] == 1.0
    assert scores["wrong_refusal"] == 1.0
    assert scores["intent_accuracy"] == 0.0
    assert scores["reference_accuracy"] < 0.3


def test_an_untrained_model_fails_every_measure(tiny_base: Path, corpus: Corpus) -> None:
    questions = evaluation.draw_questions(corpus, 2, per_intent=1, references=40, refusals=20)
    base = load_base_model(tiny_base)
    answered = evaluation.answer_all(questions, lambda prompts: generate_replies(base, prompts, max_tokens=24), Reader(corpus))
    scores = evaluation.score(answered)
    for name in ("intent_accuracy", "entity_accuracy", "follow_up_accuracy", "reference_accuracy", "small_talk", "refusal"):
        assert scores[name] <= 0.05, name


def test_every_intent_has_questions_typed_by_hand(corpus: Corpus) -> None:
    by_hand = evaluation.read_human_questions(HUMAN_QUESTIONS, corpus)
    assert len(by_hand) >= 200
    assert {question.wanted.topic for question in by_hand} == {*corpus.intents, "out_of_scope"}


def test_an_unknown_intent_in_a_question_file_is_named_with_its_line(corpus: Corpus, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"intent": "fly_to_mars", "question": "when?", "entity": null}\n')
    with pytest.raises(ValueError, match="line 1: expected an intent of the corpus, found 'fly_to_mars'"):
        evaluation.read_human_questions(file, corpus)


def test_a_confusion_names_what_was_wanted_and_what_was_read(corpus: Corpus) -> None:
    questions = [q for q in evaluation.draw_questions(corpus, 1, per_intent=1) if q.wanted.topic in {"refund_request", "reset_password"}]
    questions = [q for q in questions if q.suite == "intent"]
    answered = answered_with(questions, [q.wanted.reply for q in reversed(questions)], corpus)
    assert sorted(evaluation.confusions(answered)) == [("refund_request", "reset_password", 1), ("reset_password", "refund_request", 1)]


def test_agreement_looks_past_the_values_and_counts_exact_replies_beside(corpus: Corpus) -> None:
    question = evaluation.draw_questions(corpus, 1, per_intent=1)[:1]
    reply = question[0].wanted.reply
    digits = "".join("7" if char.isdigit() and char != "7" else char for char in reply)
    one, other = (answered_with(question, [text], corpus) for text in (reply, digits))
    assert evaluation.agreement(one, one) == {"nf4_agreement": 1.0, "nf4_agreement_exact": 1.0}
    found = evaluation.agreement(one, other)
    assert found["nf4_agreement_exact"] == float(reply == digits)


def test_a_suite_without_questions_is_no_perfect_score() -> None:
    with pytest.raises(ValueError, match="at least one question in every suite"):
        evaluation.score_human([])
