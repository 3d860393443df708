"""How much the engine may take on at once."""

from dataclasses import dataclass

import psutil
import torch

_SHARE_OF_FREE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """`rows` replies are written at once, `waiting` more may wait; `slots` adapters are loaded at once.

    `prefix_mb` bounds what is kept of the rows' keys and values for later turns, 0 keeps nothing.
    """

    rows: int = 16
    waiting: int = 64
    slots: int = 6
    prefix_mb: int = 256


def find_cache_bytes(device: torch.device) -> int:
    """Return how many bytes the rows may take on a device by what is free there now."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return int(free * _SHARE_OF_FREE)
