"""Loads a base model: the bundled one, a local folder, or one of the Hugging Face Hub, all by the same lines.

The only place in the project that says how a model is quantised. Knows nothing of adapters, prompts or replies.
"""

import errno
import hashlib
import logging
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

# bitsandbytes looks for an optional package on some processors and warns when it is not there; we do not want that package (it
# fetches code from the Hub at import), so the warning is stopped where it is made, before the import.
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(lambda record: "gemm_4bit_forward" not in record.msg)

import bitsandbytes
import torch
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from assistant.errors import BaseCorruptError, BaseNotFoundError, BaseUnsupportedError, NoDiskSpaceError

BUNDLED_BASE = Path(__file__).parent.parent / "support_base"


class Quantisation(StrEnum):
    """How the base's linear layers are held in memory."""

    NF4 = "nf4"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """A loaded base. `revision` names its exact content: the Hub's commit, or a hash of a local folder's files."""

    name: str
    revision: str
    quantisation: Quantisation
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return torch.device(self.model.device)


def load_base_model(
    name: str | Path = BUNDLED_BASE,
    *,
    quantisation: Quantisation = Quantisation.NF4,
    device: str | None = None,
    dtype: torch.dtype | None = None,
) -> BaseModel:
    """Load a base for inference, by default in nf4 with double quantisation (arXiv 2305.14314).

    Args:
        name: a local folder, or a model's name on the Hub such as `Qwen/Qwen3-0.6B`.
        quantisation: how linear layers are held.
        device: "cpu", "cuda", "cuda:1" …; None takes the first GPU if there is one.
        dtype: what is computed in, and what is not quantised is held in; None takes what the device is fast in.

    Raises:
        BaseNotFoundError: no such folder and no such model within reach.
        BaseCorruptError: a file is truncated, or weights are missing.
        BaseUnsupportedError: not a causal language model, or without a chat template.
        NoDiskSpaceError: the disk is full.
    """
    shown = str(name)
    _check_folder(name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or fast_dtype(device)
    try:
        config = AutoConfig.from_pretrained(name)
        tokenizer = AutoTokenizer.from_pretrained(name)
        model, loading = _load_weights(name, quantisation, device, dtype)
    except (OSError, HFValidationError) as error:
        raise _explain_os_error(shown, error) from error
    except SafetensorError as error:
        raise BaseCorruptError(shown, str(error)) from error
    except (ValueError, KeyError, RuntimeError) as error:
        raise BaseUnsupportedError(shown, _first_line(error)) from error
    _check_whole(shown, tokenizer, loading)
    revision = _hash_folder(Path(name)) if Path(name).is_dir() else str(getattr(config, "_commit_hash", None) or "unknown")
    return BaseModel(name=shown, revision=revision, quantisation=quantisation, model=model.eval(), tokenizer=tokenizer)


def fast_dtype(device: str) -> torch.dtype:
    """Return bfloat16 where the hardware multiplies it, else float32 (a CPU without the instructions is three times slower in it)."""
    if device.startswith("cuda"):
        return torch.bfloat16
    return torch.bfloat16 if bitsandbytes.functional.has_avx512bf16() else torch.float32


def _load_weights(name: str | Path, quantisation: Quantisation, device: str, dtype: torch.dtype) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Load the weights quietly; return the model and what transformers says of missing and unexpected keys."""
    four_bit = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    transformers_logging.disable_progress_bar()
    model, loading = AutoModelForCausalLM.from_pretrained(
        name,
        quantization_config=four_bit if quantisation is Quantisation.NF4 else None,
        dtype=dtype,
        device_map={"": device},
        use_safetensors=True,
        output_loading_info=True,
    )
    return model, loading


def _check_folder(name: str | Path) -> None:
    """Refuse a folder that is not there or is no model's, before the Hub is asked for a model of that name."""
    is_path = isinstance(name, Path) or name.startswith(("/", ".", "~")) or name.count("/") > 1
    if is_path and not Path(name).is_dir():
        raise BaseNotFoundError(str(name), "there is no such folder")
    if Path(name).is_dir() and not (Path(name) / "config.json").exists():
        raise BaseNotFoundError(str(name), "the folder has no config.json")


def _check_whole(name: str, tokenizer: PreTrainedTokenizerBase, loading: dict[str, Any]) -> None:
    missing = sorted(loading.get("missing_keys", ()))
    if missing:
        raise BaseCorruptError(name, f"{len(missing)} weights are missing, among them {missing[0]}")
    if tokenizer.chat_template is None:
        raise BaseUnsupportedError(name, "its tokenizer has no chat template")


def _explain_os_error(name: str, error: Exception) -> Exception:
    """Tell apart what transformers reports as one kind of error: not found, damaged, disk full."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return NoDiskSpaceError(name)
    if Path(name).is_dir():
        return BaseCorruptError(name, _first_line(error))
    return BaseNotFoundError(name, _first_line(error))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _hash_folder(folder: Path) -> str:
    """Return a hash of the files that decide what a model says: configuration, weights, tokenizer (names and contents)."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".json", ".safetensors", ".jinja", ".model", ".txt"}:
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
