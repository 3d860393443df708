from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from trainer.support_base.corpus import Corpus
from trainer.support_base.dialogues import draw_dialogue
from trainer.support_base.pretrain import IGNORED, MAX_LENGTH, Encoder, Plan, Progress, Steps, build_model, collate, pretrain, reply_loss

PLAN = Plan(steps=4, tokens_per_step=600, micro_batch_tokens=400)


class InterruptedBuildError(Exception):
    """Stands for a killed build."""


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


def test_padding_does_not_change_the_loss(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    model, encoder = build_model(tokenizer, seed=1).eval(), Encoder(tokenizer)
    rows = [encoder.encode(draw_dialogue(corpus, Random(seed))) for seed in (1, 2, 3)]
    with torch.no_grad():
        together, count = reply_loss(model, collate(rows))
        alone = [reply_loss(model, collate([row])) for row in rows]
    assert count == sum(number for _, number in alone)
    assert together.item() == pytest.approx(sum(loss.item() for loss, _ in alone), rel=1e-4)


def test_the_base_has_the_promised_size_and_shape(tokenizer: PreTrainedTokenizerFast) -> None:
    model = build_model(tokenizer, seed=1)
    assert 5e6 <= model.num_parameters() <= 7.5e6
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            assert module.in_features % 64 == 0, name
            assert module.out_features % 64 == 0, name


@pytest.mark.slow
def test_an_interrupted_build_ends_with_the_weights_of_an_uninterrupted_one(
    corpus: Corpus, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    def build(folder: Path, stop_at: int | None) -> dict[str, torch.Tensor]:
        losses: list[float] = []

        def publish(progress: Progress) -> None:
            losses.append(progress.loss)
            if progress.step == stop_at:
                raise InterruptedBuildError

        model = build_model(tokenizer, seed=1)
        pretrain(model, tokenizer, corpus, PLAN, folder, publish=publish, report_every=1, checkpoint_every=2)
        assert losses[-1] < losses[0] or len(losses) < PLAN.steps
        return model.state_dict()

    whole = build(tmp_path / "whole", None)
    with pytest.raises(InterruptedBuildError):
        build(tmp_path / "parts", 3)
    resumed = build(tmp_path / "parts", None)
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-5) for name in whole)
