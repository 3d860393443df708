"""Loads a base model: the bundled one, a local folder, or one of the Hugging Face Hub, all by the same lines.

The only place in the project that says how a model is quantised. Knows nothing of adapters, prompts or replies.
"""

import errno
import hashlib
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import bitsandbytes
import torch
from huggingface_hub.errors import HFValidationError, StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging
from transformers.utils.hub import resolve_revision

from assistant.errors import (
    AssistantError,
    BaseCorruptError,
    BaseNotFoundError,
    BaseUnsupportedError,
    BundledBaseMissingError,
    DeviceError,
    NoDiskSpaceError,
    NoMemoryError,
)
from assistant.settings import BUNDLED_BASE

_FOUR_BITS = "nf4"  # with double quantisation (arXiv 2305.14314)
_DECIDING_FILES = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "chat_template*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges*",
    "*.model",
    "*.tiktoken",
)
_LOADING_ERRORS = (
    OSError,
    ImportError,
    MemoryError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    SafetensorError,
    StrictDataclassError,
)


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

    @property
    def context_tokens(self) -> int:
        """How many tokens, prompt and reply together, the base can look at, whatever stands beside them in a batch.

        Where it turns positions in another way beyond some length (longrope, dynamic), transformers does so for all rows of a pass by the
        longest, and what short ones had read before no longer fits: such a base looks at the length that it was trained at first.
        """
        config = self.model.config.get_text_config()
        most = int(getattr(config, "max_position_embeddings", 2048))
        rope = getattr(config, "rope_parameters", None) or {}
        kinds = [kind for kind in (rope, *rope.values()) if isinstance(kind, dict)]  # one for all layers, or one for each kind
        changing = [kind for kind in kinds if kind.get("rope_type") == "longrope" or "dynamic" in str(kind.get("rope_type"))]
        return min([most, *(int(kind.get("original_max_position_embeddings") or most) for kind in changing)])


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
        BundledBaseMissingError: the bundled base is asked for and is not there.
        BaseNotFoundError: no such folder and no such model within reach.
        BaseCorruptError: a file is truncated, weights are missing, or of another shape than the configuration says.
        BaseUnsupportedError: not a causal language model, without a chat template, or of a package that is not installed.
        DeviceError: no such device.
        NoMemoryError: the device's memory is too small.
        NoDiskSpaceError: the disk is full.
    """
    shown = str(name)
    _check_folder(name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    _check_device(device)
    commit = None if Path(name).is_dir() else _resolve_commit(shown)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=commit)
        model, loading = _load_weights(name, commit, quantisation, device, dtype or fast_dtype(device))
    except _LOADING_ERRORS as error:
        raise _explain_error(shown, device, error) from error
    _check_whole(shown, model, tokenizer, loading)
    revision = _hash_folder(Path(name)) if Path(name).is_dir() else commit or "unknown"
    return BaseModel(name=shown, revision=revision, quantisation=quantisation, model=model.eval(), tokenizer=tokenizer)


@torch.no_grad()
def round_weight(weight: Tensor) -> Tensor:
    """Return what is left of a weight, in its own type, after it has been quantised as `load_base_model` does and read back."""
    quantised, state = bitsandbytes.functional.quantize_4bit(weight, quant_type=_FOUR_BITS, compress_statistics=True)
    found: Tensor = bitsandbytes.functional.dequantize_4bit(quantised, state).to(weight.dtype)
    return found


def fast_dtype(device: str) -> torch.dtype:
    """Return bfloat16 where the hardware multiplies it, else float32 (a CPU without the instructions is three times slower in it)."""
    if device.startswith("cuda"):
        return torch.bfloat16
    return torch.bfloat16 if bitsandbytes.functional.has_avx512bf16() else torch.float32


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that the device's memory is exhausted; torch has a class for it on a GPU only."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def shorten_error(error: BaseException) -> str:
    """Return a foreign error's text on one line, fit to stand in a sentence."""
    return textwrap.shorten(str(error), 300, placeholder=" …") or type(error).__name__


def _load_weights(
    name: str | Path, commit: str | None, quantisation: Quantisation, device: str, dtype: torch.dtype
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Load the weights quietly; return the model and what transformers says of missing, unexpected and mismatched keys."""
    four_bit = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=_FOUR_BITS, bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what it would warn of, _check_whole raises
    model, loading = AutoModelForCausalLM.from_pretrained(
        name,
        revision=commit,
        quantization_config=four_bit if quantisation is Quantisation.NF4 else None,
        dtype=dtype,
        device_map={"": device},
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # reported in `loading`, so that _check_whole can say which
        output_loading_info=True,
    )
    return model, loading


def _check_folder(name: str | Path) -> None:
    """Refuse a folder that is not there or is no model's, before the Hub is asked for a model of that name."""
    has_config = (Path(name) / "config.json").exists()
    if Path(name) == BUNDLED_BASE and not has_config:
        raise BundledBaseMissingError(BUNDLED_BASE)
    is_path = isinstance(name, Path) or name.startswith(("/", ".", "~")) or name.count("/") > 1
    if is_path and not Path(name).is_dir():
        raise BaseNotFoundError(str(name), "there is no such folder")
    if Path(name).is_dir() and not has_config:
        raise BaseNotFoundError(str(name), "the folder has no config.json")


def _check_device(device: str) -> None:
    """Refuse a device that cannot hold a number; torch says why in a different class of error for each kind of device."""
    try:
        if torch.device(device).type == "meta":
            raise DeviceError(device, "it holds no numbers")
        torch.empty(1, device=device)
    except torch.OutOfMemoryError as error:
        raise NoMemoryError("a base model", device) from error
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        raise DeviceError(device, shorten_error(error)) from error


def _resolve_commit(name: str) -> str | None:
    """Ask the Hub, or the cache, once which commit a model is at, so that all files are of it; None if neither can tell."""
    return getattr(resolve_revision(name), "resolved", None)


def _check_whole(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, loading: dict[str, Any]) -> None:
    missing = sorted(loading.get("missing_keys", ()))
    if missing:
        raise BaseCorruptError(name, f"{len(missing)} weights are missing, among them {missing[0]}")
    mismatched = sorted(str(key[0]) for key in loading.get("mismatched_keys", ())) + _list_misshapen(model)
    if mismatched:
        raise BaseCorruptError(name, f"{len(mismatched)} weights have another shape than config.json says, among them {mismatched[0]}")
    if tokenizer.chat_template is None:
        raise BaseUnsupportedError(name, "its tokenizer has no chat template")


def _list_misshapen(model: PreTrainedModel) -> list[str]:
    """Name the quantised layers whose weights are not of the layer's shape; transformers does not compare what it quantises."""
    return [
        layer_name
        for layer_name, layer in model.named_modules()
        if isinstance(layer, bitsandbytes.nn.Linear4bit)
        and tuple(layer.weight.quant_state.shape) != (layer.out_features, layer.in_features)
    ]


def _explain_error(name: str, device: str, error: Exception) -> AssistantError:
    """Tell apart what transformers, its tokenizers and torch report by a handful of general classes."""
    chain = _chain(error)
    if any(_is_disk_full(link) for link in chain):
        return NoDiskSpaceError(name)
    if any(is_out_of_memory(link) for link in chain):
        return NoMemoryError("a base model", device)
    if isinstance(error, SafetensorError | StrictDataclassError):
        return BaseCorruptError(name, shorten_error(error))
    if isinstance(error, OSError | HFValidationError):
        return BaseCorruptError(name, shorten_error(error)) if Path(name).is_dir() else BaseNotFoundError(name, shorten_error(error))
    if needed := next((link for link in chain if isinstance(link, ImportError)), None):
        return BaseUnsupportedError(name, f"it needs a package that is not installed: {shorten_error(needed)}")
    return BaseUnsupportedError(name, shorten_error(error))


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and all that led to it, the latest first."""
    links: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop(0)
        if link is not None and link not in links:
            links.append(link)
            waiting += [link.__cause__, link.__context__]
    return links


def _is_disk_full(error: BaseException) -> bool:
    """Tell whether an error means a full disk; the Hub's downloader, written in Rust, says so in its text only."""
    return (isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}) or f"os error {errno.ENOSPC}" in str(error)


def _hash_folder(folder: Path) -> str:
    """Return a hash of the files that decide what a model says (names and contents)."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and any(fnmatchcase(path.name, pattern) for pattern in _DECIDING_FILES):
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
