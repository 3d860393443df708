import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from assistant.engine.base_model import round_weight
from trainer.support_base.grid import on_grid, put_on_grid


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(1)
    sizes = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 1}
    return LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=True))


def down(model: LlamaForCausalLM) -> Tensor:
    weight: Tensor = model.model.layers[0].mlp.down_proj.weight
    return weight


def test_what_is_on_the_grid_stays_where_it_is() -> None:
    torch.manual_seed(1)
    weight = torch.randn(128, 64)
    once = round_weight(weight).bfloat16()
    again = round_weight(once)
    assert 0.05 < (once - weight).norm() / weight.norm() < 0.15
    assert (again - once).float().norm() / once.float().norm() < 0.005


def test_the_model_computes_with_rounded_weights_and_keeps_the_exact_ones() -> None:
    model = make_model()
    exact = down(model).detach().clone()
    with on_grid(model):
        assert torch.equal(down(model), round_weight(exact))
        model(input_ids=torch.arange(12)[None]).logits.logsumexp(-1).sum().backward()
    assert torch.equal(down(model), exact)
    found = down(model).grad
    assert found is not None
    assert found.abs().sum() > 0


def test_the_exact_weights_come_back_after_an_error() -> None:
    model = make_model()
    exact = down(model).detach().clone()
    with pytest.raises(ZeroDivisionError), on_grid(model):
        raise ZeroDivisionError
    assert torch.equal(down(model), exact)


def test_embeddings_are_not_rounded() -> None:
    model = make_model()
    embeddings = model.model.embed_tokens.weight.detach().clone()
    exact = down(model).detach().clone()
    put_on_grid(model)
    assert torch.equal(model.model.embed_tokens.weight, embeddings)
    assert not torch.equal(down(model), exact)
