from dataclasses import replace

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tests.trainer.support_base.starting import start_base
from trainer.support_base.corpus import Corpus
from trainer.support_base.plan import Plan

PLAN = Plan(topic_texts=3000)


def share_repeated(model: LlamaForCausalLM) -> float:
    """Return how often the model foresees the next token when 40 random tokens come a second time."""
    torch.manual_seed(3)
    once = torch.randint(300, model.config.vocab_size, (8, 40))
    ids = torch.cat([once, once], dim=1)
    with torch.no_grad():
        foreseen = model(input_ids=ids).logits[:, 40:-1].argmax(-1)
    return float((foreseen == ids[:, 41:]).float().mean())


def test_an_untrained_base_can_already_copy(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    primed = start_base(corpus, tokenizer, PLAN)
    assert share_repeated(primed) > 0.8
    assert share_repeated(LlamaForCausalLM(primed.config)) < 0.05


def test_the_same_seed_starts_from_the_same_weights(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    one, same, other = (start_base(corpus, tokenizer, replace(PLAN, seed=seed)).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["model.layers.1.self_attn.v_proj.weight"], other["model.layers.1.self_attn.v_proj.weight"])


def test_layers_write_nothing_but_copies_at_first(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    for layer in start_base(corpus, tokenizer, PLAN).model.layers:
        written: Tensor = layer.mlp.down_proj.weight
        assert not written.any()


def test_a_place_hears_what_the_tokens_before_it_have_to_do_with(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    model = start_base(corpus, tokenizer, PLAN)

    def hear(text: str) -> Tensor:
        ids = tokenizer(f"<|user|>{text}<|end|><|assistant|>", add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            return model.model(input_ids=ids, output_hidden_states=True).hidden_states[1][0, -1]

    parcel, box, password = hear("where is my parcel"), hear("has my parcel been sent"), hear("i forgot my password")
    assert torch.cosine_similarity(parcel, box, dim=0) > torch.cosine_similarity(parcel, password, dim=0)
