"""What each token of a batch may look at: one mask for each kind of attention layer. Refuses bases that look back in another way."""

import inspect
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from assistant.errors import BaseUnsupportedError

Mask: TypeAlias = Tensor | dict[str, Tensor]
_IN_DTYPE_OF_KEYS = "sdpa_in_dtype_of_keys"
_NEEDED = frozenset({"input_ids", "attention_mask", "position_ids", "past_key_values", "logits_to_keep"})


def _attend(module: nn.Module, query: Tensor, key: Tensor, *rest: Any, **options: Any) -> tuple[Tensor, Any]:
    """Compute transformers' attention in the type of the keys."""
    found, weights = sdpa_attention_forward(module, query.to(key.dtype), key, *rest, **options)
    return found.to(query.dtype), weights


AttentionInterface.register(_IN_DTYPE_OF_KEYS, _attend)
AttentionMaskInterface.register(_IN_DTYPE_OF_KEYS, sdpa_mask)


class Attention:
    """How a base's layers look back: over everything, or over a window of the last tokens.

    `keys_dtype` is what keys and values are kept in. On a CPU that is float32: torch 2.13 attends to them in a fourth to a sixth of the
    time that it takes in bfloat16, one query a row (16 rows of 560 keys, 12 heads: 3.4 against 9.3 ms).
    """

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
        if config._attn_implementation not in {"sdpa", "eager", _IN_DTYPE_OF_KEYS}:
            raise BaseUnsupportedError(name, f"its attention ({config._attn_implementation}) takes no mask for each row")
        kinds = getattr(config, "layer_types", None) or [""] * len(layers)
        self._windows = {kind: getattr(layer, "sliding_window", None) for kind, layer in zip(kinds, layers, strict=False)}
        self._adds = config._attn_implementation == "eager"
        self._dtype = self.keys_dtype = model.dtype
        if model.device.type == "cpu" and not self._adds:
            self.keys_dtype = torch.float32
            model.set_attn_implementation(_IN_DTYPE_OF_KEYS)

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
