from pathlib import Path

import pytest

from assistant.engine.base_model import load_base_model
from trainer.evaluation import generate_replies
from trainer.support_base import evaluation, suites
from trainer.support_base.corpus import Corpus
from trainer.support_base.evaluation import Answered
from trainer.support_base.reading import Reader
from trainer.support_base.suites import Counts, Question

FEW = Counts(per_intent=1, clarify_per_intent=1, references=40, long_contexts=2, per_small_talk=2, identity=4, refusals=20)


@pytest.fixture(scope="module")
def questions(corpus: Corpus) -> list[Question]:
    return suites.draw_questions(corpus, 1)


def answered_with(questions: list[Question], replies: list[str], corpus: Corpus) -> list[Answered]:
    return evaluation.answer_all(questions, lambda prompts: replies, Reader(corpus))


def test_the_wanted_replies_score_full_marks(questions: list[Question], corpus: Corpus) -> None:
    scores = evaluation.score(answered_with(questions, [question.wanted.reply for question in questions], corpus))
    lower_is_better = {"distractor_errors", "wrong_refusal"}
    assert {name: value for name, value in scores.items() if name != "questions"} == {
        name: 0.0 if name in lower_is_better else 1.0 for name in scores if name != "questions"
    }


def test_repeating_the_prompt_is_no_way_to_score(questions: list[Question], corpus: Corpus) -> None:
    scores = evaluation.score(answered_with(questions, [question.prompt[-1]["content"] for question in questions], corpus))
    for name in ("intent_accuracy", "entity_accuracy", "reference_accuracy", "follow_up_accuracy"):
        assert scores[name] == 0.0, name


def test_a_right_sentence_among_others_is_not_a_right_reply(questions: list[Question], corpus: Corpus) -> None:
    replies = [f"No no banana! {question.wanted.reply} The moon is cheese." for question in questions]
    scores = evaluation.score(answered_with(questions, replies, corpus))
    assert scores["intent_accuracy"] == 0.0
    assert scores["reference_found"] == 0.0


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
    questions = suites.draw_questions(corpus, 2, FEW)
    base = load_base_model(tiny_base)
    answered = evaluation.answer_all(questions, lambda prompts: generate_replies(base, prompts, max_tokens=24), Reader(corpus))
    scores = evaluation.score(answered)
    for name in ("intent_accuracy", "entity_accuracy", "follow_up_accuracy", "reference_accuracy", "small_talk", "refusal"):
        assert scores[name] <= 0.05, name


def test_a_confusion_names_what_was_wanted_and_what_was_read(corpus: Corpus) -> None:
    questions = [q for q in suites.draw_questions(corpus, 1, FEW) if q.wanted.topic in {"refund_request", "reset_password"}]
    questions = [q for q in questions if q.suite == "intent"]
    answered = answered_with(questions, [q.wanted.reply for q in reversed(questions)], corpus)
    assert sorted(evaluation.confusions(answered)) == [("refund_request", "reset_password", 1), ("reset_password", "refund_request", 1)]


def test_agreement_looks_past_the_values_and_counts_exact_replies_beside(corpus: Corpus) -> None:
    question = suites.draw_questions(corpus, 1, FEW)[:1]
    reply = question[0].wanted.reply
    digits = "".join("7" if char.isdigit() and char != "7" else char for char in reply)
    one, other = (answered_with(question, [text], corpus) for text in (reply, digits))
    assert evaluation.agreement(one, one) == {"nf4_agreement": 1.0, "nf4_agreement_exact": 1.0}
    found = evaluation.agreement(one, other)
    assert found["nf4_agreement_exact"] == float(reply == digits)


def test_a_suite_without_questions_is_no_perfect_score() -> None:
    with pytest.raises(ValueError, match="at least one question in every suite"):
        evaluation.score_human([])
