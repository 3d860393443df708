import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from trainer.support_base.pretrain import build_model


def share_repeated(model: LlamaForCausalLM) -> float:
    """Return how often the model foresees the next token when 40 random tokens come a second time."""
    torch.manual_seed(3)
    once = torch.randint(300, model.config.vocab_size, (8, 40))
    ids = torch.cat([once, once], dim=1)
    with torch.no_grad():
        foreseen = model(input_ids=ids).logits[:, 40:-1].argmax(-1)
    return float((foreseen == ids[:, 41:]).float().mean())


def test_an_untrained_base_can_already_copy(tokenizer: PreTrainedTokenizerFast) -> None:
    primed = build_model(tokenizer, seed=1)
    assert share_repeated(primed) > 0.9
    assert share_repeated(LlamaForCausalLM(primed.config)) < 0.05


def test_the_same_seed_starts_from_the_same_weights(tokenizer: PreTrainedTokenizerFast) -> None:
    one, same, other = (build_model(tokenizer, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["model.layers.1.self_attn.v_proj.weight"], other["model.layers.1.self_attn.v_proj.weight"])


def test_layers_write_nothing_but_copies_at_first(tokenizer: PreTrainedTokenizerFast) -> None:
    for layer in build_model(tokenizer, seed=1).model.layers:
        written: Tensor = layer.mlp.down_proj.weight
        assert not written.any()
