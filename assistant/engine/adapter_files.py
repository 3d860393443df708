"""Adapters as folders: written aside and renamed, so that one that exists is whole; verified before anything touches the live model.

An adapter folder holds `adapter_model.safetensors`, `adapter_config.json`, `README.md` (its model card) and `manifest.json`, which is
written last and carries the hashes of the others and where the adapter comes from. Nothing else is read, and no pickle ever is.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from assistant.errors import AdapterCorruptError, AdapterRefusedError, AdapterUnreadableError
from assistant.plain_text import is_valid_unicode
from feedback_db.files import hash_file, sync_path

WEIGHTS, CONFIG, CARD, MANIFEST = "adapter_model.safetensors", "adapter_config.json", "README.md", "manifest.json"
MAX_RANK, MAX_ALPHA = 256, 1024
_SHAPE = 1
_WRAPPING = "base_model.model."  # peft's names for a base's layers begin with it
_DTYPES = frozenset({torch.float32, torch.float16, torch.bfloat16})
# Of a configuration, what is read elsewhere, and what has no say in a reply: which layers are adapted tell the tensors themselves.
_SILENT = frozenset(
    {
        "r",
        "lora_alpha",
        "lora_dropout",
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
        "base_model_name_or_path",
        "revision",
        "task_type",
        "inference_mode",
        "auto_mapping",
        "peft_version",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where an adapter comes from; `system_message` None means that it was trained without one."""

    base: str
    revision: str
    quantisation: str
    template_hash: str
    system_message: str | None
    run_id: str
    snapshot_id: str
    recipe: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A verified adapter, as its folder was read; `hash` is that of its manifest and so names its exact content.

    `scale` times B times A is what it adds to a linear layer; `layers` holds A and B by the layer's name in the base.
    """

    folder: Path
    hash: str
    lineage: Lineage
    rank: int
    scale: float
    layers: Mapping[str, tuple[Tensor, Tensor]] = field(repr=False, compare=False)  # (rank, in_features), (out_features, rank)


def write_adapter(folder: Path, write_files: Callable[[Path], None], lineage: Lineage) -> Adapter:
    """Have an adapter's files written aside, hash them, put the manifest last and move the whole to its place.

    Raises:
        AdapterCorruptError, AdapterRefusedError: what was written is no adapter that could be served.
    """
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    write_files(aside)
    manifest = {"shape": _SHAPE, "files": {name: hash_file(aside / name) for name in (WEIGHTS, CONFIG, CARD)}, "lineage": asdict(lineage)}
    (aside / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in (*aside.iterdir(), aside):
        sync_path(path)
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)
    sync_path(folder.parent)
    return verify_adapter(folder)


def verify_adapter(folder: Path, *, revision: str | None = None) -> Adapter:
    """Read a folder once, check it from the manifest to the last number, and return what was read.

    Args:
        folder: the adapter's folder.
        revision: the base revision that it must have been trained on; None leaves that open.

    Raises:
        AdapterCorruptError: a file is missing, truncated or changed, or says what no adapter says.
        AdapterRefusedError: it is whole, and of a kind or for a base that cannot be served.
        AdapterUnreadableError: a file cannot be read now.
    """
    manifest = _read_file(folder, MANIFEST)
    hashes, lineage = _read_manifest(folder, _parse(folder, MANIFEST, manifest))
    files = {name: _read_file(folder, name) for name in sorted(hashes)}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != hashes[name]:
            raise AdapterCorruptError(folder, f"{name} is cut short or changed since it was trained")
    if revision is not None and lineage.revision != revision:
        raise AdapterRefusedError(folder, f"it was trained on revision {lineage.revision} of {lineage.base}, and {revision} is served")
    rank, alpha = _read_kind(folder, _parse(folder, CONFIG, files[CONFIG]))
    layers = _read_layers(folder, files[WEIGHTS], rank)
    return Adapter(folder=folder, hash=hashlib.sha256(manifest).hexdigest(), lineage=lineage, rank=rank, scale=alpha / rank, layers=layers)


def _read_file(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise AdapterCorruptError(folder, f"{name} is missing ({error.strerror})") from error
    except OSError as error:  # of the disk, the rights, the process: none of it says what the file holds
        raise AdapterUnreadableError(folder, f"{name} cannot be read ({error.strerror})") from error


def _parse(folder: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise AdapterCorruptError(folder, f"{name} is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise AdapterCorruptError(folder, f"{name} is no JSON object")
    return found


def _read_manifest(folder: Path, manifest: Mapping[str, Any]) -> tuple[dict[str, object], Lineage]:
    """Return the hashes of the files, and the lineage."""
    if manifest.get("shape") != _SHAPE:
        raise AdapterRefusedError(folder, f"its manifest is of another shape than {_SHAPE}, the one that is read")
    hashes, lineage = manifest.get("files"), manifest.get("lineage")
    if not isinstance(hashes, dict) or set(hashes) != {WEIGHTS, CONFIG, CARD}:
        raise AdapterCorruptError(folder, f"the manifest names other files than {WEIGHTS}, {CONFIG} and {CARD}")
    if not isinstance(lineage, dict) or not _is_lineage(lineage):
        raise AdapterCorruptError(folder, "the manifest's lineage is incomplete, or of other types")
    return hashes, Lineage(**lineage)


def _is_lineage(found: Mapping[str, object]) -> bool:
    """Tell whether all of a lineage is there, and nothing else; its texts are quoted in sentences, so they must be texts."""
    texts = {name: value for name, value in found.items() if name != "recipe" and (name, value) != ("system_message", None)}
    return (
        set(found) == {field.name for field in fields(Lineage)}
        and isinstance(found["recipe"], dict)
        and all(isinstance(text, str) and is_valid_unicode(text) for text in texts.values())
    )


def _read_kind(folder: Path, config: Mapping[str, Any]) -> tuple[int, float]:
    """Return rank and alpha, admitting plain LoRA only: two small matrices beside each linear layer, and nothing else.

    Plain is what peft's own configuration says where nobody has chosen anything.
    """
    plain = asdict(LoraConfig())
    rank: Any = config.get("r")
    alpha: Any = config.get("lora_alpha")
    if config.get("peft_type") != plain["peft_type"]:
        raise AdapterRefusedError(folder, "it is no LoRA adapter")
    for key in sorted(config.keys() - _SILENT):
        if config[key] != plain.get(key):
            raise AdapterRefusedError(folder, f"it is no plain LoRA adapter, as its {key!a:.60} says")
    if not (type(rank) is int and 1 <= rank <= MAX_RANK):
        raise AdapterRefusedError(folder, f"its rank is not between 1 and {MAX_RANK}")
    if not (type(alpha) in {int, float} and 0 < alpha <= MAX_ALPHA):
        raise AdapterRefusedError(folder, f"its alpha is not between 0 and {MAX_ALPHA}")
    return rank, alpha


def _read_layers(folder: Path, weights: bytes, rank: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the two matrices of each adapted layer; both must be there, in the promised rank and of finite numbers."""
    try:
        tensors = load(weights)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AdapterCorruptError(folder, f"{WEIGHTS} cannot be read ({error})") from error
    layers = {name.removeprefix(_WRAPPING).rpartition(".lora_")[0] for name in tensors}
    matrices = {layer: (f"{_WRAPPING}{layer}.lora_A.weight", f"{_WRAPPING}{layer}.lora_B.weight") for layer in sorted(layers)}
    odd = sorted(set(tensors) ^ {name for pair in matrices.values() for name in pair})
    if odd or not tensors:
        raise AdapterCorruptError(folder, f"{len(odd)} tensors are missing or too many, among them {odd[0]}" if odd else "no tensors")
    for name, tensor in sorted(tensors.items()):
        _check_tensor(folder, name, tensor, rank)
    return {layer: (tensors[down], tensors[up]) for layer, (down, up) in matrices.items()}


def _check_tensor(folder: Path, name: str, tensor: Tensor, rank: int) -> None:
    if tensor.dtype not in _DTYPES:
        raise AdapterCorruptError(folder, f"{name} holds numbers of {tensor.dtype}")
    if tensor.ndim != 2 or tensor.shape[0 if name.endswith(".lora_A.weight") else 1] != rank:
        raise AdapterCorruptError(folder, f"{name} is of shape {tuple(tensor.shape)}, and the rank is {rank}")
    if not torch.isfinite(tensor).all():
        raise AdapterCorruptError(folder, f"{name} holds numbers that are not finite")
