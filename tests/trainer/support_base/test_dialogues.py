import re
from collections import Counter
from random import Random

import pytest

from trainer.support_base import names
from trainer.support_base.corpus import Corpus
from trainer.support_base.dialogues import Composer, draw_dialogue
from trainer.support_base.evaluation import states
from trainer.support_base.reading import Reader
from trainer.support_base.turns import Dialogue, TurnKind
from trainer.support_base.values import ENTITY_KINDS, is_held_out


def some_dialogues(corpus: Corpus, count: int = 1200) -> list[Dialogue]:
    return [draw_dialogue(corpus, Random(f"test:{number}")) for number in range(count)]


def test_the_same_seed_draws_the_same_dialogue(corpus: Corpus) -> None:
    assert draw_dialogue(corpus, Random("x")) == draw_dialogue(corpus, Random("x"))


def test_every_reply_can_be_read_back_as_what_it_is(corpus: Corpus) -> None:
    reader = Reader(corpus)
    for dialogue in some_dialogues(corpus, 500):
        for turn in dialogue.turns:
            reading = reader.read(turn.reply)
            assert reading is not None, turn
            if turn.kind in {TurnKind.ANSWER, TurnKind.CLARIFY, TurnKind.FOLLOW_UP, TurnKind.SMALL_TALK}:
                assert (reading.kind, reading.topic) == (turn.kind, turn.topic), turn
            elif turn.kind is TurnKind.REFERENCE:
                assert reading.topic == turn.topic, turn
            else:
                assert reading.kind is turn.kind, turn


def test_at_least_a_fifth_of_the_dialogues_carries_a_reference_block(corpus: Corpus) -> None:
    dialogues = some_dialogues(corpus)
    with_reference = sum(any(turn.user.startswith("Reference:") for turn in dialogue.turns) for dialogue in dialogues)
    assert with_reference / len(dialogues) >= 0.2


def test_a_reference_reply_takes_its_facts_from_the_block_and_from_no_distractor(corpus: Corpus) -> None:
    turns = [turn for dialogue in some_dialogues(corpus) for turn in dialogue.turns if turn.kind is TurnKind.REFERENCE]
    assert len(turns) > 300
    for turn in turns:
        block, _, _ = turn.user.partition("\n\nQuestion:")
        assert turn.facts
        assert all(states(block, fact) and states(turn.reply, fact) for fact in turn.facts), turn


def test_a_reference_block_without_the_right_passage_is_declined(corpus: Corpus) -> None:
    composer = Composer(corpus, Random(3), held_out=False)
    turn = composer.add_reference_question(answerable=False)
    assert turn.kind is TurnKind.REFERENCE_REFUSAL
    assert not turn.facts
    assert "correction" in turn.reply


def test_pretraining_never_asks_about_a_held_out_name(corpus: Corpus) -> None:
    kinds = {intent.id: intent.entity for intent in corpus.intents.values()}
    for dialogue in some_dialogues(corpus):
        for turn in dialogue.turns:
            if turn.entity is not None:
                assert not is_held_out(str(kinds[turn.topic]), turn.entity)
    assert set(kinds.values()) - {None} == ENTITY_KINDS


@pytest.mark.parametrize(("kind", "listed"), [("city", names.CITIES), ("country", names.COUNTRIES), ("app", names.APPS)])
def test_no_held_out_name_of_a_list_stands_anywhere_in_pretraining(kind: str, listed: list[str], corpus: Corpus) -> None:
    said = " ".join(turn.user + " " + turn.reply for dialogue in some_dialogues(corpus, 2500) for turn in dialogue.turns)
    found = {name for name in listed if is_held_out(kind, name) and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said)}
    assert found == set()


def test_small_talk_and_other_topics_may_stand_behind_a_block_that_does_not_help(corpus: Corpus) -> None:
    turns = [turn for dialogue in some_dialogues(corpus) for turn in dialogue.turns if turn.user.startswith("Reference:")]
    assert any(turn.kind is TurnKind.SMALL_TALK for turn in turns)
    assert any(turn.kind is TurnKind.REFERENCE_REFUSAL and turn.topic in corpus.topics for turn in turns)


def test_the_wish_for_a_person_is_never_declined(corpus: Corpus) -> None:
    turns = [turn for dialogue in some_dialogues(corpus, 4000) for turn in dialogue.turns if turn.topic == "talk_to_person"]
    assert len(turns) > 50
    assert all(turn.kind in {TurnKind.ANSWER, TurnKind.FOLLOW_UP, TurnKind.REFERENCE} for turn in turns)


def test_what_only_a_block_could_tell_is_declined_without_one(corpus: Corpus) -> None:
    turn = Composer(corpus, Random(4), held_out=False).add_unknown()
    assert turn.kind is TurnKind.REFUSAL
    assert not corpus.knowledge[turn.topic].held_out


def test_measuring_asks_only_about_held_out_names(corpus: Corpus) -> None:
    for number, intent in enumerate(corpus.intents.values()):
        turn = Composer(corpus, Random(number), held_out=True).add_named_question(intent)
        if intent.entity is not None:
            assert turn.entity is not None
            assert is_held_out(intent.entity, turn.entity)


def test_asked_without_the_name_the_assistant_asks_back_and_then_answers(corpus: Corpus) -> None:
    composer = Composer(corpus, Random(5), held_out=False)
    asked = composer.add_clarification(corpus.intents["track_order"])
    answered = composer.add_supply(corpus.intents["track_order"])
    assert asked.kind is TurnKind.CLARIFY
    assert answered.kind is TurnKind.ANSWER
    assert answered.entity is not None
    assert answered.entity in answered.user
    assert answered.entity in answered.reply


def test_the_assistant_says_the_name_that_the_system_message_gives(corpus: Corpus) -> None:
    told = 0
    for seed in range(60):
        composer = Composer(corpus, Random(seed), held_out=False)
        turn = composer.add_small_talk("identity")
        assert all(name in turn.reply for name in composer.persona_told())
        told += bool(composer.persona_told())
    assert told > 30


def test_intents_are_asked_about_equally_often(corpus: Corpus) -> None:
    counts = Counter(turn.topic for dialogue in some_dialogues(corpus, 3000) for turn in dialogue.turns if turn.topic in corpus.intents)
    assert len(counts) == len(corpus.intents)
    assert min(counts.values()) * 3 > max(counts.values())
