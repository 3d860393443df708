"""What a reviewer has ticked beside an item, as a browser sends it: it can send anything, so only known names and texts are taken. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assistant.plain_text import mend_surrogates
from feedback_db.records import TurnId
from feedback_db.training_records import ExampleId, GoldenId

READ_MARKS = (Path(__file__).parent / "review_marks.js").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Marks:
    """What shall come with an approval: what else is retired, what is changed to which reply, which wordings of others are taken.

    `unwatched` are the keys of guard questions that shall no longer be watched.
    """

    retired: tuple[ExampleId | GoldenId, ...] = ()
    changed: Mapping[ExampleId | GoldenId, str] = field(default_factory=dict)
    turn_ids: tuple[TurnId, ...] = ()
    unwatched: tuple[str, ...] = ()


def read_marks(told: str) -> Marks:
    """Return what a browser tells; what is no mark is left out."""
    try:
        found = json.loads(told or "{}")
    except ValueError:
        return Marks()
    if not isinstance(found, dict):
        return Marks()
    retired = [read_name(name) for name in _list_texts(found.get("retire"))]
    changes = found.get("change")
    texts = {name: mend_surrogates(text) for name, text in changes.items() if isinstance(text, str)} if isinstance(changes, dict) else {}
    changed = {read_name(mend_surrogates(name)): text for name, text in texts.items()}
    return Marks(
        retired=tuple(one for one in retired if one is not None and one not in changed),
        changed={one: text for one, text in changed.items() if one is not None},
        turn_ids=tuple(TurnId(one) for one in _list_texts(found.get("wordings"))),
        unwatched=tuple(_list_texts(found.get("unwatch"))),
    )


def name_known(known_id: ExampleId | GoldenId) -> str:
    """Return a name for an example or a golden item that a browser can send back."""
    return f"golden {known_id}" if isinstance(known_id, int) else f"example {known_id}"


def read_name(name: str) -> ExampleId | GoldenId | None:
    """Return what a name names, None for what is no name."""
    kind, _, one = name.partition(" ")
    if kind == "example" and one:
        return ExampleId(one)
    return GoldenId(int(one)) if kind == "golden" and one.isdecimal() and one.isascii() and len(one) < 19 else None


def _list_texts(found: object) -> list[str]:
    return [mend_surrogates(one) for one in found if isinstance(one, str)] if isinstance(found, list) else []
