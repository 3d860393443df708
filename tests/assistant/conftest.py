"""Adapters for the tiny base, and releases in a memory that hold them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assistant.engine.base_model import BaseModel
    from feedback_db.database import Database
    from feedback_db.training_records import Release

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def make_adapter() -> Callable[..., Path]:
    """Write a random adapter that changes what a tiny base says."""
    from peft import LoraConfig

    from tests.random_adapters import write_random_adapter

    def make(
        folder: Path,
        base: BaseModel,
        *,
        seed: int,
        scale: float = 0.5,
        rank: int = 2,
        layers: tuple[str, ...] = ("q_proj", "v_proj", "down_proj"),
    ) -> Path:
        return write_random_adapter(folder, base, LoraConfig(r=rank, target_modules=list(layers)), seed=seed, scale=scale)

    return make


@pytest.fixture(scope="session")
def add_trained_release() -> Callable[..., Release]:
    """Add the release of a run that has learned one correction, by all the steps that lead there."""
    from feedback_db import conversations, corrections, examples, people, releases, runs, snapshots
    from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, Role, TurnId
    from feedback_db.training_records import ExampleId, RunId, RunState, SnapshotId
    from tests.logged_replies import make_logged_reply

    def add(db: Database, live: Release, run_id: str, adapter_hash: str = "h") -> Release:
        ann, bob = PersonId(f"ann of {run_id}"), PersonId(f"bob of {run_id}")
        talk, turn, correction = ConversationId(f"c of {run_id}"), TurnId(f"t of {run_id}"), CorrectionId(f"k of {run_id}")
        logged = make_logged_reply("hi", "no", version=live.version)
        with db.write() as tx:
            people.add_visitor(tx, ann, now=NOW)
            people.add_account(tx, bob, name=bob, role=Role.REVIEWER, password_hash="$argon2id$", now=NOW)
            conversations.start_conversation(tx, talk, person_id=ann, channel=Channel.WEB, title="hi", now=NOW)
            conversations.record_consent(tx, talk, given=True, wording="1", now=NOW)
            conversations.log_turn(tx, turn, conversation_id=talk, logged=logged, now=NOW)
            corrections.add_correction(tx, correction, turn_id=turn, corrected_reply="yes", author=ann, now=NOW)
            corrections.review(tx, correction, Decision.APPROVED, reviewer=bob, now=NOW)
            examples.add_example(tx, correction, messages=[{"role": "user", "content": "hi"}], now=NOW)
            snapshots.take_snapshot(tx, SnapshotId(f"s of {run_id}"), content_hashes={ExampleId(correction): "h"}, now=NOW)
            runs.queue_run(
                tx, RunId(run_id), snapshot_id=SnapshotId(f"s of {run_id}"), recipe="{}", seed=1, requested_by=None, reason="due", now=NOW
            )
            runs.start_run(tx, RunId(run_id), pid=1, process_started_at=0.0, now=NOW)
            runs.finish_run(tx, RunId(run_id), RunState.SUCCEEDED, now=NOW)
            return releases.add_release(
                tx,
                base=live.base,
                revision=live.revision,
                quantisation=live.quantisation,
                template_hash=live.template_hash,
                system_message=live.system_message,
                sampling=live.sampling,
                run_id=RunId(run_id),
                adapter_hash=adapter_hash,
                now=NOW,
            )

    return add
