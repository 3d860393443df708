"""How a run trains: hyper-parameters with safe defaults, and range checks that say why. Pure; knows neither SQL nor torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from feedback_db.errors import RecipeError


def _ranged(default: float, least: float, most: float, why: str) -> Any:
    """Declare a number with its range (both ends allowed) and what goes wrong outside it."""
    return field(default=default, metadata={"least": least, "most": most, "why": why})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The hyper-parameters of a run. The defaults suit some dozens of corrections on a small base.

    `target_modules` names the linear layers to adapt, such as "q_proj"; None adapts all of them. `layers` are the numbers of the
    decoder layers to adapt, the first is 0, and the others stay frozen; None adapts all. `max_length` (tokens) None is the base's whole
    context. `replay_share` is the share of an epoch's rows that are the base's own replies to other questions, and `anchor` how strongly
    they are held: the weight of their divergence from the base, against one of the corrections' loss.

    Raises:
        RecipeError: a value is out of its range, or of another kind; names each.
    """

    learning_rate: float = _ranged(5e-4, 1e-6, 1e-1, "below nothing is learned, above the weights diverge")
    batch_size: int = _ranged(8, 1, 512, "it counts examples of one optimizer step")
    epochs: int = _ranged(20, 1, 200, "more only repeats what is known by heart")
    rank: int = _ranged(16, 1, 256, "the assistant's adapter slots hold up to 256")
    alpha: float = _ranged(32.0, 1, 1024, "alpha divided by rank scales the adapter; beyond this it drowns the base")
    dropout: float = _ranged(0.0, 0.0, 0.5, "above half of the adapter is missing at every step")
    weight_decay: float = _ranged(0.0, 0.0, 1.0, "it shrinks the adapter")
    warmup_share: float = _ranged(0.1, 0.0, 0.5, "it is a share of the optimizer steps")
    clip_norm: float = _ranged(1.0, 0.01, 100.0, "gradients of another size are not clipped, or vanish")
    replay_share: float = _ranged(0.67, 0.0, 0.9, "above a tenth at most would be corrections")
    anchor: float = _ranged(8.0, 0.0, 1000.0, "it weighs how far replayed replies may drift; beyond this nothing else is learned")
    patience: int = _ranged(4, 1, 200, "it counts epochs without a better loss on the stop wordings, after which a run stops early")
    seed: int = _ranged(1, 0, 2**31 - 1, "generators of random numbers take no other")
    target_modules: tuple[str, ...] | None = None
    layers: tuple[int, ...] | None = None
    max_length: int | None = field(
        default=None, metadata={"least": 32, "most": 1_048_576, "why": "shorter contexts hold no question and reply"}
    )

    def __post_init__(self) -> None:
        problems = [problem for one in fields(self) if (problem := _find_problem(one.name, getattr(self, one.name), one.metadata))]
        problems += _find_list_problems("target_modules", self.target_modules, str)
        problems += _find_list_problems("layers", self.layers, int)
        if problems:
            raise RecipeError(problems)


_WHOLE = frozenset({"batch_size", "epochs", "rank", "patience", "seed", "max_length"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What a number of a recipe may be (both ends allowed), and what goes wrong outside; `is_optional` says that it may be left out."""

    name: str
    least: float
    most: float
    why: str
    is_whole: bool
    is_optional: bool


def list_ranges() -> list[Range]:
    """Return the range of every number in a recipe, in the order of the recipe."""
    return [
        Range(
            name=one.name,
            least=one.metadata["least"],
            most=one.metadata["most"],
            why=one.metadata["why"],
            is_whole=one.name in _WHOLE,
            is_optional=one.default is None,
        )
        for one in fields(Recipe)
        if one.metadata
    ]


def read_recipe(text: str) -> Recipe:
    """Read a recipe from JSON; what is left out takes its default.

    Raises:
        RecipeError: it is no JSON object, names an unknown setting, or a value is out of range.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise RecipeError([f"expected a JSON object, found text that is none ({error})"]) from error
    if not isinstance(found, dict):
        raise RecipeError([f"expected a JSON object, found {type(found).__name__}"])
    known = [one.name for one in fields(Recipe)]
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise RecipeError([f"expected settings among {', '.join(known)}, found {', '.join(unknown)}"])
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return Recipe(**values)


def write_recipe(recipe: Recipe) -> str:
    """Write a recipe as JSON, always in the same order, so that its hash names it."""
    return json.dumps(asdict(recipe), sort_keys=True)


def _find_problem(name: str, value: object, limits: Mapping[str, Any]) -> str | None:
    if not limits or (value is None and name == "max_length"):
        return None
    kind = "a whole number" if name in _WHOLE else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float) or (name in _WHOLE and not isinstance(value, int)):
        return f"{name}: expected {kind}, found {value!r}"
    if not limits["least"] <= value <= limits["most"]:  # a NaN is refused here, too
        return f"{name}: expected {kind} from {limits['least']:g} to {limits['most']:g}, found {value:g} ({limits['why']})"
    return None


def _find_list_problems(name: str, value: object, kind: type) -> list[str]:
    if value is None:
        return []
    wanted = "names" if kind is str else "numbers of layers, the first is 0"
    if not isinstance(value, tuple) or not value:
        return [f"{name}: expected a list of {wanted}, or null for all, found {value!r}"]
    wrong = [one for one in value if not isinstance(one, kind) or isinstance(one, bool) or (isinstance(one, int) and one < 0)]
    return [f"{name}: expected {wanted}, found {wrong[0]!r}"] if wrong else []
