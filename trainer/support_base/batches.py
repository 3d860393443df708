"""Dialogues as tensors: ids, labels on the replies only, micro-batches of rows of like length."""

from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from trainer.support_base.corpus import Corpus
from trainer.support_base.dialogues import draw_dialogue, draw_simple_dialogue
from trainer.support_base.plan import MAX_LENGTH, Plan
from trainer.support_base.tokenizer import END, ROLE_TOKENS
from trainer.support_base.turns import Dialogue

IGNORED = -100  # the label that the loss leaves out
Batch = dict[str, Tensor]
Row = tuple[list[int], list[int]]  # ids and labels of one dialogue


class Encoder:
    """Turns a dialogue into ids and labels; equals rendering the chat template, message by message."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._roles = {role: tokenizer.convert_tokens_to_ids(token) for role, token in ROLE_TOKENS.items()}
        self._end = tokenizer.convert_tokens_to_ids(END)

    def encode(self, dialogue: Dialogue) -> Row:
        """Return ids and labels, both cut to MAX_LENGTH; a label is IGNORED everywhere but in the replies and their ends."""
        messages = dialogue.messages()
        texts = self._tokenizer([message["content"] for message in messages], add_special_tokens=False)["input_ids"]
        ids: list[int] = []
        labels: list[int] = []
        for message, text in zip(messages, texts, strict=True):
            tail = [*text, self._end]
            ids += [self._roles[message["role"]], *tail]
            labels += [IGNORED, *(tail if message["role"] == "assistant" else [IGNORED] * len(tail))]
        return ids[:MAX_LENGTH], labels[:MAX_LENGTH]


class Steps(Dataset[list[Batch]]):
    """The training steps: item `n` is the micro-batches of step `n`, drawn from the seed and `n` alone.

    Dialogues are drawn for a pool of steps at once and sorted by length before they are cut into micro-batches: the rows of one
    are then nearly equally long (a step drawn by itself was padding to a quarter).
    """

    POOL_STEPS = 8

    def __init__(self, corpus: Corpus, encoder: Encoder, plan: Plan) -> None:
        self._corpus, self._encoder, self._plan = corpus, encoder, plan
        self._pool_number = -1
        self._pool: list[list[Batch]] = []

    def __len__(self) -> int:
        return self._plan.steps

    def __getitem__(self, step: int) -> list[Batch]:
        number, place = divmod(step, self.POOL_STEPS)
        if number != self._pool_number:
            self._pool_number, self._pool = number, self._draw_pool(number)
        return self._pool[place]

    def _draw_pool(self, number: int) -> list[list[Batch]]:
        rng = Random(f"{self._plan.seed}:{number}")
        share = self._plan.mixed_share(number * self.POOL_STEPS / self._plan.steps)
        rows: list[Row] = []
        count = 0
        while count < self._plan.tokens_per_step * self.POOL_STEPS:
            draw = draw_dialogue if rng.random() < share else draw_simple_dialogue
            rows.append(self._encoder.encode(draw(self._corpus, rng)))
            count += len(rows[-1][0])
        rows.sort(key=lambda row: len(row[0]))
        groups = group_rows(rows, self._plan.micro_batch_tokens)
        rng.shuffle(groups)
        return [[collate(group) for group in groups[place :: self.POOL_STEPS]] for place in range(self.POOL_STEPS)]


def group_rows(rows: Sequence[Row], token_budget: int) -> list[list[Row]]:
    """Cut rows, sorted by length, into groups that hold at most `token_budget` tokens once padded (a single longer row stays alone)."""
    groups: list[list[Row]] = [[]]
    for row in rows:
        if groups[-1] and len(row[0]) * (len(groups[-1]) + 1) > token_budget:
            groups.append([])
        groups[-1].append(row)
    return groups


def collate(rows: Sequence[Row], *, pad_id: int = 0) -> Batch:
    """Pad rows on the right into tensors of shape (rows, length).

    No attention mask is needed: attention is causal, so what stands before the padding never sees it.
    """
    length = max(len(ids) for ids, _ in rows)

    def pad(values: Sequence[int], filling: int) -> list[int]:
        return [*values, *[filling] * (length - len(values))]

    return {
        "input_ids": torch.tensor([pad(ids, pad_id) for ids, _ in rows]),
        "labels": torch.tensor([pad(labels, IGNORED) for _, labels in rows]),
    }
