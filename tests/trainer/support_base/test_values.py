import re
from random import Random

import pytest

from trainer.support_base.evaluation import slot_entropies
from trainer.support_base.values import ENTITY_KINDS, FACTS, draw_entity, draw_fact, is_held_out, slot_pattern


@pytest.mark.parametrize("slot", sorted(FACTS))
def test_every_drawn_fact_matches_its_pattern(slot: str) -> None:
    rng = Random(3)
    assert all(re.fullmatch(slot_pattern(slot), draw_fact(slot, rng)) for _ in range(500))


@pytest.mark.parametrize("kind", sorted(ENTITY_KINDS))
def test_a_third_of_the_names_is_never_drawn_for_pretraining(kind: str) -> None:
    rng = Random(5)
    seen = {draw_entity(kind, rng, held_out=False).lower() for _ in range(1500)}
    unseen = {draw_entity(kind, rng, held_out=True).lower() for _ in range(750)}
    assert not seen & unseen
    assert len(unseen) >= 12, "enough names to measure with"


def test_holding_out_is_decided_by_the_name_alone_whatever_its_case() -> None:
    assert is_held_out("city", "London") == is_held_out("city", "LONDON")


def test_facts_stay_spread() -> None:
    entropies = slot_entropies(1)
    assert min(entropies.values()) >= 2.3, "a working day has 2.3 bits: nothing may be more predictable"
    assert sum(entropies.values()) / len(entropies) >= 6


def test_a_second_slot_of_a_kind_draws_from_the_same_kind() -> None:
    assert re.fullmatch(r"\d+", draw_fact("days2", Random(1)))
