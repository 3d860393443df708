"""How a base is pretrained, and what a running build reports. Pure."""

from dataclasses import dataclass

# The context of the base, in tokens.
MAX_LENGTH = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how to pretrain.

    `tokens_per_step` counts real (not padding) tokens of one optimizer step; `micro_batch_tokens` bounds what one forward pass
    holds, padding included. Up to the share `simple_until` of the steps all dialogues are single questions, from `mixed_from` on
    they are of all kinds, between them the mixture shifts evenly: in short contexts the model finds out early that the question
    decides the reply (measured: without this, 4 M tokens taught it the answers but not which question wants which).
    """

    seed: int = 1
    steps: int = 2800
    tokens_per_step: int = 4096
    micro_batch_tokens: int = 4096
    learning_rate: float = 4e-3
    warmup_share: float = 0.02
    weight_decay: float = 0.05
    simple_until: float = 0.08
    mixed_from: float = 0.25
    tokenizer_dialogues: int = 30_000

    def mixed_share(self, progress: float) -> float:
        """Return which share of the dialogues is of all kinds at this progress (0 to 1) of the build."""
        return min(1.0, max(0.0, (progress - self.simple_until) / (self.mixed_from - self.simple_until)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a running build reports."""

    step: int
    steps: int
    loss: float
    tokens: int
    tokens_per_s: float
    eta_s: float
