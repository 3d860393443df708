import json
from dataclasses import replace

import pytest

from feedback_db.errors import RecipeError
from feedback_db.recipe import Recipe, list_ranges, read_recipe, write_recipe


def test_the_defaults_are_in_range_and_survive_writing() -> None:
    assert read_recipe(write_recipe(Recipe())) == Recipe()
    chosen = Recipe(layers=(0, 3), target_modules=("q_proj",), max_length=512, learning_rate=2e-4)
    assert read_recipe(write_recipe(chosen)) == chosen


def test_what_is_left_out_takes_its_default() -> None:
    assert read_recipe('{"epochs": 3}') == replace(Recipe(), epochs=3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"learning_rate": 3.0}, "learning_rate: expected a number from 1e-06 to 0.1, found 3 (below nothing is learned"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a number"),
        ({"batch_size": 2.5}, "batch_size: expected a whole number, found 2.5"),
        ({"epochs": 0}, "epochs: expected a whole number from 1 to 200, found 0"),
        ({"rank": True}, "rank: expected a whole number, found True"),
        ({"replay_share": 0.95}, "replay_share: expected a number from 0 to 0.9"),
        ({"rank": None}, "rank: expected a whole number, found None"),
        ({"alpha": "32"}, "alpha: expected a number, found '32'"),
        ({"max_length": 8}, "max_length: expected a whole number from 32"),
        ({"layers": [-1]}, "layers: expected numbers of layers, the first is 0, found -1"),
        ({"layers": []}, "layers: expected a list"),
        ({"target_modules": "q_proj"}, "target_modules: expected a list of names, or null for all"),
        ({"target_modules": [1]}, "target_modules: expected names, found 1"),
    ],
)
def test_a_value_out_of_range_is_refused_and_told_why(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(RecipeError) as refused:
        read_recipe(json.dumps(changes))
    assert sentence in str(refused.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"epochs.*; rank"):
        read_recipe('{"epochs": -1, "rank": 0}')


@pytest.mark.parametrize("text", ["", "[]", "3", '{"epoch": 3}'])
def test_what_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        read_recipe(text)


def test_every_number_has_a_range_that_holds_its_default() -> None:
    for one in list_ranges():
        default = getattr(Recipe(), one.name)
        assert (default is None and one.is_optional) or one.least <= default <= one.most, one.name
        assert one.why
