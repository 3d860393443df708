import pytest

from feedback_db.recipe import Recipe
from trainer.epoch import count_rehearsed, count_steps


@pytest.mark.parametrize(
    ("corrections", "there", "share", "count"), [(6, 900, 0.67, 120), (300, 900, 0.67, 609), (6, 40, 0.67, 40), (6, 0, 0.9, 0)]
)
def test_an_epoch_rehearses_its_share_but_no_fewer_than_hold_the_base_still(corrections: int, there: int, share: float, count: int) -> None:
    assert count_rehearsed(corrections, there, share) == count


def test_the_last_step_of_an_epoch_may_be_a_short_one() -> None:
    assert count_steps(17, Recipe(batch_size=8, epochs=3)) == 9
