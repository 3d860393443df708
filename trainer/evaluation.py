"""Has models answer many questions and compares what they say. Knows torch, and by `key_facts` what a right answer is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from assistant.engine.base_model import BaseModel
from assistant.engine.rendering import render_prompt
from assistant.prompt import Message
from feedback_db.reports import Asked, Report, Suite
from trainer.key_facts import Fact, is_right, is_untouched, locate_key_facts
from trainer.matters import Sentence, match_sentences
from trainer.run_directory import Row

_EVEN = 0.5


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure a model is of a reply that it gave.

    `guessed` are the key facts in which some token was less likely than not; `sureness` is the likelihood of the least likely token
    outside the facts, between 0 and 1: the closest that the reply came to being another sentence.
    """

    guessed: frozenset[Fact] = frozenset()
    sureness: float = 1.0


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


def measure_confidence(base: BaseModel, prompts: Sequence[list[Message]], replies: Sequence[str]) -> list[Confidence]:
    """Return of each reply how sure the model is that gave it; one whose tokenizer does not tell where tokens stand is sure of all."""
    return [_measure_confidence(base, prompt, reply) for prompt, reply in zip(prompts, replies, strict=True)]


def _measure_confidence(base: BaseModel, prompt: list[Message], reply: str) -> Confidence:
    if not reply or not base.tokenizer.is_fast:
        return Confidence()
    told = base.tokenizer(reply, add_special_tokens=False, return_offsets_mapping=True)
    ids = torch.tensor([[*render_prompt(base.tokenizer, prompt), *told["input_ids"]]], device=base.device)
    count = len(told["input_ids"])
    with torch.inference_mode():
        logits = base.model(input_ids=ids, logits_to_keep=count + 1).logits[0, :-1].float()  # (count, vocabulary)
    likely: list[float] = logits.softmax(-1).gather(-1, ids[0, -count:, None])[:, 0].tolist()
    places: list[tuple[int, int]] = told["offset_mapping"]
    facts = locate_key_facts(reply)
    guessed = frozenset(
        fact for fact, span in facts if any(one < _EVEN and _overlap(place, span) for one, place in zip(likely, places, strict=True))
    )
    worded = [one for one, place in zip(likely, places, strict=True) if not any(_overlap(place, span) for _, span in facts)]
    return Confidence(guessed, min(worded, default=1.0))


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and one[1] > other[0]


def compare(
    run_id: str,
    rows: Sequence[Row],
    before: Sequence[str],
    after: Sequence[str],
    *,
    taught: Sequence[Sentence],
    confidences: Sequence[Confidence] | None = None,
) -> Report:
    """Judge the incumbent's and the candidate's replies to the same questions.

    A guard question wants what the incumbent says: same facts, whatever the wording. `confidences` tell how sure it is of each of its
    replies: facts that it only guesses may become others, and the guard questions that it is less sure of than of half of them are not
    counted, for any change at all tips those. `taught` are the sentences that tell of what was trained: a guard question that it answers
    with one of them asks what has just been corrected, in words that no list foresaw, and is not counted either.
    """
    confidences = confidences or [Confidence()] * len(rows)
    guard = [place for place, row in enumerate(rows) if row.suite is Suite.UNTOUCHED]
    matched = match_sentences([before[place] for place in guard], taught)
    asked = [place for place, sentence in zip(guard, matched, strict=True) if sentence is None]
    least = median([confidences[place].sureness for place in asked]) if asked else 0.0
    counted = {place for place in asked if confidences[place].sureness >= least}
    items = [
        _judge(row, before[place], after[place], confidences[place].guessed)
        for place, row in enumerate(rows)
        if row.suite is not Suite.UNTOUCHED or place in counted
    ]
    return Report(run_id=run_id, items=tuple(items))


def _judge(row: Row, before: str, after: str, guessed: frozenset[Fact]) -> Asked:
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
