"""Is there room for a run? Looked at before anything is computed, so that a run does not die of it after an hour."""

import shutil
from pathlib import Path

import psutil
import torch

from assistant.engine.base_model import BaseModel
from feedback_db.recipe import Recipe
from trainer.errors import PreflightError

_MB = 1e6
_SPARE_MB = 100.0
_BYTES_A_NUMBER = 4 * 4  # the adapter, its gradient and the optimizer's two averages, in float32
_KEPT_COPIES = 4  # two checkpoints with the optimizer's state, the adapter, and the one being written


def check_room(base: BaseModel, recipe: Recipe, folder: Path) -> None:
    """Check that disk and memory have room for the training of an adapter; the base is loaded already.

    Raises:
        PreflightError: too little of either; says how much is missing.
    """
    adapter_mb = count_adapter_numbers(base, recipe) * _BYTES_A_NUMBER / _MB
    width = int(base.model.config.get_text_config().hidden_size)
    layers = int(base.model.config.get_text_config().num_hidden_layers)
    row_mb = min(recipe.max_length or 512, 512) * width * layers * 34 * 2 / _MB  # activations of one row (arXiv 2205.05198)
    base_mb = base.model.get_memory_footprint() / _MB  # the copy that is measured may be there before the trained one is gone
    found = {
        "disk": (_SPARE_MB + _KEPT_COPIES * adapter_mb, shutil.disk_usage(folder).free / _MB),
        "memory": (_SPARE_MB + adapter_mb + row_mb + base_mb, _free_memory(base.device) / _MB),
    }
    missing = [
        f"{free:,.0f} MB of {kind} are free, and {needed:,.0f} MB are needed" for kind, (needed, free) in found.items() if free < needed
    ]
    if missing:
        raise PreflightError(missing)


def count_adapter_numbers(base: BaseModel, recipe: Recipe) -> int:
    """Return about how many numbers an adapter of this recipe holds: all linear layers but the head, as if none were left out."""
    head = base.model.get_output_embeddings()
    layers = [module for module in base.model.modules() if isinstance(module, torch.nn.Linear) and module is not head]
    return sum(recipe.rank * (layer.in_features + layer.out_features) for layer in layers)


def _free_memory(device: torch.device) -> float:
    """Return the free memory of a device in bytes."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float(psutil.virtual_memory().available)
