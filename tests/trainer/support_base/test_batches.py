from dataclasses import replace
from random import Random

import torch
from transformers import PreTrainedTokenizerFast

from trainer.support_base.batches import IGNORED, Encoder, Steps
from trainer.support_base.corpus import Corpus
from trainer.support_base.dialogues import draw_dialogue
from trainer.support_base.plan import MAX_LENGTH, Plan

PLAN = Plan(steps=4, tokens_per_step=600, micro_batch_tokens=400)


def test_encoding_a_dialogue_equals_rendering_the_chat_template(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Encoder(tokenizer)
    for seed in range(40):
        dialogue = draw_dialogue(corpus, Random(seed))
        text = tokenizer.apply_chat_template(dialogue.messages(), tokenize=False)
        assert encoder.encode(dialogue)[0] == tokenizer(text, add_special_tokens=False)["input_ids"][:MAX_LENGTH]


def test_only_replies_and_their_ends_are_labelled(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    dialogue = draw_dialogue(corpus, Random(3))
    ids, labels = Encoder(tokenizer).encode(dialogue)
    assert all(label in {IGNORED, token} for token, label in zip(ids, labels, strict=True))
    said = tokenizer.decode([label for label in labels if label != IGNORED])
    assert said == "".join(turn.reply + tokenizer.eos_token for turn in dialogue.turns)


def test_at_least_a_tenth_of_the_tokens_stands_in_sequences_of_1024_and_more(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Encoder(tokenizer)
    lengths = [len(encoder.encode(draw_dialogue(corpus, Random(f"long:{seed}")))[0]) for seed in range(2500)]
    assert sum(length for length in lengths if length >= 1024) / sum(lengths) >= 0.12, "pretraining begins with short ones: some to spare"


def test_a_step_is_drawn_from_the_seed_and_its_number_alone(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Encoder(tokenizer)
    first, again, other = (Steps(corpus, encoder, plan)[3] for plan in (PLAN, PLAN, replace(PLAN, seed=2)))
    assert all(torch.equal(a["input_ids"], b["input_ids"]) for a, b in zip(first, again, strict=True))
    assert [batch["input_ids"].shape for batch in first] != [batch["input_ids"].shape for batch in other]


def test_a_micro_batch_stays_within_its_tokens(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    for batch in Steps(corpus, Encoder(tokenizer), PLAN)[0]:
        assert batch["input_ids"].numel() <= 400 or batch["input_ids"].shape[0] == 1


def test_building_starts_with_single_questions_and_ends_with_all_kinds() -> None:
    assert [PLAN.mixed_share(progress) for progress in (0.0, 0.08, 0.165, 0.25, 1.0)] == [0.0, 0.0, 0.5, 1.0, 1.0]
