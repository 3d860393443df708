from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.support_base.grammar import GrammarError, compile_pattern, fill_slots, pick_alternatives, slots_of


def every_pick(template: str) -> set[str]:
    return {pick_alternatives(template, Random(seed)) for seed in range(200)}


def test_each_alternative_is_picked_some_time() -> None:
    assert every_pick("(how|where) do i (pay|)") == {"how do i pay", "how do i", "where do i pay", "where do i"}


def test_alternatives_nest() -> None:
    assert every_pick("a (b(1|2)|c) d") == {"a b1 d", "a b2 d", "a c d"}


def test_a_bar_outside_parentheses_is_a_plain_character() -> None:
    assert every_pick("a|b") == {"a|b"}


@pytest.mark.parametrize("template", ["(a", "a)", "((a)", "(a|b))"])
def test_unbalanced_parentheses_are_refused(template: str) -> None:
    with pytest.raises(GrammarError, match="balanced parentheses"):
        pick_alternatives(template, Random(1))


def test_slots_are_filled_and_found_in_order() -> None:
    assert slots_of("{days} or {days2}") == ("days", "days2")
    assert fill_slots("{days} or {days2}", {"days": "3", "days2": "5"}) == "3 or 5"


@given(st.text(alphabet="abc.?*+[](){}|\\^$ ", max_size=30), st.text(alphabet="0123456789", min_size=1, max_size=5))
def test_a_pattern_finds_what_was_filled_whatever_the_literal_text(literal: str, value: str) -> None:
    literal = literal.replace("{", "").replace("}", "")
    pattern = compile_pattern(literal + " {x} days", lambda slot: r"\d+")
    found = pattern.search(f"Well: {literal} {value} days.")
    assert found is not None
    assert found["x"] == value


def test_a_slot_named_twice_must_hold_the_same_value() -> None:
    pattern = compile_pattern("{x} and {x}", lambda slot: r"\d+")
    assert pattern.search("4 and 4")
    assert not pattern.search("4 and 5")
