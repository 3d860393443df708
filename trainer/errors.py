"""What can go wrong in a run, each as a sentence: what was expected, what was found, what to do next."""

from pathlib import Path


class TrainerError(Exception):
    """Base class of the trainer's errors."""


class TemplateNotPrefixStableError(TrainerError):
    """A chat template renders a prompt in another way once the reply follows."""

    def __init__(self, prompt_end: str, found: str) -> None:
        super().__init__(
            f"Expected a chat template that shows a prompt alike with and without its reply. Found '…{found}' where the prompt alone "
            f"ends in '…{prompt_end}'. Choose another base, or mend its template: what is trained must be what is served."
        )


class ExampleTooLongError(TrainerError):
    """An example does not fit into the context."""

    def __init__(self, limit: int, found: int) -> None:
        super().__init__(
            f"Expected an example of at most {limit} tokens, question and reply together. Found {found}. "
            "Shorten the reply, or raise max_length in the recipe if the base's context is longer."
        )


class RunDirectoryError(TrainerError):
    """A run directory is not what the supervisor wrote."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"Expected a whole run directory in '{folder}'. Found that {why}. Start a new run.")


class LossNotFiniteError(TrainerError):
    """The loss became infinite or no number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"Expected a finite loss. Found none at step {step}. Lower the learning rate in the recipe and train again.")


class NothingToTrainError(TrainerError):
    """A recipe names no layer of this base."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Expected a recipe that adapts at least one linear layer of the base. Found that {why}. Change the recipe.")


class PreflightError(TrainerError):
    """There is too little room for a run."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"Expected room for a run. Found too little: {'; '.join(missing)}. Free some and start the run again.")


class SnapshotRefusedError(TrainerError):
    """A snapshot would hold an example that must not be trained."""

    def __init__(self, example_id: str, why: str) -> None:
        super().__init__(f"Expected approved examples with consent only. Found that example '{example_id}' {why}. It was not trained.")
