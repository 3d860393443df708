import re
from pathlib import Path
from random import Random

import pytest

from trainer.support_base import corpus as corpus_module
from trainer.support_base import grammar
from trainer.support_base.corpus import FOLLOW_UPS, Corpus, CorpusError
from trainer.support_base.values import ENTITY_KINDS, FACTS, kind_of


def normal(text: str) -> str:
    return re.sub(r"[^a-z{} ]", "", text.lower())


def test_the_corpus_is_as_broad_as_promised(corpus: Corpus) -> None:
    assert len(corpus.intents) >= 60
    assert len({intent.family for intent in corpus.intents.values()}) >= 10
    assert sum(intent.entity is not None for intent in corpus.intents.values()) >= 15
    for intent in corpus.intents.values():
        assert len(intent.questions) >= 15, intent.id
        assert len(intent.held_out) >= 5, intent.id
        assert len(intent.answers) >= 3, intent.id
        assert len(intent.passages) >= 2, intent.id
        assert intent.follow_ups, intent.id


def test_every_template_is_well_formed_and_every_slot_known(corpus: Corpus) -> None:
    known = set(FACTS) | ENTITY_KINDS
    for intent in corpus.intents.values():
        for template in (
            *intent.questions,
            *intent.held_out,
            *intent.unnamed,
            *intent.held_out_unnamed,
            *intent.answers,
            *intent.passages,
            *sum(intent.follow_ups.values(), ()),
        ):
            grammar.pick_alternatives(template, Random(1))
            assert {kind_of(slot) for slot in grammar.slots_of(template)} <= known, (intent.id, template)


def test_every_template_of_knowledge_is_well_formed_and_its_questions_ask_nothing_unanswered(corpus: Corpus) -> None:
    for topic in corpus.knowledge.values():
        answered = set(grammar.slots_of(topic.answers[0]))
        assert not any("|" in template for template in (*topic.questions, *topic.passages, *topic.answers)), topic.id
        for template in (*topic.questions, *topic.passages, *topic.answers):
            assert {kind_of(slot) for slot in grammar.slots_of(template)} <= set(FACTS) | ENTITY_KINDS, template
        assert all(set(grammar.slots_of(question)) <= answered for question in topic.questions), topic.id
    assert len(corpus.knowledge_of(held_out=True)) >= 15


def test_questions_without_the_name_are_many_enough_to_learn_and_to_measure_asking_back(corpus: Corpus) -> None:
    for intent in corpus.intents.values():
        if intent.entity is None:
            assert not intent.unnamed
        else:
            assert len(intent.unnamed) >= 10, intent.id
            assert len(intent.held_out_unnamed) >= 3, intent.id


def test_no_question_of_knowledge_or_small_talk_is_an_intents_too(corpus: Corpus) -> None:
    asked = {normal(text) for intent in corpus.intents.values() for text in (*intent.questions, *intent.unnamed)}
    others = [*(talk.questions for talk in corpus.small_talk.values()), *(topic.questions for topic in corpus.knowledge.values())]
    assert not asked & {normal(text) for texts in others for text in texts}


def test_a_held_out_wording_is_never_a_pretrained_one(corpus: Corpus) -> None:
    for intent in corpus.intents.values():
        pretrained = {normal(grammar.pick_alternatives(q, Random(seed))) for q in intent.questions for seed in range(12)}
        assert not pretrained & {normal(wording) for wording in intent.held_out}, intent.id


def test_no_question_stands_under_two_intents(corpus: Corpus) -> None:
    places: dict[str, str] = {}
    for intent in corpus.intents.values():
        for question in (*intent.questions, *intent.held_out):
            assert places.setdefault(normal(question), intent.id) == intent.id, question


def test_out_of_scope_topics_to_measure_with_are_not_pretrained(corpus: Corpus) -> None:
    assert not set(corpus.topics) & set(corpus.held_out_topics)
    assert len(corpus.held_out_topics) >= 20


def test_an_answer_names_the_entity_and_a_follow_up_does_not(corpus: Corpus) -> None:
    for intent in corpus.intents.values():
        for template in (*intent.answers, *intent.passages):
            entities = [slot for slot in grammar.slots_of(template) if slot in ENTITY_KINDS]
            assert entities == ([] if intent.entity is None else [intent.entity]), template
        for kind in FOLLOW_UPS:
            for template in intent.follow_ups.get(kind, ()):
                assert not set(grammar.slots_of(template)) & ENTITY_KINDS, template


def test_a_missing_entity_in_an_intent_is_reported_with_its_place(tmp_path: Path) -> None:
    table = {"definition": "", "entity": "planet", "questions": ["q"], "held_out": [], "answers": ["a"], "passages": ["a"]}
    with pytest.raises(CorpusError, match=r"space_travel.*found planet"):
        corpus_module._to_intent("space", "space_travel", table, ["Which planet?"])


def test_phrasings_with_different_facts_are_refused() -> None:
    table = {"definition": "", "questions": ["q"], "held_out": [], "answers": ["{days} days"], "passages": ["{hours} hours"]}
    with pytest.raises(CorpusError, match="the same slots"):
        corpus_module._to_intent("f", "some_intent", table, [])
