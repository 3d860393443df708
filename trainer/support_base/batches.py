"""Dialogues as tensors: ids, targets in the replies only, micro-batches of rows of like length."""

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerFast

from trainer.support_base.corpus import Corpus
from trainer.support_base.dialogues import draw_dialogue, draw_single_turn
from trainer.support_base.plan import MAX_LENGTH, Plan
from trainer.support_base.tokenizer import END, ROLE_TOKENS
from trainer.support_base.turns import Dialogue, Turn

INVENTED_WEIGHT = 0.1  # of a token in a value that nothing told: it can be learned as a kind of value only, and is mostly noise
REFERENCE_SHARE = 0.2  # of the single questions that come behind a reference block
CUT_SHARE = 0.75  # of the others whose reply is cut: twice as many questions for their tokens
THINNED_SHARE = 0.5  # of the single questions that come without a block, in which words are left out
LEFT_OUT = 0.15  # of the tokens of such a question
CUT_CORE_TOKENS = 5  # of the answer itself: they decide what the reply is about, the rest follows from them
Batch = dict[str, Tensor]


class Step(TypedDict):
    """One optimizer step: its micro-batches, the sum of its targets' weights, and how many real tokens it holds.

    The sums are plain numbers, so that no accelerator is waited for to know them.
    """

    batches: list[Batch]
    weight: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Row:
    """One dialogue, cut to MAX_LENGTH: ids, and the weight of each as a target (0 outside the replies and their ends).

    `core_at` is the place where the last reply's answer begins, behind an opening.
    """

    ids: list[int]
    weights: list[float]
    core_at: int

    def thin_out(self, kept: Container[int], rng: Random) -> "Row":
        """Return the row without some of the prompt's tokens, but with those `kept` and all that the reply repeats.

        So no single word decides what a question is about, and others must tell it, too.
        """
        first = next(at for at, weight in enumerate(self.weights) if weight > 0)
        said = set(self.ids[first:])
        left = [at for at, id_ in enumerate(self.ids) if at >= first or id_ in kept or id_ in said or rng.random() >= LEFT_OUT]
        shift = len(self.ids) - len(left)
        return Row([self.ids[at] for at in left], [self.weights[at] for at in left], self.core_at - shift)

    def cut_reply(self, count: int) -> "Row":
        """Return the row up to the first `count` tokens of the last reply's answer."""
        end = self.core_at + count
        return Row(self.ids[:end], self.weights[:end], self.core_at)


class Encoder:
    """Turns a dialogue into ids and their weights as targets; equals rendering the chat template, message by message.

    `marks` are the ids that tell where messages begin and end.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._roles = {role: tokenizer.convert_tokens_to_ids(token) for role, token in ROLE_TOKENS.items()}
        self._end = tokenizer.convert_tokens_to_ids(END)
        self.marks = frozenset((*self._roles.values(), self._end))

    def encode(self, dialogue: Dialogue) -> Row:
        """Return the dialogue's ids and the weight of each as a target."""
        messages = dialogue.messages()
        found = self._tokenizer([message["content"] for message in messages], add_special_tokens=False, return_offsets_mapping=True)
        turns = iter(dialogue.turns)
        ids: list[int] = []
        weights: list[float] = []
        core_at = 0
        for message, text, offsets in zip(messages, found["input_ids"], found["offset_mapping"], strict=True):
            ids += [self._roles[message["role"]], *text, self._end]
            if message["role"] == "assistant":
                turn = next(turns)
                core_at = len(weights) + 1 + sum(end <= turn.core_at for _, end in offsets)
                weights += [0.0, *_weigh(turn, offsets), 1.0]
            else:
                weights += [0.0] * (len(text) + 2)
        return Row(ids[:MAX_LENGTH], weights[:MAX_LENGTH], core_at)


def _weigh(turn: Turn, offsets: Sequence[tuple[int, int]]) -> list[float]:
    """Weigh the tokens of a reply, given as stretches of characters: little where a value is invented, else fully."""
    invented: set[int] = set()
    for value in turn.invented:
        for match in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", turn.reply):
            invented.update(range(*match.span()))
    # A token begins with the blank before its word: its last character tells where it belongs.
    return [INVENTED_WEIGHT if end - 1 in invented else 1.0 for _, end in offsets]


class Steps(Dataset[Step]):
    """The training steps: item `n` is step `n`, drawn from the seed and the number of its block alone."""

    def __init__(self, corpus: Corpus, encoder: Encoder, plan: Plan) -> None:
        self._corpus, self._encoder, self._plan = corpus, encoder, plan
        self._block: tuple[int, list[list[Row]]] = (-1, [])

    def __len__(self) -> int:
        return self._plan.steps

    def __getitem__(self, step: int) -> Step:
        number, at = divmod(step, self._plan.steps_a_block)
        if self._block[0] != number:
            self._block = number, self._draw_block(number)
        rows = self._block[1][at]
        return {
            "batches": [collate(group) for group in group_rows(rows, self._plan.micro_batch_tokens)],
            "weight": sum(sum(row.weights) for row in rows),
            "tokens": sum(len(row.ids) for row in rows),
        }

    def _draw_block(self, number: int) -> list[list[Row]]:
        """Draw the rows of a block and share them out by length among its steps, in random order."""
        plan, rng = self._plan, Random(f"{self._plan.seed}:{number}")
        share = plan.mixed_share(number * plan.steps_a_block / plan.steps)
        rows: list[Row] = []
        count = 0
        while count < plan.tokens_per_step * plan.steps_a_block:
            rows.append(self._draw_row(rng, share))
            count += len(rows[-1].ids)
        rows.sort(key=lambda row: len(row.ids))
        steps: list[list[Row]] = [[] for _ in range(plan.steps_a_block)]
        before = 0
        for row in rows:
            steps[before * plan.steps_a_block // count].append(row)
            before += len(row.ids)
        rng.shuffle(steps)
        return steps

    def _draw_row(self, rng: Random, mixed_share: float) -> Row:
        if rng.random() < mixed_share:
            return self._encoder.encode(draw_dialogue(self._corpus, rng))
        has_reference = rng.random() < REFERENCE_SHARE
        row = self._encoder.encode(draw_single_turn(self._corpus, rng, has_reference=has_reference))
        if has_reference:
            return row
        row = row.thin_out(self._encoder.marks, rng) if rng.random() < THINNED_SHARE else row
        return row.cut_reply(CUT_CORE_TOKENS) if rng.random() < CUT_SHARE else row


class BlockSampler(Sampler[int]):
    """Orders the steps so that each of so many processes, which take turns, is asked for the steps of a block one after another."""

    def __init__(self, plan: Plan, processes: int) -> None:
        self._plan, self._processes = plan, processes

    def __len__(self) -> int:
        return self._plan.steps

    def __iter__(self) -> Iterator[int]:
        size = self._plan.steps_a_block
        for first in range(0, self._plan.steps, size * self._processes):
            for at in range(size):
                numbers = (first + process * size + at for process in range(self._processes))
                yield from (number for number in numbers if number < self._plan.steps)


def group_rows(rows: Sequence[Row], token_budget: int) -> list[list[Row]]:
    """Cut rows, sorted by length, into groups that hold at most `token_budget` tokens once padded (a single longer row stays alone)."""
    groups: list[list[Row]] = [[]]
    for row in rows:
        if groups[-1] and len(row.ids) * (len(groups[-1]) + 1) > token_budget:
            groups.append([])
        groups[-1].append(row)
    return groups


def collate(rows: Sequence[Row], *, pad_id: int = 0) -> Batch:
    """Pad rows on the right, and list the targets.

    `input_ids` has the shape (rows, length). `places` (where in the flattened rows a target is foreseen), `targets` (ids) and `weights`
    have the shape (targets,). No attention mask is needed: attention is causal, so what stands before the padding never sees it.
    Targets are told by their places, since to look for them on an accelerator would wait for it.
    """
    length = max(len(row.ids) for row in rows)
    found = [
        (number * length + at - 1, row.ids[at], weight)
        for number, row in enumerate(rows)
        for at, weight in enumerate(row.weights)
        if weight > 0
    ]
    places, targets, weights = zip(*found, strict=True)
    return {
        "input_ids": torch.tensor([[*row.ids, *[pad_id] * (length - len(row.ids))] for row in rows]),
        "places": torch.tensor(places),
        "targets": torch.tensor(targets),
        "weights": torch.tensor(weights),
    }
