"""How a base is pretrained, and what a running build reports. Pure."""

from dataclasses import dataclass
from pathlib import Path

# The context of the base, in tokens.
MAX_LENGTH = 2048


class OtherBuildError(Exception):
    """A folder holds a build of another plan or corpus."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"Expected in {folder} a build of the same plan and corpus, or nothing. Found another one. "
            "Give another --out, or delete the folder."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how to pretrain.

    `tokens_per_step` counts real (not padding) tokens of one optimizer step; `micro_batch_tokens` bounds what one forward pass
    holds, padding included. Up to the share `simple_until` of the steps `mixed_least` of the dialogues are of all kinds and the
    others single questions; from `mixed_from` on `mixed_most` of them are; between the two the share rises evenly. Single questions
    are many for their tokens: which question wants which answer is what needs the most examples. From the share `grid_from` on the
    weights are seen as the product serves them (grid.py). The dialogues of `steps_a_block` steps are drawn together and shared out by
    length, so that a step needs little padding.
    """

    seed: int = 1
    steps: int = 4000
    tokens_per_step: int = 8192
    micro_batch_tokens: int = 1100
    steps_a_block: int = 1
    steps_a_checkpoint: int = 200
    learning_rate: float = 2e-3
    warmup_share: float = 0.02
    weight_decay: float = 0.1
    simple_until: float = 0.3
    mixed_from: float = 0.6
    mixed_least: float = 0.08
    mixed_most: float = 0.3
    grid_from: float = 0.7
    tokenizer_dialogues: int = 30_000
    topic_texts: int = 200_000

    @classmethod
    def for_gpu(cls, *, seed: int) -> "Plan":
        """Return the plan for a GPU: five times the tokens in five minutes, each step in one forward pass.

        What such a small model costs there is to start its kernels, whatever they hold.
        """
        return cls(
            seed=seed,
            steps=4280,
            tokens_per_step=40_960,
            micro_batch_tokens=81_920,
            steps_a_block=8,
            steps_a_checkpoint=2000,
        )

    def mixed_share(self, progress: float) -> float:
        """Return which share of the dialogues is of all kinds at this progress (0 to 1) of the build."""
        rise = (progress - self.simple_until) / (self.mixed_from - self.simple_until)
        return self.mixed_least + (self.mixed_most - self.mixed_least) * min(1.0, max(0.0, rise))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a running build reports."""

    step: int
    steps: int
    loss: float
    tokens_per_s: float
    eta_s: float
