from pathlib import Path
from random import Random

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.trainer.support_base.starting import start_base
from trainer.support_base.batches import Encoder, collate
from trainer.support_base.corpus import Corpus
from trainer.support_base.dialogues import draw_dialogue
from trainer.support_base.plan import Plan, Progress
from trainer.support_base.pretrain import pretrain, reply_loss

PLAN = Plan(steps=4, tokens_per_step=600, micro_batch_tokens=400, topic_texts=1000, steps_a_checkpoint=2)


class InterruptedBuildError(Exception):
    """Stands for a killed build."""


def test_padding_does_not_change_the_loss(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    model, encoder = start_base(corpus, tokenizer, PLAN).eval(), Encoder(tokenizer)
    rows = [encoder.encode(draw_dialogue(corpus, Random(seed))) for seed in (1, 2, 3)]
    with torch.no_grad():
        together = reply_loss(model, collate(rows))
        alone = [reply_loss(model, collate([row])) for row in rows]
    assert together.item() == pytest.approx(sum(loss.item() for loss in alone), rel=1e-4)


def test_the_base_has_the_promised_size_and_shape(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    model = start_base(corpus, tokenizer, PLAN)
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

        model = start_base(corpus, tokenizer, PLAN)
        pretrain(model, tokenizer, corpus, PLAN, folder, publish=publish, report_every=1)
        assert losses[-1] < losses[0] or len(losses) < PLAN.steps
        return model.state_dict()

    whole = build(tmp_path / "whole", None)
    with pytest.raises(InterruptedBuildError):
        build(tmp_path / "parts", 3)
    resumed = build(tmp_path / "parts", None)
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-5) for name in whole)
