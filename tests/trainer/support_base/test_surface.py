from collections import Counter
from random import Random

from trainer.support_base.corpus import Corpus
from trainer.support_base.surface import Tone, roughen, type_question


def test_a_slot_survives_every_way_of_typing(corpus: Corpus) -> None:
    rng = Random(1)
    for _ in range(3000):
        wording = type_question("where is my order {order}, it was promised for today", corpus.common["user"], rng)
        assert wording.text.count("{order}") == 1


def test_the_same_seed_types_the_same(corpus: Corpus) -> None:
    lists = corpus.common["user"]
    assert type_question("where is it", lists, Random(7)) == type_question("where is it", lists, Random(7))


def test_people_type_in_many_ways(corpus: Corpus) -> None:
    rng = Random(2)
    texts = [type_question("where do i find my invoice", corpus.common["user"], rng) for _ in range(400)]
    assert len({wording.text for wording in texts}) > 250
    assert {wording.tone for wording in texts} == set(Tone)
    ends = Counter(wording.text[-1] in "?.!" for wording in texts)
    assert ends[False] > 100, "many leave the punctuation out"
    assert sum(wording.text == wording.text.lower() for wording in texts) > 100, "many leave the capitals out"


def test_a_short_message_stays_recognisable() -> None:
    assert {roughen(["hi"], Random(seed)).strip("?!.").lower() for seed in range(50)} == {"hi"}


def test_nothing_of_the_template_language_is_ever_typed(corpus: Corpus) -> None:
    rng = Random(3)
    for _ in range(4000):
        assert not set("(|)") & set(type_question("where is (it|my parcel)", corpus.common["user"], rng).text)
