"""Has models answer many questions and compares what they say. Knows torch, and by `key_facts` what a right answer is."""

from collections.abc import Callable, Sequence

import torch

from assistant.engine.base_model import BaseModel
from assistant.engine.rendering import render_prompt
from assistant.prompt import Message
from feedback_db.reports import Asked, Report, Suite
from trainer.key_facts import is_right, is_worded_alike
from trainer.run_directory import Row

_GENERIC_SHARE = 0.05  # of the questions; see `match_replies`


def generate_replies(
    base: BaseModel,
    prompts: Sequence[list[Message]],
    *,
    max_tokens: int = 160,
    batch_size: int = 32,
    report: Callable[[int], None] | None = None,
) -> list[str]:
    """Return the greedy reply to each prompt, in the order of the prompts.

    Prompts of like length share a batch, padded on the left. `report` is called with the number of prompts done.
    """
    tokenizer = base.tokenizer
    rows = [render_prompt(tokenizer, prompt) for prompt in prompts]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    replies = [""] * len(rows)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = tokenizer.pad({"input_ids": [rows[index] for index in chosen]}, padding_side="left", return_tensors="pt").to(base.device)
        with torch.inference_mode():
            out = base.model.generate(**batch, do_sample=False, max_new_tokens=max_tokens, pad_token_id=tokenizer.pad_token_id)
        for index, ids in zip(chosen, out[:, batch["input_ids"].shape[1] :], strict=True):
            replies[index] = tokenizer.decode(ids, skip_special_tokens=True).strip()
        if report is not None:
            report(start + len(chosen))
    return replies


def compare(run_id: str, rows: Sequence[Row], before: Sequence[str], after: Sequence[str], *, taught: Sequence[str]) -> Report:
    """Judge the incumbent's and the candidate's replies to the same questions.

    A guard question wants what the incumbent says: same facts, whatever the wording. `taught` are the incumbent's replies to the
    questions that were trained: a guard question that it answers with the same sentence asks what has just been corrected, in words
    that no list foresaw, and leaves the suite.
    """
    is_corrected = match_replies([reply for row, reply in zip(rows, before, strict=True) if row.suite is Suite.UNTOUCHED], taught)
    leaves = iter(is_corrected)
    items = [
        _judge(row, first, second)
        for row, first, second in zip(rows, before, after, strict=True)
        if row.suite is not Suite.UNTOUCHED or not next(leaves)
    ]
    return Report(run_id=run_id, items=tuple(items))


def match_replies(replies: Sequence[str], taught: Sequence[str]) -> list[bool]:
    """Say of each reply whether it is the sentence of one of those to questions that are trained, whatever its names and numbers.

    A sentence that answers many of the questions, as a refusal does, tells nothing of what was asked and matches none.
    """
    generic = max(2.0, _GENERIC_SHARE * len(replies))
    telling = [one for one in dict.fromkeys(taught) if sum(is_worded_alike(reply, one) for reply in replies) <= generic]
    return [any(is_worded_alike(reply, one) for one in telling) for reply in replies]


def _judge(row: Row, before: str, after: str) -> Asked:
    if row.suite is None:
        raise ValueError("expected a row of a suite, found one that belongs to none")
    wanted = before if row.suite is Suite.UNTOUCHED else row.reply
    return Asked(
        suite=row.suite,
        example_id=row.example_id,
        question=row.question,
        expected=wanted,
        before=before,
        after=after,
        is_right_before=is_right(before, wanted),
        is_right_after=is_right(after, wanted),
        turn_id=row.turn_id,
    )
