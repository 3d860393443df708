"""What can go wrong in a run, each as a sentence: what was expected, what was found, what to do next."""

import errno
import os
from pathlib import Path


class TrainerError(Exception):
    """Base class of the trainer's errors."""


class TemplateNotPrefixStableError(TrainerError):
    """A chat template renders a prompt in another way once the reply follows."""

    def __init__(self, shared: int, length: int) -> None:
        super().__init__(
            f"Expected a chat template that shows a prompt alike with and without its reply. Found that of a prompt's {length} characters "
            f"the first {shared} are alike. Choose another base, or mend its template: what is trained must be what is served."
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


class RepackedError(TrainerError):
    """A base can no longer be trained: its weights were repacked for inference."""

    def __init__(self) -> None:
        super().__init__(
            "Expected a base that has answered nothing yet. Found its 4-bit weights repacked for inference, where no gradient passes. "
            "Load it anew, and call keep_gradients first."
        )


class PreflightError(TrainerError):
    """There is too little room for a run."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"Expected room for a run. Found too little: {'; '.join(missing)}. Free some and start the run again.")


class NoRoomError(TrainerError):
    """The disk became full during a run."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"Expected room on the disk for '{folder}'. Found it full. Free some space and start a new run.")


class RunNotStartedError(TrainerError):
    """A run's directory could not be written, or its trainer not be started."""

    def __init__(self, folder: Path, why: OSError) -> None:
        super().__init__(f"Expected to write '{folder}' and to start a trainer there. Found: {why}. Mend that, and start a new run.")


class TrainerKilledError(TrainerError):
    """A trainer's process ended without a word, again and again; `code` is its last return code, None where nobody knows it."""

    def __init__(self, times: int, code: int | None) -> None:
        how = "killed" if code in {None, -9, 137} else f"ended or killed (code {code})"
        advice = "Memory may have run out: lower the batch size or the maximum length" if how == "killed" else "Read its trainer.log"
        super().__init__(
            f"Expected a trainer that runs to its end. Found it {how} {times} times without a word. {advice}, and train again."
        )


class SnapshotChangedError(TrainerError):
    """What a run was to train is no longer what there is: an example was erased, or may not be trained any more."""

    def __init__(self, example_id: str) -> None:
        super().__init__(
            f"Expected the examples that the run's snapshot holds. Found that '{example_id}' was erased or may no longer be trained. "
            "It was not trained; a new run goes on without it."
        )


class DataFolderError(TrainerError):
    """There is no data folder that could be written."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"Expected a folder to write to at '{folder}'. Found: {why.lower()}. Mend that, or set ERRATA_DATA_FOLDER to another one."
        )


class BackupError(TrainerError):
    """A data folder could not be copied."""

    def __init__(self, target: Path, why: OSError) -> None:
        super().__init__(f"Expected to copy the data folder to '{target}'. Found: {why}. Nothing was left there; mend that and try again.")


def is_disk_full(error: BaseException) -> bool:
    """Say whether an error tells of a full disk; libraries that write tensors put the system's words into errors of their own."""
    return getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or os.strerror(errno.ENOSPC) in str(error)
