import math
from collections import Counter

import pytest
import torch

from assistant.engine.reply import Sampling
from assistant.engine.sampling import choose_tokens, make_chooser

LOGITS = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05]).log()


def draw(sampling: Sampling, times: int = 4000) -> Counter[int | None]:
    chooser = make_chooser(sampling)
    rows = choose_tokens(LOGITS.repeat(times, 1), [chooser] * times, [[]] * times)
    return Counter(rows)


def test_no_temperature_takes_the_likeliest() -> None:
    assert draw(Sampling()) == {0: 4000}


def test_draws_follow_the_chances() -> None:
    found = draw(Sampling(temperature=1.0, seed=3))
    for token, share in enumerate([0.5, 0.2, 0.15, 0.1, 0.05]):
        assert abs(found[token] / 4000 - share) < 0.03


@pytest.mark.parametrize(
    ("sampling", "tokens"),
    [
        (Sampling(temperature=1.0, top_k=2), {0, 1}),
        (Sampling(temperature=1.0, top_k=99), {0, 1, 2, 3, 4}),
        (Sampling(temperature=1.0, top_k=10**400), {0, 1, 2, 3, 4}),
        (Sampling(temperature=1.0, top_p=0.6), {0, 1}),
        (Sampling(temperature=1.0, top_p=0.5), {0}),
        (Sampling(temperature=1.0, top_p=0.0), {0}),
        (Sampling(temperature=1.0, top_p=0.8, top_k=2), {0, 1}),
        (Sampling(temperature=0.01), {0}),
    ],
)
def test_what_is_cut_off_is_never_drawn_and_what_is_kept_is(sampling: Sampling, tokens: set[int]) -> None:
    assert set(draw(sampling)) == tokens


def test_a_high_temperature_evens_the_chances() -> None:
    found = draw(Sampling(temperature=100.0))
    assert max(found.values()) < 1.3 * min(found.values())


def test_a_rows_draws_depend_on_its_seed_and_on_no_other_row() -> None:
    def draw_ten(others: int) -> list[int | None]:
        chooser = make_chooser(Sampling(temperature=1.0, seed=9))
        beside = [make_chooser(Sampling(temperature=temperature, seed=1)) for temperature in ([0.0, 2.0] * others)[:others]]
        return [choose_tokens(LOGITS.repeat(others + 1, 1), [*beside, chooser], [[]] * (others + 1))[-1] for _ in range(10)]

    assert draw_ten(0) == draw_ten(3)


def test_a_repetition_penalty_makes_what_was_said_less_likely() -> None:
    logits = torch.tensor([[2.0, 1.5, -1.0, -1.1]])
    choosers = [make_chooser(Sampling(repetition_penalty=2.0))]
    assert choose_tokens(logits.clone(), choosers, [[]]) == [0]
    assert choose_tokens(logits.clone(), choosers, [[0]]) == [1]
    assert choose_tokens(logits - 3, choosers, [[0]]) == [1]


def test_numbers_that_are_not_finite_choose_nothing_and_spoil_no_other_row() -> None:
    logits = torch.stack([LOGITS, torch.full_like(LOGITS, math.nan), torch.full_like(LOGITS, -math.inf), LOGITS])
    choosers = [make_chooser(Sampling(temperature=temperature, top_k=1)) for temperature in (0.0, 1.0, 1.0, 1.0)]
    assert choose_tokens(logits, choosers, [[]] * 4) == [0, None, None, 0]


@pytest.mark.parametrize("temperature", [1e-5, 1e-30, 1e-45, 1e-300])
def test_a_temperature_near_zero_takes_the_likeliest(temperature: float) -> None:
    choosers = [make_chooser(Sampling(temperature=temperature))]
    assert choose_tokens(torch.tensor([[7.0, 5.0, 9.0, 8.0]]), choosers, [[]]) == [2]
