from dataclasses import replace
from random import Random

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from trainer.support_base.batches import INVENTED_WEIGHT, Encoder, Steps
from trainer.support_base.corpus import Corpus
from trainer.support_base.dialogues import draw_dialogue
from trainer.support_base.plan import MAX_LENGTH, Plan
from trainer.support_base.turns import Dialogue, Turn, TurnKind

PLAN = Plan(steps=4, tokens_per_step=600, micro_batch_tokens=400)


def test_encoding_a_dialogue_equals_rendering_the_chat_template(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Encoder(tokenizer)
    for seed in range(40):
        dialogue = draw_dialogue(corpus, Random(seed))
        text = tokenizer.apply_chat_template(dialogue.messages(), tokenize=False)
        assert encoder.encode(dialogue).ids == tokenizer(text, add_special_tokens=False)["input_ids"][:MAX_LENGTH]


def test_only_replies_and_their_ends_are_targets(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    dialogue = draw_dialogue(corpus, Random(3))
    row = Encoder(tokenizer).encode(dialogue)
    said = tokenizer.decode([token for token, weight in zip(row.ids, row.weights, strict=True) if weight > 0])
    assert said == "".join(turn.reply + tokenizer.eos_token for turn in dialogue.turns)


@pytest.fixture(scope="module")
def build(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """The rows of steps from the whole length of a build."""
    steps = Steps(corpus, Encoder(tokenizer), Plan())
    batches = [batch["input_ids"] for step in range(0, len(steps), len(steps) // 25) for batch in steps[step]["batches"]]
    return [[token for token in row if token != tokenizer.pad_token_id] for batch in batches for row in batch.tolist()]


def test_at_least_a_tenth_of_the_tokens_stands_in_sequences_of_1024_and_more(build: list[list[int]]) -> None:
    lengths = [len(row) for row in build]
    assert sum(length for length in lengths if length >= 1024) / sum(lengths) >= 0.1


def test_at_least_a_fifth_of_the_dialogues_carries_a_reference_block(build: list[list[int]], tokenizer: PreTrainedTokenizerFast) -> None:
    texts = tokenizer.batch_decode(build)
    assert sum("Reference:" in text for text in texts) / len(texts) >= 0.2


def test_a_step_is_drawn_from_the_seed_and_its_number_alone(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Encoder(tokenizer)
    first, again, other = (Steps(corpus, encoder, plan)[3]["batches"] for plan in (PLAN, PLAN, replace(PLAN, seed=2)))
    assert all(torch.equal(a["input_ids"], b["input_ids"]) for a, b in zip(first, again, strict=True))
    assert [batch["input_ids"].shape for batch in first] != [batch["input_ids"].shape for batch in other]


def test_a_micro_batch_stays_within_its_tokens(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    for batch in Steps(corpus, Encoder(tokenizer), PLAN)[0]["batches"]:
        assert batch["input_ids"].numel() <= 400 or batch["input_ids"].shape[0] == 1


def test_a_value_that_nothing_told_weighs_little_and_one_that_the_block_told_fully(
    corpus: Corpus, tokenizer: PreTrainedTokenizerFast
) -> None:
    encoder = Encoder(tokenizer)

    def light_text(turn: Turn) -> str:
        row = encoder.encode(Dialogue(system=None, turns=(turn,)))
        return tokenizer.decode([token for token, weight in zip(row.ids, row.weights, strict=True) if weight == INVENTED_WEIGHT])

    said = "Delivery to Leeds takes 12 days and costs $12.50."
    turn = Turn(kind=TurnKind.ANSWER, topic="x", user="Leeds?", reply=said, entity="Leeds", invented=("12", "$12.50"))
    assert light_text(turn).replace(" ", "") in {"12$12.50", "1212.50"}
    assert light_text(replace(turn, invented=())) == ""


def test_building_starts_with_mostly_single_questions_and_ends_with_more_of_all_kinds() -> None:
    shares = [Plan().mixed_share(progress) for progress in (0.0, 0.3, 0.45, 0.6, 1.0)]
    assert shares == pytest.approx([0.08, 0.08, 0.19, 0.3, 0.3])


def test_a_cut_reply_keeps_the_prompt_its_opening_and_the_beginning_of_its_answer(tokenizer: PreTrainedTokenizerFast) -> None:
    reply = "I'm sorry about that. Open the Billing page and choose another card."
    turn = Turn(kind=TurnKind.ANSWER, topic="x", user="new card", reply=reply, core_at=reply.index("Open"))
    row = Encoder(tokenizer).encode(Dialogue(system=None, turns=(turn,)))
    cut = row.cut_reply(3)
    assert row.ids[: len(cut.ids)] == cut.ids
    opening = tokenizer("I'm sorry about that.", add_special_tokens=False)["input_ids"]
    learned = [token for token, weight in zip(cut.ids, cut.weights, strict=True) if weight > 0]
    assert tokenizer.decode(learned[: len(opening)]) == "I'm sorry about that."
    assert len(learned) == len(opening) + 3


def test_a_thinned_question_keeps_its_marks_its_reply_and_the_name_that_the_reply_says(tokenizer: PreTrainedTokenizerFast) -> None:
    reply = "The Clover lamp has a warranty of 3 years."
    turn = Turn(
        kind=TurnKind.ANSWER, topic="x", user="for how many years is my Clover lamp under warranty", reply=reply, entity="Clover lamp"
    )
    encoder = Encoder(tokenizer)
    row = encoder.encode(Dialogue(system=None, turns=(turn,)))
    said = tokenizer(reply, add_special_tokens=False)["input_ids"]
    thinned = [row.thin_out(encoder.marks, Random(seed)) for seed in range(20)]
    assert min(len(one.ids) for one in thinned) < len(row.ids)
    for one in thinned:
        assert len(one.ids) == len(one.weights)
        assert one.ids[one.core_at : one.core_at + len(said)] == said
        assert [id_ for id_ in one.ids if id_ in encoder.marks] == [id_ for id_ in row.ids if id_ in encoder.marks]
        assert set(said) & set(row.ids[: row.core_at]) <= set(one.ids[: one.core_at])
