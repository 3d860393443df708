import errno
import json
import os
import shutil
import subprocess
import sys
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
from assistant.errors import (
    BaseCorruptError,
    BaseNotFoundError,
    BaseUnsupportedError,
    BundledBaseMissingError,
    DeviceError,
    NoDiskSpaceError,
    NoMemoryError,
)

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
    # Before it generates: a CPU with bfloat16 instructions has its weights packed anew by the first forward pass.
    assert all(module.weight.quant_state.nested for module in linears), "quantised twice: the scales are quantised, too"
    ids = base.tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], add_generation_prompt=True, return_tensors="pt")
    with torch.inference_mode():
        out = base.model.generate(**ids, max_new_tokens=5, do_sample=False, pad_token_id=base.tokenizer.pad_token_id)
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


@pytest.mark.parametrize("name", ["build.json", "README.md", "measures.json"])
def test_the_revision_does_not_follow_files_that_the_model_does_not_read(name: str, tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    (folder / name).write_text("{}")
    assert load_base_model(folder).revision == load_base_model(tiny_base).revision


def test_a_model_of_the_hub_is_loaded_at_one_commit(tiny_base: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(tiny_base, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    script = "from assistant.engine.base_model import load_base_model; print(load_base_model('someone/tiny', device='cpu').revision)"
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert result.stdout.strip() == commit, result.stderr


def test_a_bundled_base_that_is_not_there_says_how_to_make_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(base_model, "BUNDLED_BASE", tmp_path)
    with pytest.raises(BundledBaseMissingError, match=r"python -m trainer\.support_base build"):
        load_base_model(tmp_path)


@pytest.mark.parametrize("device", ["nonsense", "meta", "-1", f"cuda:{torch.cuda.device_count()}"])
def test_a_device_that_does_not_exist_is_named(device: str, tiny_base: Path) -> None:
    with pytest.raises(DeviceError, match=rf"Found '{device}'.*Set ERRATA_DEVICE to cpu"):
        load_base_model(tiny_base, device=device)


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


@pytest.mark.parametrize("field", ["intermediate_size", "vocab_size"])
@pytest.mark.parametrize("quantisation", Quantisation)
def test_weights_of_another_shape_than_the_config_are_reported_as_damage(
    field: str, quantisation: Quantisation, tiny_base: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, field: config[field] + 64}))
    with pytest.raises(BaseCorruptError, match=r"have another shape than config\.json says, among them"):
        load_base_model(folder, quantisation=quantisation)


def test_a_config_with_an_impossible_value_is_reported_as_damage(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": "two"}))
    with pytest.raises(BaseCorruptError, match="num_hidden_layers"):
        load_base_model(folder)


def refuse_with(error: Exception, cause: Exception | None = None) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise error from cause

    return refuse


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), None),
        (RuntimeError("fetching failed"), OSError(errno.ENOSPC, "No space left on device")),
        (RuntimeError("I/O error: No space left on device (os error 28)"), None),
    ],
)
def test_a_full_disk_is_said_in_a_sentence_however_deep_it_is_hidden(
    error: Exception, cause: Exception | None, monkeypatch: pytest.MonkeyPatch, tiny_base: Path
) -> None:
    monkeypatch.setattr(base_model.AutoTokenizer, "from_pretrained", refuse_with(error, cause))
    with pytest.raises(NoDiskSpaceError, match="Free some space, or set HF_HOME"):
        load_base_model(tiny_base)


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_said_in_a_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch, tiny_base: Path) -> None:
    monkeypatch.setattr(base_model.AutoModelForCausalLM, "from_pretrained", refuse_with(error))
    with pytest.raises(NoMemoryError, match="Expected enough memory on cpu for a base model"):
        load_base_model(tiny_base, device="cpu")


def test_a_package_that_a_tokenizer_needs_is_named(monkeypatch: pytest.MonkeyPatch, tiny_base: Path) -> None:
    refuse = refuse_with(ValueError("no tokenizer"), ModuleNotFoundError("No module named 'sentencepiece'"))
    monkeypatch.setattr(base_model.AutoTokenizer, "from_pretrained", refuse)
    with pytest.raises(BaseUnsupportedError, match="a package that is not installed: No module named 'sentencepiece'"):
        load_base_model(tiny_base)
