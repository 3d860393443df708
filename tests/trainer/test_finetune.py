from dataclasses import replace
from pathlib import Path

import bitsandbytes
import pytest
import torch
from peft import PeftModel
from torch import Tensor

from assistant.engine.base_model import BaseModel, load_base_model
from assistant.prompt import build_messages
from feedback_db.recipe import Recipe
from trainer.encoding import IGNORED, Encoded, collate, encode_example, list_end_ids
from trainer.errors import LossNotFiniteError, NothingToTrainError, RepackedError
from trainer.finetune import EpochSampler, Fit, Step, add_adapter, finetune, keep_gradients, next_fit

RECIPE = Recipe(epochs=12, batch_size=4, rank=16, learning_rate=2e-2, warmup_share=0.0)
FIT = Fit(micro_batch=4, checkpointing=False, max_length=256)


@pytest.fixture
def base(tiny_base: Path) -> BaseModel:
    loaded = load_base_model(tiny_base, device="cpu", dtype=torch.float32)
    with torch.no_grad():
        loaded.model.get_output_embeddings().weight.mul_(20)  # a random head foresees all tokens alike, whatever an adapter does
    return loaded


@pytest.fixture
def rows(base: BaseModel) -> list[Encoded]:
    ends = list_end_ids(base.tokenizer, None)
    texts = [("how long?", "It takes 5 days."), ("where?", "In Leeds."), ("what does it cost?", "It costs $12."), ("who?", "Our team.")]
    return [
        encode_example(base.tokenizer, build_messages(None, [], question), reply, max_length=256, end_ids=ends) for question, reply in texts
    ]


def train(base: BaseModel, rows: list[Encoded], folder: Path, recipe: Recipe = RECIPE, fit: Fit = FIT) -> tuple[PeftModel, list[Step]]:
    steps: list[Step] = []
    return finetune(base, rows, [], recipe, folder, fit=fit, publish=steps.append), steps


def adapter_weights(model: PeftModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if "lora_" in name}


def gradients(model: PeftModel, rows: list[Encoded]) -> dict[str, Tensor]:
    model.zero_grad()
    batch = collate(rows, pad_id=0)
    labels, _ = batch.pop("labels"), batch.pop("is_rehearsed")
    logits = model(**batch, logits_to_keep=labels.shape[1]).logits[:, :-1]
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED).backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


@torch.no_grad()
def foresee(model: torch.nn.Module, rows: list[Encoded]) -> Tensor:
    """Log-probabilities (tokens, vocabulary) at the places of the replies."""
    batch = collate(rows, pad_id=0)
    labels, _ = batch.pop("labels"), batch.pop("is_rehearsed")
    logits = model(**batch, logits_to_keep=labels.shape[1]).logits[:, :-1]
    return logits[labels[:, 1:] != IGNORED].float().log_softmax(-1)


def divergence(before: Tensor, after: Tensor) -> float:
    return float(torch.nn.functional.kl_div(after, before, log_target=True, reduction="batchmean"))


def test_it_learns_and_leaves_the_base_as_it_was(base: BaseModel, rows: list[Encoded], tmp_path: Path) -> None:
    frozen = {name: value.clone() for name, value in base.model.state_dict().items() if "weight" in name}
    model, steps = train(base, rows, tmp_path, replace(RECIPE, epochs=60))
    assert steps[-1].loss < steps[0].loss / 2
    assert [step.step for step in steps] == list(range(1, 61))
    after = {name.replace(".base_layer", ""): value for name, value in model.get_base_model().state_dict().items() if "lora" not in name}
    assert all(torch.equal(value, after[name]) for name, value in frozen.items() if name in after)
    assert len([name for name in frozen if name in after]) > 10


def test_gradients_after_a_forward_without_gradients_equal_those_before(base: BaseModel, rows: list[Encoded]) -> None:
    model = add_adapter(base.model, RECIPE)
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)  # zero at first, and then nothing would flow into A
    before = gradients(model, rows)
    model.eval()
    with torch.no_grad():
        model(**{name: value for name, value in collate(rows, pad_id=0).items() if name not in {"labels", "is_rehearsed"}})
    after = gradients(model.train(), rows)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) and before[name].any() for name in before)
    layers = [module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    assert layers
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)


def test_a_base_whose_weights_were_repacked_for_inference_is_not_trained(base: BaseModel) -> None:
    layer = next(module for module in base.model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit))
    layer.weight.quant_state.packing_format_for_cpu = True  # what a CPU with bfloat16 instructions does at the first reply
    with pytest.raises(RepackedError, match="has answered nothing yet"):
        add_adapter(base.model, RECIPE)


def test_the_adapter_is_held_in_float32(base: BaseModel) -> None:
    assert {value.dtype for value in adapter_weights(add_adapter(base.model, RECIPE)).values()} == {torch.float32}


def test_only_the_layers_of_the_recipe_are_adapted(base: BaseModel) -> None:
    found = adapter_weights(add_adapter(base.model, Recipe(layers=(1,), target_modules=("q_proj", "v_proj"))))
    assert {name.split("layers.")[1][:1] for name in found} == {"1"}
    assert {name.split(".lora")[0].rpartition(".")[2] for name in found} == {"q_proj", "v_proj"}


@pytest.mark.parametrize("recipe", [Recipe(target_modules=("no_such",)), Recipe(layers=(40,))])
def test_a_recipe_that_names_no_layer_is_refused(base: BaseModel, recipe: Recipe) -> None:
    with pytest.raises(NothingToTrainError, match="Expected a recipe that adapts at least one linear layer"):
        add_adapter(base.model, recipe)


def test_rehearsed_replies_hold_their_distributions_still_where_likelihood_would_sharpen_them(
    tiny_base: Path, rows: list[Encoded], tmp_path: Path
) -> None:
    kept = [replace(row, is_rehearsed=True) for row in rows[2:]]
    drifts = {}
    for anchor in (0.0, 1000.0):
        loaded = load_base_model(tiny_base, device="cpu", dtype=torch.float32)
        keep_gradients(loaded.model)
        before = foresee(loaded.model, rows[2:])
        model, _ = train(loaded, [*rows[:2], *kept], tmp_path / str(anchor), replace(RECIPE, epochs=30, anchor=anchor))
        drifts[anchor] = divergence(before, foresee(model, rows[2:]))
    assert 0 < drifts[1000.0] < drifts[0.0] / 4


def test_each_epoch_holds_every_correction_and_the_next_of_the_rehearsed_rows(rows: list[Encoded]) -> None:
    corrections, rehearsed = rows[:2], [replace(rows[2], is_rehearsed=True)] * 300
    sampler = EpochSampler([*corrections, *rehearsed], 0.5, 4, seed=1)
    seen = set[int]()
    for epoch in range(3):
        sampler.set_epoch(epoch)
        places = list(sampler)
        assert len(places) == len(sampler) == 2 + 120
        assert {0, 1} < set(places)
        seen |= set(places)
    assert len(seen) == len(corrections) + len(rehearsed), "three epochs see all of them"


def test_only_rehearsed_replies_of_a_base_that_has_not_moved_cost_nothing(base: BaseModel, rows: list[Encoded], tmp_path: Path) -> None:
    _, steps = train(base, [replace(row, is_rehearsed=True) for row in rows], tmp_path, replace(RECIPE, epochs=2))
    assert steps[0].loss == pytest.approx(0.0, abs=1e-5)


def test_an_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(
    tiny_base: Path, rows: list[Encoded], tmp_path: Path
) -> None:
    whole, _ = train(load_base_model(tiny_base, device="cpu", dtype=torch.float32), rows, tmp_path / "whole")
    seen: list[Step] = []
    finetune(
        load_base_model(tiny_base, device="cpu", dtype=torch.float32),
        rows,
        [],
        RECIPE,
        tmp_path / "parts",
        fit=FIT,
        publish=seen.append,
        is_stopped=lambda: len(seen) >= 5,
    )
    assert seen[-1].step < RECIPE.epochs
    resumed, _ = train(load_base_model(tiny_base, device="cpu", dtype=torch.float32), rows, tmp_path / "parts")
    expected, found = adapter_weights(whole), adapter_weights(resumed)
    assert all(torch.allclose(expected[name], found[name], atol=1e-6) for name in expected)


def test_the_best_state_on_the_stop_rows_is_kept(base: BaseModel, rows: list[Encoded], tmp_path: Path) -> None:
    recipe = Recipe(epochs=40, batch_size=4, rank=4, learning_rate=5e-2, patience=2, warmup_share=0.0)
    steps: list[Step] = []
    finetune(base, rows[:2], rows[2:], recipe, tmp_path, fit=FIT, publish=steps.append)
    assert max(step.step for step in steps) < 40, "learning two replies by heart does not help the others, so it ends early"


def test_smaller_micro_batches_take_the_same_step(tiny_base: Path, rows: list[Encoded], tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch_size=4, rank=4, learning_rate=1e-2, warmup_share=0.0)
    whole, _ = train(load_base_model(tiny_base, device="cpu", dtype=torch.float32), rows, tmp_path / "whole", recipe)
    small = Fit(micro_batch=1, checkpointing=True, max_length=256)
    parts, _ = train(load_base_model(tiny_base, device="cpu", dtype=torch.float32), rows, tmp_path / "parts", recipe, small)
    expected, found = adapter_weights(whole), adapter_weights(parts)
    assert all(torch.allclose(expected[name], found[name], atol=2e-4) for name in expected)


def test_a_loss_that_is_not_finite_ends_the_training(base: BaseModel, rows: list[Encoded], tmp_path: Path) -> None:
    with torch.no_grad():
        base.model.get_output_embeddings().weight.fill_(float("nan"))
    with pytest.raises(LossNotFiniteError, match="Expected a finite loss"):
        train(base, rows, tmp_path)


def test_memory_that_does_not_do_leads_to_smaller_fits_and_then_to_none() -> None:
    error, fits = MemoryError(), [Fit(micro_batch=4, checkpointing=False, max_length=1024)]
    while (smaller := next_fit(fits[-1], error)) is not None:
        fits.append(smaller)
    assert [(fit.micro_batch, fit.checkpointing, fit.max_length) for fit in fits] == [
        (4, False, 1024), (2, False, 1024), (1, False, 1024), (1, True, 1024), (1, True, 512), (1, True, 256),
    ]  # fmt: skip
    assert next_fit(fits[0], RuntimeError("shapes do not match")) is None
