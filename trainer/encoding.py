"""Examples as token ids and labels: the loss lies on the tokens of the reply and its end, and nowhere else. Knows no model.

Prompt and reply are rendered by the base's own chat template and tokenised apart, exactly as serving does, so what is trained is what
will be served.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from assistant.engine.rendering import render_text
from assistant.prompt import Message
from trainer.errors import ExampleTooLongError, TemplateNotPrefixStableError

IGNORED = -100  # the label that torch's cross entropy skips


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example: ids, and labels of the same length, IGNORED outside the reply.

    `is_rehearsed` says that the reply is the base's own: to stay as it is, with everything that the base thinks possible beside it.
    """

    ids: list[int]
    labels: list[int]
    is_rehearsed: bool = False

    @property
    def label_count(self) -> int:
        """How many tokens are learned."""
        return sum(label != IGNORED for label in self.labels)


def encode_example(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], reply: str, *, max_length: int, end_ids: frozenset[int]
) -> Encoded:
    """Encode a prompt (its last message is the user's) and its reply.

    Args:
        tokenizer: the base's, with its chat template.
        messages: what is shown to the model.
        reply: what it shall say.
        max_length: the context in tokens.
        end_ids: tokens that end a reply; what a template prints after the first of them is left out.

    Raises:
        TemplateNotPrefixStableError: the rendered prompt is no beginning of the rendered conversation, so serving would see other text.
        ExampleTooLongError: it is longer than the context.
        TemplateRefusedError: the template cannot show these messages.
    """
    prompt = render_text(tokenizer, messages)
    answer: Message = {"role": "assistant", "content": reply}
    whole = render_text(tokenizer, [*messages, answer], add_generation_prompt=False)
    if not whole.startswith(prompt):
        raise TemplateNotPrefixStableError(_count_shared(prompt, whole), len(prompt))
    prompt_ids: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    reply_ids = _cut_after_end(tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"], end_ids)
    if len(prompt_ids) + len(reply_ids) > max_length:
        raise ExampleTooLongError(max_length, len(prompt_ids) + len(reply_ids))
    return Encoded(ids=prompt_ids + reply_ids, labels=[IGNORED] * len(prompt_ids) + reply_ids)


def collate(rows: Sequence[Encoded], *, pad_id: int) -> dict[str, Tensor]:
    """Pad rows on the left, so that the replies stand together at the end and the head needs to run there only.

    Returns:
        `input_ids`, `attention_mask` and `position_ids`, each (rows, length), and `labels` (rows, kept): those of the last places, from
        the one before the longest reply on; `is_rehearsed` (rows).
    """
    length = max(len(row.ids) for row in rows)
    kept = max(len(row.labels) - next((place for place, label in enumerate(row.labels) if label != IGNORED), 0) for row in rows) + 1
    return {
        "input_ids": torch.tensor([[pad_id] * (length - len(row.ids)) + row.ids for row in rows]),
        "attention_mask": torch.tensor([[0] * (length - len(row.ids)) + [1] * len(row.ids) for row in rows]),
        "position_ids": torch.tensor([[0] * (length - len(row.ids)) + list(range(len(row.ids))) for row in rows]),
        "labels": torch.tensor([([IGNORED] * kept + row.labels)[-kept:] for row in rows]),
        "is_rehearsed": torch.tensor([row.is_rehearsed for row in rows]),
    }


def list_end_ids(tokenizer: PreTrainedTokenizerBase, generation_eos: int | Sequence[int] | None) -> frozenset[int]:
    """Return the tokens at which a reply ends: what generation stops at, and the tokenizer's own end."""
    stops = [generation_eos] if isinstance(generation_eos, int) else list(generation_eos or ())
    return frozenset([*stops, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])])


def _count_shared(first: str, second: str) -> int:
    """Return how many characters two texts have in common before they differ."""
    return next(
        (place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), min(len(first), len(second))
    )


def _cut_after_end(ids: list[int], end_ids: frozenset[int]) -> list[int]:
    end = next((place for place, token in enumerate(ids) if token in end_ids), len(ids) - 1)
    return ids[: end + 1]
