import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bitsandbytes
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    PhiConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from assistant.engine import base_model
from assistant.engine.base_model import Quantisation, load_base_model
from assistant.errors import BaseCorruptError, BaseNotFoundError, BaseUnsupportedError, NoDiskSpaceError

_SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
}
_ARCHITECTURES = {
    "llama": lambda size: LlamaConfig(vocab_size=size, **_SHAPE),
    "qwen3": lambda size: Qwen3Config(vocab_size=size, num_key_value_heads=1, head_dim=64, **_SHAPE),
    "mistral": lambda size: MistralConfig(vocab_size=size, num_key_value_heads=1, head_dim=64, sliding_window=16, **_SHAPE),
    "gemma3": lambda size: Gemma3TextConfig(vocab_size=size, num_key_value_heads=1, head_dim=64, sliding_window=16, **_SHAPE),
    "phi": lambda size: PhiConfig(vocab_size=size, **_SHAPE),
}


@pytest.mark.parametrize("architecture", _ARCHITECTURES)
def test_any_causal_language_model_loads_in_nf4_and_generates(
    architecture: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    make: Callable[[int], Any] = _ARCHITECTURES[architecture]
    AutoModelForCausalLM.from_config(make(len(tokenizer))).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    base = load_base_model(tmp_path, device="cpu")

    linears = [module for module in base.model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    assert len(linears) >= 12
    assert {module.weight.quant_type for module in linears} == {"nf4"}
    ids = base.tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], add_generation_prompt=True, return_tensors="pt")
    with torch.inference_mode():
        out = base.model.generate(**ids, max_new_tokens=5, do_sample=False, pad_token_id=base.tokenizer.pad_token_id)
    assert all(module.weight.quant_state.nested for module in linears), "quantised twice: the scales are quantised, too"
    assert out.shape[1] > ids["input_ids"].shape[1]


def test_a_base_can_be_loaded_unquantised(tiny_base: Path) -> None:
    base = load_base_model(tiny_base, quantisation=Quantisation.NONE)
    assert not any(isinstance(module, bitsandbytes.nn.Linear4bit) for module in base.model.modules())


def test_the_revision_follows_the_content(tiny_base: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(tiny_base, tmp_path / "changed")
    same = shutil.copytree(tiny_base, tmp_path / "same")
    config = changed / "generation_config.json"
    config.write_text(config.read_text() + "\n")
    revision = load_base_model(tiny_base).revision
    assert load_base_model(same).revision == revision
    assert load_base_model(changed).revision != revision


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(BaseNotFoundError, match=r"Expected a base model at '/nowhere/at-all'.*Check the spelling"):
        load_base_model("/nowhere/at-all")


def test_a_model_that_the_hub_does_not_give_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BaseNotFoundError, match="'nobody/has-this-model'"):
        load_base_model("nobody/has-this-model")


def test_an_empty_folder_is_no_base(tmp_path: Path) -> None:
    with pytest.raises(BaseNotFoundError):
        load_base_model(tmp_path)


@pytest.mark.parametrize("keep", [0, 8, 1000, -1])
def test_a_truncated_weight_file_is_reported_as_damage(keep: int, tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(BaseCorruptError, match="Found damage"):
        load_base_model(folder)


def test_a_weight_file_without_some_weights_is_reported_as_damage(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BaseCorruptError, match=r"1 weights are missing, among them .*up_proj"):
        load_base_model(folder)


def test_a_damaged_config_is_reported_as_damage(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    (folder / "config.json").write_text('{"model_type": "lla')
    with pytest.raises(BaseCorruptError):
        load_base_model(folder)


def test_a_missing_tokenizer_is_reported_as_damage(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    (folder / "tokenizer.json").unlink()
    with pytest.raises((BaseCorruptError, BaseUnsupportedError)):
        load_base_model(folder)


def test_a_base_without_chat_template_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(BaseUnsupportedError, match="no chat template"):
        load_base_model(folder)


def test_a_full_disk_while_fetching_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(base_model.AutoConfig, "from_pretrained", refuse)
    with pytest.raises(NoDiskSpaceError, match="Free some space, or set HF_HOME"):
        load_base_model("someone/large")
