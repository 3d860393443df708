"""What a run would train and ask, told in advance: ids and counts, no text, so that nothing of it has to be erased. Pure."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from feedback_db.training_records import ExampleId


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """An example that would be trained: in how many wordings that people wrote, and in how many rows; `is_new` to the live release."""

    id: ExampleId
    wordings: int
    rows: int
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run would do: new examples first; how many questions an epoch rehearses, and how many it stops by and asks.

    `tokens` are those of the examples in an epoch, `steps` the most that there can be, `seconds` how long that would take by the pace of
    the last run, None before the first.
    """

    examples: tuple[Foreseen, ...]
    rehearsed: int
    stop: int
    test: int
    golden: int
    guard: int
    unwatched: int
    tokens: int
    steps: int
    seconds: float | None


def write_forecast(forecast: Forecast) -> str:
    """Write a forecast as JSON."""
    return json.dumps(asdict(forecast))


def read_forecast(text: str) -> Forecast:
    """Read a forecast back."""
    found: dict[str, Any] = json.loads(text)
    return Forecast(**{**found, "examples": tuple(Foreseen(**one) for one in found["examples"])})
