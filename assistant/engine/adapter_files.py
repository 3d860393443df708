"""Adapters as folders: written aside and renamed, so that one that exists is whole; verified before anything touches the live model.

An adapter folder holds `adapter_model.safetensors`, `adapter_config.json`, `README.md` (its model card) and `manifest.json`, which is
written last and carries the hashes of the others and where the adapter comes from. Nothing else is read, and no pickle ever is.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from assistant.errors import AdapterCorruptError, AdapterRefusedError

WEIGHTS, CONFIG, CARD, MANIFEST = "adapter_model.safetensors", "adapter_config.json", "README.md", "manifest.json"
MAX_RANK = 256
_SHAPE = 1


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
    """A verified adapter folder; `hash` is that of its manifest and so names its exact content."""

    folder: Path
    hash: str
    lineage: Lineage
    rank: int


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
        _sync(path)
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)
    _sync(folder.parent)
    return verify_adapter(folder)


def verify_adapter(folder: Path, *, revision: str | None = None) -> Adapter:
    """Check a folder from the manifest to the last tensor and return what it holds.

    Args:
        folder: the adapter's folder.
        revision: the base revision that it must have been trained on; None leaves that open.

    Raises:
        AdapterCorruptError: a file is missing, truncated or changed, or a tensor is missing or not finite.
        AdapterRefusedError: it is whole, and of a kind or for a base that cannot be served.
    """
    manifest = _read_json(folder, MANIFEST)
    lineage = _read_lineage(folder, manifest)
    for name, expected in sorted(manifest["files"].items()):
        if hash_file(folder / name) != expected:
            raise AdapterCorruptError(folder, f"{name} is missing, cut short or changed since it was trained")
    if revision is not None and lineage.revision != revision:
        raise AdapterRefusedError(folder, f"it was trained on revision {lineage.revision} of {lineage.base}, and {revision} is served")
    config = _read_json(folder, CONFIG)
    _check_kind(folder, config)
    _check_tensors(folder, config)
    return Adapter(folder=folder, hash=hash_file(folder / MANIFEST), lineage=lineage, rank=int(config["r"]))


def hash_file(path: Path) -> str:
    """Return a file's sha256, or an empty text where there is no file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterCorruptError(folder, f"{name} cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise AdapterCorruptError(folder, f"{name} is no JSON object")
    return found


def _read_lineage(folder: Path, manifest: Mapping[str, Any]) -> Lineage:
    if manifest.get("shape") != _SHAPE:
        raise AdapterRefusedError(folder, f"its manifest is of shape {manifest.get('shape')}, and {_SHAPE} is read")
    try:
        if set(manifest["files"]) != {WEIGHTS, CONFIG, CARD}:
            raise AdapterCorruptError(folder, f"the manifest names {', '.join(manifest['files'])}")
        return Lineage(**manifest["lineage"])
    except (KeyError, TypeError) as error:
        raise AdapterCorruptError(folder, f"the manifest is incomplete ({error})") from error


def _check_kind(folder: Path, config: Mapping[str, Any]) -> None:
    """Admit plain LoRA only: its effect is a product of two small matrices beside each linear layer, which a slot can hold."""
    problems = {
        "it is no LoRA adapter": config.get("peft_type") != "LORA",
        "it uses DoRA": bool(config.get("use_dora")),
        "it trains biases": config.get("bias", "none") != "none",
        "it replaces whole modules": bool(config.get("modules_to_save")),
        f"its rank is not between 1 and {MAX_RANK}": not (isinstance(config.get("r"), int) and 1 <= config["r"] <= MAX_RANK),
    }
    for problem, is_found in problems.items():
        if is_found:
            raise AdapterRefusedError(folder, problem)


def _check_tensors(folder: Path, config: Mapping[str, Any]) -> None:
    """Check that each adapted layer has both of its matrices, in the promised rank, and that every number is finite."""
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise AdapterCorruptError(folder, f"{WEIGHTS} cannot be read ({error})") from error
    layers = {name.rpartition(".lora_")[0] for name in tensors}
    wanted = {f"{layer}.lora_{side}.weight" for layer in layers for side in "AB"}
    if not tensors or set(tensors) != wanted:
        odd = sorted(set(tensors) ^ wanted)
        raise AdapterCorruptError(folder, f"{len(odd)} tensors are missing or too many, among them {odd[0]}" if odd else "no tensors")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise AdapterCorruptError(folder, f"{name} holds numbers that are not finite")
        if tensor.shape[0 if ".lora_A." in name else 1] != config["r"]:
            raise AdapterCorruptError(folder, f"{name} is of shape {tuple(tensor.shape)}, and the rank is {config['r']}")


def _sync(path: Path) -> None:
    """Have a file or folder on the disk before going on."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
