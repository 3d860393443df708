"""What a run is given: examples and their wordings in, the rows of its run directory out. Pure.

A wording trains, stops or tests; none does two of these, and nothing that was trained is tested, but the question as it was asked where
there is no other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from random import Random

from assistant.prompt import Message, build_messages, prompt_budget
from feedback_db.recipe import Recipe
from feedback_db.reports import Suite
from feedback_db.training_records import Example, ExampleId, GoldenItem, OpeningQuestion
from trainer.examples import put_under, read_messages
from trainer.guard import leave_out, leave_out_contradicted, leave_out_unwatched, split_guard, watch_traffic
from trainer.run_directory import Row
from trainer.variants import Wordings, change_wording, name_wording

MOST_TRAFFIC = 100  # real questions that are asked to see what else changes
_LEAST_TRAINED = 6  # rows of an example, below which one wording is learned by heart, and the fact is not (arXiv 2309.14316)
_MOST_WATCHED = 160  # default guard questions; to ask more takes longer than it tells
_STOP_CHANGES = 2
_TEST_CHANGES = 3
_SPARE = 12  # changes drawn beyond those that are wanted, for some may be trained already
_DEFAULT_REPLY_TOKENS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedBase:
    """What the supervisor must know of the base that is served; `count_tokens` renders messages and counts them.

    `system_message` None is none, `device` None takes a GPU if there is one. Sampling bounds the reply by `max_tokens`.
    """

    name: str
    revision: str
    quantisation: str
    template_hash: str
    system_message: str | None
    device: str | None
    sampling: Mapping[str, float | int | bool | None]
    context_tokens: int
    count_tokens: Callable[[Sequence[Message]], int]

    @property
    def prompt_tokens(self) -> int:
        """How long a prompt may be, so that the reply fits behind it."""
        return prompt_budget(self.context_tokens, int(self.sampling.get("max_tokens") or _DEFAULT_REPLY_TOKENS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is to be trained and asked: the examples of a snapshot and their wordings; those that the live release has not learned.

    `golden` is the golden set, `traffic` are real questions that may be asked to see what else changes, `unwatched` the keys of those that
    reviewers no longer have watched.
    """

    examples: tuple[Example, ...]
    wordings: Mapping[ExampleId, Wordings]
    changed: tuple[Example, ...]
    golden: tuple[GoldenItem, ...] = ()
    traffic: tuple[OpeningQuestion, ...] = ()
    unwatched: Set[str] = frozenset()


Plan = Callable[[Material, Recipe], dict[str, list[Row]]]


def make_plan(questions: Sequence[Row], *, system_message: str | None) -> Plan:
    """Return a plan with these guard and replay questions, without those whose answers the examples change."""
    guard, replay = split_guard(questions)

    def plan(material: Material, recipe: Recipe) -> dict[str, list[Row]]:
        traffic = watch_traffic(material.traffic, system_message)
        golden = [
            Row(messages=tuple(build_messages(system_message, [], item.question)), reply=item.reply, suite=Suite.KEPT)
            for item in material.golden
        ]

        def keep_still(rows: Sequence[Row]) -> list[Row]:
            return leave_out(leave_out_unwatched(rows, material.unwatched), material.changed, material.wordings)

        return plan_rows(
            [put_under(example, system_message) for example in material.examples],
            material.wordings,
            guard=[*keep_still(guard)[:_MOST_WATCHED], *keep_still(traffic)],
            replay=leave_out(replay, material.examples, material.wordings),
            golden=leave_out_contradicted(golden, material.changed),
            recipe=recipe,
        )

    return plan


def plan_rows(
    examples: Sequence[Example],
    wordings: Mapping[ExampleId, Wordings],
    *,
    guard: Sequence[Row],
    replay: Sequence[Row],
    golden: Sequence[Row],
    recipe: Recipe,
) -> dict[str, list[Row]]:
    """Return the rows of a run directory by the names of its files.

    Replay is all there is, in an order that the seed draws, for each epoch takes the next of them; a `recipe.replay_share` of 0 is none.
    """
    rows: dict[str, list[Row]] = {"train": [], "stop": [], "test": [], "asked": []}
    trained = {_name_question(example, text) for example in examples for text in wordings[example.id].train}
    for example in examples:
        unseen = _leave_out_trained(example, wordings[example.id], trained)
        for name, planned in _plan_example(example, unseen, recipe.seed).items():
            rows[name] += planned
    shuffled = Random(f"replay:{recipe.seed}").sample(list(replay), len(replay) if recipe.replay_share > 0 else 0)
    return {**rows, "guard": list(guard), "golden": list(golden), "replay": shuffled}


def _name_question(example: Example, wording: str) -> tuple[str, ...]:
    """Name a question in its conversation, whatever its case, greeting or the order of its words."""
    before = [message["content"] for message in example.messages[:-1] if message["role"] == "user"]
    return (*before, name_wording(wording))


def _leave_out_trained(example: Example, wordings: Wordings, trained: Set[tuple[str, ...]]) -> Wordings:
    """Take away what another example, or another wording, trains: to ask it would be to test what was trained."""

    def keep(parts: Sequence[str]) -> tuple[str, ...]:
        return tuple(text for text in parts if _name_question(example, text) not in trained)

    return replace(wordings, stop=keep(wordings.stop), test=keep(wordings.test))


def _plan_example(example: Example, wordings: Wordings, seed: int) -> dict[str, list[Row]]:
    asked = example.messages[-1]["content"]
    reserved = {*wordings.stop, *wordings.test}
    train = [*dict.fromkeys(wordings.train)]
    train += _change(train, _LEAST_TRAINED - len(train), seed=f"train:{seed}", taken={*train, *reserved})
    stop = [text for text in dict.fromkeys(wordings.stop) if text not in train]
    stop = stop or _change([asked], _STOP_CHANGES, seed=f"stop:{seed}", taken={*train, *reserved})
    test = [text for text in dict.fromkeys(wordings.test) if text not in {*train, *stop}]
    suite = Suite.LEARNED if test else Suite.AS_ASKED
    test = test or [asked, *_change([asked], _TEST_CHANGES, seed=f"test:{seed}", taken={*train, *stop})]
    return {
        "train": [_word(example, text) for text in train],
        "stop": [_word(example, text) for text in stop],
        "test": [replace(_word(example, text), suite=suite) for text in test],
        "asked": [_word(example, text) for text in dict.fromkeys((*wordings.train, *wordings.stop))],
    }


def _change(wordings: Sequence[str], count: int, *, seed: str, taken: Iterable[str]) -> list[str]:
    """Return up to `count` changes, taken from each wording in turn, none of them among those that are taken."""
    if count <= 0:
        return []
    used = set(taken)
    changes = [change_wording(text, count + _SPARE, seed=seed) for text in wordings]
    turns = [one[place] for place in range(count + _SPARE) for one in changes if place < len(one)]
    return [text for text in dict.fromkeys(turns) if text not in used][:count]


def _word(example: Example, text: str) -> Row:
    """Return an example's row with its question in these words; what was said before it stays."""
    *earlier, _ = read_messages(example)
    return Row(messages=(*earlier, {"role": "user", "content": text}), reply=example.reply, example_id=example.id)
