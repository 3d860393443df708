"""The form for a recipe of one's own: a field for each of its settings, with the range that it may have."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from feedback_db.recipe import Range, Recipe, list_ranges

_LISTS = {"target_modules": "Names of linear layers, such as q_proj, v_proj", "layers": "Numbers of decoder layers, the first is 0"}


class RecipeForm:
    """Builds the fields and reads them back; `fields` is what a function must be given, in the order that `read` takes."""

    def __init__(self, default: Recipe) -> None:
        self._default = default
        self._ranges = list_ranges()
        self.fields: list[Any] = []

    def build(self) -> None:
        """Put the fields on the page, filled in with the default."""
        with gr.Row(elem_id="recipe-fields", elem_classes="fields"):
            for one in self._ranges:
                told = f"{_tell(one.least)} to {_tell(one.most)}: {one.why}."
                value, label, name = getattr(self._default, one.name), _word(one.name), f"recipe-{one.name}"
                if one.is_optional:  # a number that is left out would be shown as 0
                    text = "" if value is None else str(value)
                    self.fields.append(
                        gr.Textbox(label=label, info=f"{told} Empty for the base's own.", value=text, max_lines=1, elem_id=name)
                    )
                else:
                    self.fields.append(gr.Number(label=label, info=told, value=value, precision=0 if one.is_whole else None, elem_id=name))
            for name, told in _LISTS.items():
                chosen = ", ".join(map(str, getattr(self._default, name) or ()))
                self.fields.append(
                    gr.Textbox(label=_word(name), info=f"{told}; empty for all.", value=chosen, max_lines=1, elem_id=f"recipe-{name}")
                )

    def read(self, values: Sequence[Any]) -> Recipe | None:
        """Return the recipe that stands in the fields, None for the default one; a field that was emptied takes its default.

        Raises:
            RecipeError: a value is out of its range; names each.
        """
        numbers = {one.name: self._read_number(one, value) for one, value in zip(self._ranges, values, strict=False)}
        modules, layers = (_split(value) for value in values[len(self._ranges) :])
        found = Recipe(**numbers, target_modules=modules or None, layers=tuple(map(_read_whole, layers)) or None)
        return None if found == self._default else found

    def _read_number(self, one: Range, value: object) -> Any:
        if one.is_optional:
            text = str(value or "").strip()
            return _read_whole(text) if text else None
        return getattr(self._default, one.name) if value is None else value


def _word(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _tell(number: float) -> str:
    return f"{number:,}" if number >= 1 else f"{number:g}"


def _split(text: object) -> tuple[str, ...]:
    return tuple(part for part in str(text or "").replace(",", " ").split())


def _read_whole(text: str) -> Any:
    """Return a number where it is one; the recipe says what is wrong with anything else."""
    return int(text) if text.isdecimal() else text
