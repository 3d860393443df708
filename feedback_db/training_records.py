"""The vocabulary of learning: examples, snapshots, runs, releases and what is said of them, as frozen records. Pure; knows no SQL.

Times are aware datetimes in UTC; None always means "not (yet)" unless a docstring says otherwise. A release is known by its number,
its `version`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from feedback_db.records import ConversationId, CorrectionId, PersonId, TurnId
from feedback_db.reports import Verdict

ExampleId = NewType("ExampleId", str)  # its correction's id
VariantId = NewType("VariantId", int)
GoldenId = NewType("GoldenId", int)
SnapshotId = NewType("SnapshotId", str)
RunId = NewType("RunId", str)
DeploymentId = NewType("DeploymentId", int)
SwapId = NewType("SwapId", int)
RequestId = NewType("RequestId", int)


class VariantSource(StrEnum):
    """Where a wording comes from: a reviewer wrote it, or somebody asked so in a conversation."""

    REVIEWER = "reviewer"
    LOG = "log"


class Split(StrEnum):
    """What a wording is for, for ever: to be trained, to say when to stop, or to be asked afterwards."""

    TRAIN = "train"
    STOP = "stop"
    TEST = "test"


class RunState(StrEnum):
    """How far a run is; REJECTED is the gate's word on a run that ended well."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"


class SwapOutcome(StrEnum):
    """Whether the engine serves the release or has refused it."""

    SERVED = "served"
    REFUSED = "refused"


class RequestKind(StrEnum):
    """What somebody asks of the supervisor."""

    TRAIN = "train"
    DRY_RUN = "dry_run"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedCorrection:
    """A correction that reviewers approved, with what an example needs; `consent` None was never asked for.

    `version` is the release that wrote the wrong reply to `user_message`; `final_reply` is the right one.
    """

    id: CorrectionId
    turn_id: TurnId
    conversation_id: ConversationId
    author_id: PersonId
    user_message: str
    version: int
    final_reply: str
    approved_at: datetime
    consent: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What an approved correction becomes: the chat messages as they were served, the question last, and the right reply.

    `superseded_by` is the newer example that contradicts a retired one; it may have been erased since.
    """

    id: ExampleId
    turn_id: TurnId
    conversation_id: ConversationId
    messages: tuple[Mapping[str, str], ...]
    reply: str
    created_at: datetime
    retired_at: datetime | None
    superseded_by: ExampleId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Another wording of the question that a correction answers; `turn_id` where it comes from the log, else `added_by`."""

    id: VariantId
    correction_id: CorrectionId
    text: str
    source: VariantSource
    split: Split
    turn_id: TurnId | None
    added_by: PersonId | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningQuestion:
    """What somebody asked first in a conversation, and the reply; `is_disliked` says that somebody rated it down."""

    turn_id: TurnId
    text: str
    reply: str
    is_disliked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenItem:
    """A question, asked without a history, and a reply whose key facts must be in the answer; retired items are asked no more."""

    id: GoldenId
    question: str
    reply: str
    added_by: PersonId
    created_at: datetime
    retired_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An immutable set of examples; its id is the hash of their content."""

    id: SnapshotId
    created_at: datetime
    example_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training on a snapshot; `recipe` is JSON, `requested_by` None is the schedule.

    `pid` and `process_started_at` (seconds, as the system counts them) name the trainer's process while it runs; an orphan that is
    resumed counts one attempt more.
    """

    id: RunId
    snapshot_id: SnapshotId
    recipe: str
    seed: int
    state: RunState
    attempt: int
    pid: int | None
    process_started_at: float | None
    requested_by: PersonId | None
    reason: str
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """One thing that a run told; numbers count from 1, `step` is None outside of training's steps."""

    number: int
    happened_at: datetime
    phase: str
    step: int | None
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """A run's report, as JSON of the given shape, and the gate's verdict on it."""

    run_id: RunId
    shape: int
    report: str
    verdict: Verdict
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """All that decides how a reply is written; `system_message` None is none, `run_id` and `adapter_hash` None the bare base."""

    version: int
    base: str
    revision: str
    quantisation: str
    template_hash: str
    system_message: str | None
    sampling: Mapping[str, float | int | bool | None]
    run_id: RunId | None
    adapter_hash: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The wish that a release be live; `actor_id` None is the gate, `undoes` the deployment that a rollback takes back."""

    id: DeploymentId
    version: int
    actor_id: PersonId | None
    reason: str
    undoes: DeploymentId | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """The fact: the engine serves a deployed release, or has refused it and `error` says why."""

    id: SwapId
    deployment_id: DeploymentId
    version: int
    outcome: SwapOutcome
    error: str | None
    duration_ms: float
    happened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks of the supervisor, and the sentence that says what became of it; `recipe` (JSON) None is the default.

    `forecast` (JSON, see `forecast`) is what a dry run has foreseen, None where no run would start.
    """

    id: RequestId
    kind: RequestKind
    person_id: PersonId
    reason: str
    recipe: str | None
    created_at: datetime
    handled_at: datetime | None
    outcome: str | None
    forecast: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleStatus:
    """Whether a run is due, and why or why not, in sentences; `next_look_at` None is no look planned."""

    is_due: bool
    reasons: tuple[str, ...]
    next_look_at: datetime | None
    updated_at: datetime


class Relation(StrEnum):
    """What another text has to do with the reply at hand."""

    SAME = "same"  # answers the same question, and says the same
    CONTRADICTS = "contradicts"  # answers the same question, and both cannot be right
    OLD_FACT = "old_fact"  # states what the wrong reply states, and the right one does not


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A question of the guard set, by its key (see `unwatched`), whose last reply has to do with the reply at hand."""

    key: str
    question: str
    reply: str
    relation: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """An example in force or a golden item (`id` says which) that has to do with the reply at hand."""

    id: ExampleId | GoldenId
    question: str
    reply: str
    relation: Relation
