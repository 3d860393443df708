"""What the memory can refuse, each as a sentence: what was expected, what was found, what to do next."""

from pathlib import Path


class FeedbackError(Exception):
    """Base class of the memory's errors."""


class DatabaseInUseError(FeedbackError):
    """Another process is the writer."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"Expected to be the only program that writes {path}. Found that another one does: probably Errata is running. "
            "Do it on its admin page, or stop it first."
        )


class DatabaseCorruptError(FeedbackError):
    """The file is no database, or a damaged one."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"Expected a whole SQLite database at {path}. Found damage: {why}. Restore the newest backup.")


class DatabaseMissingError(FeedbackError):
    """There is no database yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"Expected a database at {path}. Found none: Errata has not been used with this data folder yet. "
            "Start it, or set ERRATA_DATA_FOLDER to the right one."
        )


class BackupExistsError(FeedbackError):
    """Something is where a backup should go."""

    def __init__(self, target: Path) -> None:
        super().__init__(f"Expected a free place for a backup at {target}. Found something there. Choose another name.")


class TracesLeftError(FeedbackError):
    """Deleted text is still in the write-ahead log, because somebody reads."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"Expected to empty the log beside {path}, which holds deleted text still. Found that another program reads the database. "
            "End it; the log is emptied when Errata ends. The rows themselves are gone."
        )


class AuditBrokenError(FeedbackError):
    """The audit no longer holds what its head file tells; the file is left as it is, for it is the proof."""

    def __init__(self, head_file: Path, number: int, what: str) -> None:
        super().__init__(
            f"Expected the audit to go on from what {head_file} tells. Found at row {number}: {what}. What was done is done, but the chain "
            "is broken. Find out who changed the database, and restore the newest backup; moving the head file away starts a new proof."
        )


class SchemaTooNewError(FeedbackError):
    """The file was written by a newer version of the code."""

    def __init__(self, path: Path, unknown: list[str]) -> None:
        super().__init__(
            f"Expected a database of this version of Errata at {path}. Found changes of a newer one ({', '.join(unknown)}). Update Errata."
        )


class DiskFullError(FeedbackError):
    """There was no room to write; nothing was changed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"Expected room on the disk to write {path}. Found it full; nothing was changed. Free some space and try again.")


class NotFoundError(FeedbackError):
    """There is no such row, or it is not for the one who asks."""

    def __init__(self, kind: str, key: object) -> None:
        super().__init__(f"Expected {kind} '{key}'. Found none that you may see. Check the id.")


class NameTakenError(FeedbackError):
    """An account or a key of this name exists."""

    def __init__(self, name: str, *, kind: str = "account") -> None:
        super().__init__(f"Expected a name that no {kind} has. Found that '{name}' is taken. Choose another.")


class KeyNameError(FeedbackError):
    """A key cannot have this name: the names of the people whom its program names begin with it, and end at a slash."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Expected a key's name without a slash. Found '{name}'. Write a dash in its place.")


class ClientKeyReusedError(FeedbackError):
    """A program has used its own key for another feedback."""

    def __init__(self, client_key: str) -> None:
        super().__init__(f"Expected the feedback that came under '{client_key}' before. Found another. Send a new idempotency key with it.")


class NoAccountError(FeedbackError):
    """No account has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Expected the name of an account. Found none named '{name}'. Check the spelling, or create it.")


class OwnCorrectionError(FeedbackError):
    """Somebody tried to review their own correction."""

    def __init__(self) -> None:
        super().__init__("Expected a reviewer other than the author. Found the author. Ask somebody else to review it.")


class AlreadyReviewedError(FeedbackError):
    """The correction has been decided, or this reviewer has decided before."""

    def __init__(self, state: str) -> None:
        super().__init__(f"Expected a correction that waits for your review. Found it {state}. Go on with the next one.")


class AlreadyCorrectedError(FeedbackError):
    """An author's earlier correction of the same reply waits still."""

    def __init__(self) -> None:
        super().__init__(
            "Expected one correction of a reply from you. Found that an earlier one waits for a reviewer. Wait for the word on it."
        )


class EmptyTextError(FeedbackError):
    """A text that must say something says nothing."""

    def __init__(self, what: str) -> None:
        super().__init__(f"Expected {what}. Found nothing but blanks. Write it, or cancel.")


class TextTooLongError(FeedbackError):
    """A text is longer than the limit."""

    def __init__(self, what: str, limit: int, found: int) -> None:
        super().__init__(f"Expected {what} of at most {limit} characters. Found {found}. Shorten it.")


class HostileTextError(FeedbackError):
    """A text holds characters that a model or a reader must not be shown."""

    def __init__(self, what: str, found: str) -> None:
        super().__init__(f"Expected {what} in plain text. Found {found}. Remove it.")


class ReviewFinalError(FeedbackError):
    """A review can no longer be withdrawn."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Expected a review that its reviewer may still withdraw. Found that {why}. It stays.")


class RecipeError(FeedbackError):
    """A hyper-parameter is unknown or out of its range; `problems` says which."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"The recipe cannot be used: {'; '.join(problems)}. Change it, or leave it out to take the default.")


class ReportShapeError(FeedbackError):
    """A report is of another shape than this code reads."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Expected a report of a shape that this version of Errata reads. Found {why}. Update Errata, or train again.")


class ExampleExistsError(FeedbackError):
    """A correction has become an example before."""

    def __init__(self, example_id: str) -> None:
        super().__init__(f"Expected an approved correction without an example. Found that '{example_id}' has one. Keep it.")


class VariantExistsError(FeedbackError):
    """A correction has this wording already; the wording itself is not told, for errors are logged."""

    def __init__(self, correction_id: str) -> None:
        super().__init__(f"Expected a wording that correction '{correction_id}' does not have. Found that it has it. Write another.")


class NotTrainableError(FeedbackError):
    """A snapshot was to hold an example that may not be trained; `obstacle` says why in a word."""

    def __init__(self, example_id: str, obstacle: str) -> None:
        super().__init__(
            f"Expected only examples that may be trained. Found that '{example_id}' is {obstacle}. Take the snapshot without it."
        )
        self.example_id = example_id
        self.obstacle = obstacle


class EmptySnapshotError(FeedbackError):
    """A snapshot was to hold nothing."""

    def __init__(self) -> None:
        super().__init__("Expected at least one example for a snapshot. Found none. Approve a correction first.")


class ActiveRunError(FeedbackError):
    """A run is queued or running; `run_id` names it."""

    def __init__(self, run_id: str, state: str) -> None:
        super().__init__(f"Expected no run under way. Found that '{run_id}' is {state}. Wait for its end, or cancel it.")
        self.run_id = run_id


class RunStateError(FeedbackError):
    """A run is not in the state that a change of it starts from."""

    def __init__(self, run_id: str, expected: str, found: str) -> None:
        super().__init__(f"Expected run '{run_id}' to be {expected}. Found it {found}. Leave it as it is.")


class ReportExistsError(FeedbackError):
    """A run has been reported on before."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"Expected a run without a report. Found that '{run_id}' has one. Keep it.")


class ReleaseExistsError(FeedbackError):
    """A run's candidate has become a release before."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"Expected a run without a release. Found that '{run_id}' has one. Deploy that one.")


class ItemTakenError(FeedbackError):
    """Another reviewer has an item of the queue."""

    def __init__(self) -> None:
        super().__init__("Expected an item that nobody has taken. Found that another reviewer has it. Take the next one.")


class ItemLeftError(FeedbackError):
    """A reviewer decides on an item and has opened another one since."""

    def __init__(self) -> None:
        super().__init__(
            "Expected a decision on the question that you have open. Found that you have opened another one since, here or in another tab. "
            "Nothing was decided. Open it again."
        )


class ItemChangedError(FeedbackError):
    """What a reviewer decides on is no longer what he had before him."""

    def __init__(self) -> None:
        super().__init__(
            "Expected the correction that you had before you. Found that it is gone, or that another one came. Nothing was decided. "
            "Look at what is there now."
        )


class UnchangedReplyError(FeedbackError):
    """A reply that was only disliked was to be corrected, and is the same."""

    def __init__(self) -> None:
        super().__init__("Expected a reply other than the reported one. Found the same. Write the right answer, or reject.")


class NothingToUndoError(FeedbackError):
    """A reviewer has decided nothing in the last minute."""

    def __init__(self) -> None:
        super().__init__("Expected a decision of the last minute. Found none: there is nothing to undo. Go on with the next question.")


class OvertakenError(FeedbackError):
    """A colleague has decided on the same since."""

    def __init__(self) -> None:
        super().__init__(
            "Expected your decision to be the last word on this. Found that a colleague has decided on the same since. "
            "Both stay as they are. Talk to your colleague, who can undo the later one for a minute."
        )


class TurnReplacedError(FeedbackError):
    """A turn cannot be replaced."""

    def __init__(self) -> None:
        super().__init__("Expected a turn of this conversation that stands. Found one that was replaced. Reload the page.")


class NothingToRollBackError(FeedbackError):
    """What is live was the first ever, or nothing is live."""

    def __init__(self) -> None:
        super().__init__("Expected an earlier deployment to go back to. Found none. Deploy a release instead.")


class AlreadyHandledError(FeedbackError):
    """A request has been handled before."""

    def __init__(self, request_id: int) -> None:
        super().__init__(f"Expected request {request_id} to be open. Found it handled. Make a new one.")


class ReasonNeededError(FeedbackError):
    """Somebody promotes what the gate did not, without saying why."""

    def __init__(self, version: int, decision: str) -> None:
        super().__init__(
            f"Expected a reason to promote release {version}, of which the gate says '{decision}'. Found none. Type why it shall go live."
        )
