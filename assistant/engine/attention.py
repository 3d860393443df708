"""What each token of a batch may look at: one mask for each kind of attention layer. Refuses bases that look back in another way."""

import inspect
from typing import TypeAlias

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from assistant.errors import BaseUnsupportedError

Mask: TypeAlias = Tensor | dict[str, Tensor]
_NEEDED = frozenset({"input_ids", "attention_mask", "position_ids", "past_key_values", "logits_to_keep"})


class Attention:
    """How a base's layers look back: over everything, or over a window of the last tokens."""

    def __init__(self, model: PreTrainedModel, name: str) -> None:
        """Read it from the base's configuration.

        Raises:
            BaseUnsupportedError: a layer remembers otherwise than by keys and values (a state space), or a mask cannot be given.
        """
        missing = sorted(_NEEDED - set(inspect.signature(model.forward).parameters))
        if missing:
            raise BaseUnsupportedError(name, f"its forward pass takes no {missing[0]}")
        config = model.config.get_text_config(decoder=True)
        layers = DynamicCache(config=config).layers or [DynamicLayer()]
        odd = next((type(layer).__name__ for layer in layers if type(layer) not in {DynamicLayer, DynamicSlidingWindowLayer}), None)
        if odd is not None or getattr(model, "_is_stateful", False):
            raise BaseUnsupportedError(name, f"it has layers that remember otherwise than by keys and values ({odd or 'a state'})")
        if config._attn_implementation not in {"sdpa", "eager"}:
            raise BaseUnsupportedError(name, f"its attention ({config._attn_implementation}) takes no mask for each row")
        kinds = getattr(config, "layer_types", None) or [""] * len(layers)
        self._windows = {kind: getattr(layer, "sliding_window", None) for kind, layer in zip(kinds, layers, strict=False)}
        self._adds = config._attn_implementation == "eager"
        self._dtype = model.dtype

    def mask(self, positions: Tensor, visible: int) -> Mask:
        """Return what tokens at these positions, (rows, length), may see of the first `visible` keys: by kind where there are several.

        A mask has the shape (rows, 1, length, visible). A ready mask switches transformers' own off, windows included.
        """
        keys = torch.arange(visible, device=positions.device)
        here = positions[:, None, :, None]
        seen = keys <= here
        masks = {
            kind: self._finish(seen if window is None or window >= visible else seen & (keys > here - window))
            for kind, window in self._windows.items()
        }
        return masks if len(masks) > 1 else next(iter(masks.values()))

    def _finish(self, seen: Tensor) -> Tensor:
        """Return a mask as the attention wants it: True where it may look, or a number to be added."""
        if not self._adds:
            return seen
        return torch.zeros(seen.shape, dtype=self._dtype, device=seen.device).masked_fill_(~seen, torch.finfo(self._dtype).min)
