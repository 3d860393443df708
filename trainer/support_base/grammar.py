"""The small template language of the corpus: `(a|b|)` picks one, `{slot}` stands for a value. Pure; knows no values itself."""

import re
from collections.abc import Callable, Mapping
from random import Random

_SLOT = re.compile(r"\{(\w+)\}")


class GrammarError(ValueError):
    """A template has a parenthesis that nothing closes or opens."""

    def __init__(self, template: str) -> None:
        super().__init__(f"expected balanced parentheses, found {template!r}; close every '(' with a ')'")


def slots_of(template: str) -> tuple[str, ...]:
    """Return the names of a template's slots in their order, repeated ones included."""
    return tuple(_SLOT.findall(template))


def pick_alternatives(template: str, rng: Random) -> str:
    """Choose one of each `(a|b|c)`, innermost last, and leave the slots as they are.

    Raises:
        GrammarError: the parentheses do not balance.
    """
    text, end = _pick_sequence(template, 0, rng, depth=0)
    if end != len(template):
        raise GrammarError(template)
    return re.sub(r" +", " ", text).strip()


def _pick_sequence(template: str, start: int, rng: Random, *, depth: int) -> tuple[str, int]:
    """Read up to an unmatched ')' or the end; return the text picked among its '|' options and where reading stopped."""
    options, at = [""], start
    while at < len(template):
        char = template[at]
        if char == "(":
            text, at = _pick_sequence(template, at + 1, rng, depth=depth + 1)
            if at >= len(template):
                raise GrammarError(template)
            options[-1] += text
        elif char == ")":
            break
        elif char == "|" and depth:
            options.append("")
        else:
            options[-1] += char
        at += 1
    return rng.choice(options), at


def fill_slots(template: str, values: Mapping[str, str]) -> str:
    """Put values into the slots.

    Raises:
        KeyError: a slot has no value.
    """
    return _SLOT.sub(lambda match: values[match[1]], template)


def compile_pattern(template: str, slot_pattern: Callable[[str], str]) -> re.Pattern[str]:
    """Compile a regular expression that finds the template with any values; group `name` holds the slot `name`."""
    seen: set[str] = set()
    parts = []
    for index, part in enumerate(_SLOT.split(template)):
        if index % 2 == 0:
            parts.append(re.escape(part))
        elif part in seen:
            parts.append(f"(?P={part})")
        else:
            seen.add(part)
            parts.append(f"(?P<{part}>{slot_pattern(part)})")
    return re.compile("".join(parts))
