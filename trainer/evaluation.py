"""Has models answer many questions and compares what they say. Knows torch, and by `key_facts` what a right answer is."""

from collections.abc import Callable, Sequence, Set

import torch

from assistant.engine.base_model import BaseModel
from assistant.engine.rendering import render_prompt
from assistant.prompt import Message
from feedback_db.reports import Asked, Report, Suite
from trainer.key_facts import Fact, is_right, is_untouched, is_worded_alike, locate_key_facts
from trainer.run_directory import Row

_EVEN = 0.5
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


def find_guesses(base: BaseModel, prompts: Sequence[list[Message]], replies: Sequence[str]) -> list[frozenset[Fact]]:
    """Return of each reply the key facts that the model which gave it only guesses: some token of them was less likely than not.

    A tokenizer that does not tell where its tokens stand finds none.
    """
    return [_find_guesses(base, prompt, reply) for prompt, reply in zip(prompts, replies, strict=True)]


def _find_guesses(base: BaseModel, prompt: list[Message], reply: str) -> frozenset[Fact]:
    facts = locate_key_facts(reply)
    if not facts or not base.tokenizer.is_fast:
        return frozenset()
    told = base.tokenizer(reply, add_special_tokens=False, return_offsets_mapping=True)
    ids = torch.tensor([[*render_prompt(base.tokenizer, prompt), *told["input_ids"]]], device=base.device)
    count = len(told["input_ids"])
    with torch.inference_mode():
        logits = base.model(input_ids=ids, logits_to_keep=count + 1).logits[0, :-1].float()  # (count, vocabulary)
    likely = logits.softmax(-1).gather(-1, ids[0, -count:, None])[:, 0] >= _EVEN
    unlikely = [place for place, is_likely in zip(told["offset_mapping"], likely.tolist(), strict=True) if not is_likely]
    return frozenset(fact for fact, (start, end) in facts if any(first < end and last > start for first, last in unlikely))


def compare(
    run_id: str,
    rows: Sequence[Row],
    before: Sequence[str],
    after: Sequence[str],
    *,
    taught: Sequence[str],
    guessed: Sequence[Set[Fact]] | None = None,
) -> Report:
    """Judge the incumbent's and the candidate's replies to the same questions.

    A guard question wants what the incumbent says: same facts, whatever the wording; `guessed` are those of each of its replies that it
    only guesses, and that may become others. `taught` are the incumbent's replies to the
    questions that were trained: a guard question that it answers with the same sentence asks what has just been corrected, in words
    that no list foresaw, and leaves the suite.
    """
    is_corrected = match_replies([reply for row, reply in zip(rows, before, strict=True) if row.suite is Suite.UNTOUCHED], taught)
    leaves = iter(is_corrected)
    items = [
        _judge(row, first, second, guesses)
        for row, first, second, guesses in zip(rows, before, after, guessed or [frozenset()] * len(rows), strict=True)
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


def _judge(row: Row, before: str, after: str, guessed: Set[Fact]) -> Asked:
    if row.suite is None:
        raise ValueError("expected a row of a suite, found one that belongs to none")
    is_guard = row.suite is Suite.UNTOUCHED
    wanted = before if is_guard else row.reply
    return Asked(
        suite=row.suite,
        example_id=row.example_id,
        question=row.question,
        expected=wanted,
        before=before,
        after=after,
        is_right_before=is_right(before, wanted),
        is_right_after=is_untouched(after, before, guessed) if is_guard else is_right(after, wanted),
        turn_id=row.turn_id,
    )
