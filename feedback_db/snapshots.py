"""Snapshots: immutable sets of examples, known by the hash of their content. Knows no text; the hashes are the caller's."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime

from feedback_db.database import Reader, Transaction, find_row, read_time, store_time, translate_refusals
from feedback_db.errors import EmptySnapshotError, NotTrainableError
from feedback_db.training_records import ExampleId, Snapshot, SnapshotId


def take_snapshot(tx: Transaction, snapshot_id: SnapshotId, *, content_hashes: Mapping[ExampleId, str], now: datetime) -> Snapshot:
    """Keep which examples are trained; the same content again is the snapshot that there is.

    Args:
        tx: the transaction.
        snapshot_id: the hash of the whole content.
        content_hashes: of each example a salted hash of what is trained of it.
        now: the moment.

    Raises:
        NotTrainableError: an example is pending, rejected, withdrawn, unconsented, retired or missing at this moment.
        EmptySnapshotError: it would hold nothing.
    """
    _check_trainable(tx, content_hashes)
    if tx.execute("SELECT 1 FROM snapshots WHERE id = :id", {"id": snapshot_id}).fetchone() is None:
        _insert(tx, snapshot_id, content_hashes, now)
    return find_snapshot(tx, snapshot_id)


def find_snapshot(reader: Reader, snapshot_id: SnapshotId) -> Snapshot:
    """Return a snapshot.

    Raises:
        NotFoundError: there is none of this id.
    """
    return _to_snapshot(find_row(reader, "SELECT * FROM snapshots WHERE id = :id", {"id": snapshot_id}, kind="a snapshot"))


def list_content_hashes(reader: Reader, snapshot_id: SnapshotId) -> dict[ExampleId, str]:
    """Return which examples a snapshot holds, in the order of their ids, each with the hash of its content."""
    rows = reader.execute(
        "SELECT example_id, content_hash FROM snapshot_examples WHERE snapshot_id = :id ORDER BY example_id", {"id": snapshot_id}
    )
    return {ExampleId(row["example_id"]): row["content_hash"] for row in rows}


def _check_trainable(tx: Transaction, example_ids: Iterable[ExampleId]) -> None:
    """Name the first example that may not be trained; the database would refuse it, too, but not say why."""
    row = tx.execute(
        """
        SELECT value AS example_id, iif(example_id IS NULL, 'missing', obstacle) AS obstacle
        FROM json_each(:ids) LEFT JOIN trainability ON example_id = value
        WHERE example_id IS NULL OR obstacle IS NOT NULL ORDER BY value LIMIT 1
        """,
        {"ids": json.dumps(list(example_ids))},
    ).fetchone()
    if row is not None:
        raise NotTrainableError(row["example_id"], row["obstacle"])


def _insert(tx: Transaction, snapshot_id: SnapshotId, content_hashes: Mapping[ExampleId, str], now: datetime) -> None:
    """Insert the examples, then the snapshot, whose row seals them."""
    tx.executemany(
        "INSERT INTO snapshot_examples (snapshot_id, example_id, content_hash) VALUES (:snapshot_id, :example_id, :content_hash)",
        [
            {"snapshot_id": snapshot_id, "example_id": example_id, "content_hash": content_hash}
            for example_id, content_hash in content_hashes.items()
        ],
    )
    with translate_refusals({"a_snapshot_is_not_empty": EmptySnapshotError()}):
        tx.execute(
            "INSERT INTO snapshots (id, created_at, example_count) VALUES (:id, :created_at, :example_count)",
            {"id": snapshot_id, "created_at": store_time(now), "example_count": len(content_hashes)},
        )


def _to_snapshot(row: sqlite3.Row) -> Snapshot:
    return Snapshot(id=SnapshotId(row["id"]), created_at=read_time(row["created_at"]), example_count=row["example_count"])
