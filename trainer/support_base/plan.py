"""How a base is pretrained, and what a running build reports. Pure."""

from dataclasses import dataclass, replace
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
class Stage:
    """A stretch of the build: the rate rises over `warmup_share` of its steps and falls evenly to nothing over the others.

    Up to the share `simple_until` of the steps `mixed_least` of the dialogues are of all kinds and the others short ones; from
    `mixed_from` on `mixed_most` of them are; between the two the share rises evenly. Short dialogues are many for their tokens: which
    question wants which answer is what needs the most examples. Of the short ones `reference_share` come behind a reference block,
    `follow_up_share` go on behind an answer, `clarify_share` leave out what they are about, and the others are single questions.
    From the share `grid_from` on the weights are seen as the product serves them (grid.py).
    """

    steps: int
    learning_rate: float
    warmup_share: float = 0.02
    simple_until: float = 0.0
    mixed_from: float = 0.0
    mixed_least: float = 0.0
    mixed_most: float = 0.0
    reference_share: float = 0.0
    follow_up_share: float = 0.0
    clarify_share: float = 0.0
    grid_from: float = 0.0

    def mixed_share(self, progress: float) -> float:
        """Return which share of the dialogues is of all kinds at this progress (0 to 1) of the stage."""
        if progress >= self.mixed_from:
            return self.mixed_most
        rise = (progress - self.simple_until) / (self.mixed_from - self.simple_until)
        return self.mixed_least + (self.mixed_most - self.mixed_least) * max(0.0, rise)


# First what every word means and how to speak; then, from a lower rate, what is rare there.
_LEARN = Stage(
    steps=4000,
    learning_rate=2e-3,
    simple_until=0.3,
    mixed_from=0.6,
    mixed_least=0.08,
    mixed_most=0.3,
    reference_share=0.15,
    grid_from=0.7,
)
_DEEPEN = Stage(
    steps=900,
    learning_rate=6e-4,
    mixed_most=0.12,
    reference_share=0.22,
    follow_up_share=0.18,
    clarify_share=0.04,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how to pretrain.

    `tokens_per_step` counts real (not padding) tokens of one optimizer step; `micro_batch_tokens` bounds what one forward pass
    holds, padding included.
    """

    seed: int = 1
    stages: tuple[Stage, ...] = (_LEARN, _DEEPEN)
    tokens_per_step: int = 8192
    micro_batch_tokens: int = 1100
    weight_decay: float = 0.1
    tokenizer_dialogues: int = 30_000
    topic_texts: int = 200_000

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)

    def steps_before(self, stage: Stage) -> int:
        """Return how many steps are behind when a stage begins."""
        return sum(earlier.steps for earlier in self.stages[: self.stages.index(stage)])

    def shortened(self, steps: int) -> "Plan":
        """Return the plan with about this many steps, at least one a stage, in the same proportion."""
        return replace(self, stages=tuple(replace(stage, steps=max(1, steps * stage.steps // self.steps)) for stage in self.stages))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a running build reports."""

    step: int
    steps: int
    loss: float
    tokens_per_s: float
    eta_s: float
