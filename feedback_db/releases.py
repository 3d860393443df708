"""Releases, deployments and swaps: what there is, which of it is wished to be live, and what the engine serves. All append-only.

Every deployment, whoever wishes it, leaves a row in the audit. Knows no engine and no adapter's file; whoever makes the wish a fact
records it here.
"""

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime

from feedback_db.audit import Audit
from feedback_db.database import Reader, Transaction, find_row, read_time, store_time, translate_refusals
from feedback_db.errors import NotFoundError, NothingToRollBackError, ReleaseExistsError
from feedback_db.records import PersonId
from feedback_db.text_checks import check_text
from feedback_db.training_records import Deployment, DeploymentId, Release, RunId, Swap, SwapId, SwapOutcome

_MAX_REASON_CHARS = 1000


def add_release(
    tx: Transaction,
    *,
    base: str,
    revision: str,
    quantisation: str,
    template_hash: str,
    system_message: str | None,
    sampling: Mapping[str, float | int | bool | None],
    run_id: RunId | None = None,
    adapter_hash: str | None = None,
    now: datetime,
) -> Release:
    """Add a release under the next number; the first is number 0 and has no adapter. See `Release` for what None means.

    Raises:
        NotFoundError: there is no such run.
        ReleaseExistsError: the run's candidate is one already.
    """
    refusals = {"releases.run_id": ReleaseExistsError(str(run_id)), "FOREIGN KEY": NotFoundError("a run", run_id)}
    with translate_refusals(refusals):
        cursor = tx.execute(
            """
            INSERT INTO releases (version, base, revision, quantisation, template_hash, system_message, sampling, run_id, adapter_hash,
                                  created_at)
            VALUES ((SELECT coalesce(max(version) + 1, 0) FROM releases), :base, :revision, :quantisation, :template_hash,
                    :system_message, :sampling, :run_id, :adapter_hash, :created_at)
            """,
            {
                "base": base,
                "revision": revision,
                "quantisation": quantisation,
                "template_hash": template_hash,
                "system_message": system_message,
                "sampling": json.dumps(sampling, sort_keys=True),
                "run_id": run_id,
                "adapter_hash": adapter_hash,
                "created_at": store_time(now),
            },
        )
    return find_release(tx, int(cursor.lastrowid or 0))


def find_release(reader: Reader, version: int) -> Release:
    """Return a release.

    Raises:
        NotFoundError: there is none of this number.
    """
    return _to_release(find_row(reader, "SELECT * FROM releases WHERE version = :id", {"id": version}, kind="a release"))


def list_releases(reader: Reader) -> list[Release]:
    """Return the releases, the newest first."""
    return [_to_release(row) for row in reader.execute("SELECT * FROM releases ORDER BY version DESC")]


def deploy(tx: Transaction, audit: Audit, version: int, *, actor: PersonId | None, reason: str, now: datetime) -> Deployment:
    """Wish that a release be live; `actor` None is the program itself.

    Raises:
        NotFoundError: there is no such release.
        EmptyTextError, TextTooLongError, HostileTextError: the reason is none.
    """
    deployment = _append_deployment(tx, version, actor, reason, undoes=None, now=now)
    audit.append(tx, actor=actor, action="deploy", subject=f"release {version}", details={"deployment": deployment.id}, now=now)
    return deployment


def roll_back(tx: Transaction, audit: Audit, *, actor: PersonId | None, reason: str, now: datetime) -> Deployment:
    """Undo the newest deployment that has not been undone: what was live before it is wished again. A second time goes further back.

    Raises:
        NothingToRollBackError: nothing was live before.
        EmptyTextError, TextTooLongError, HostileTextError: the reason is none.
    """
    standing = tx.execute(
        """
        SELECT id, version FROM deployments
        WHERE undoes IS NULL AND NOT EXISTS (SELECT 1 FROM deployments AS rollbacks WHERE rollbacks.undoes = deployments.id)
        ORDER BY id DESC LIMIT 2
        """
    ).fetchall()
    if len(standing) < 2:
        raise NothingToRollBackError
    undone, before = standing
    deployment = _append_deployment(tx, before["version"], actor, reason, undoes=undone["id"], now=now)
    details: dict[str, str | int | bool | None] = {"deployment": deployment.id, "undoes": deployment.undoes}
    audit.append(tx, actor=actor, action="roll_back", subject=f"release {deployment.version}", details=details, now=now)
    return deployment


def find_live(reader: Reader) -> tuple[Deployment, Release] | None:
    """Return the newest deployment and its release, None before the first."""
    row = reader.execute("SELECT * FROM deployments ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else (_to_deployment(row), find_release(reader, row["version"]))


def list_deployments(reader: Reader, *, limit: int = 50) -> list[Deployment]:
    """Return the deployments, the newest first."""
    return [_to_deployment(row) for row in reader.execute("SELECT * FROM deployments ORDER BY id DESC LIMIT :limit", {"limit": limit})]


def record_swap(
    tx: Transaction, deployment_id: DeploymentId, *, version: int, error: str | None = None, duration_ms: float, now: datetime
) -> Swap:
    """Record that the engine serves a release for a deployment's sake, or, with an error, that it has refused it.

    Raises:
        NotFoundError: there is no such deployment, or no such release.
    """
    with translate_refusals({"FOREIGN KEY": NotFoundError(f"release {version} and a deployment", deployment_id)}):
        cursor = tx.execute(
            """
            INSERT INTO swaps (deployment_id, version, outcome, error, duration_ms, happened_at)
            VALUES (:deployment_id, :version, :outcome, :error, :duration_ms, :happened_at)
            """,
            {
                "deployment_id": deployment_id,
                "version": version,
                "outcome": SwapOutcome.SERVED if error is None else SwapOutcome.REFUSED,
                "error": error,
                "duration_ms": duration_ms,
                "happened_at": store_time(now),
            },
        )
    return _to_swap(tx.execute("SELECT * FROM swaps WHERE id = :id", {"id": cursor.lastrowid}).fetchone())


def find_served(reader: Reader) -> Swap | None:
    """Return the newest swap that the engine made, None before the first."""
    row = reader.execute("SELECT * FROM swaps WHERE outcome = 'served' ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else _to_swap(row)


def list_swaps(reader: Reader, *, limit: int = 50) -> list[Swap]:
    """Return the swaps, made and refused, the newest first."""
    return [_to_swap(row) for row in reader.execute("SELECT * FROM swaps ORDER BY id DESC LIMIT :limit", {"limit": limit})]


def _append_deployment(
    tx: Transaction, version: int, actor: PersonId | None, reason: str, *, undoes: DeploymentId | None, now: datetime
) -> Deployment:
    reason = check_text(reason, what="a reason", max_chars=_MAX_REASON_CHARS)
    with translate_refusals({"FOREIGN KEY": NotFoundError("a release", version)}):
        cursor = tx.execute(
            """
            INSERT INTO deployments (version, actor_id, reason, undoes, created_at)
            VALUES (:version, :actor_id, :reason, :undoes, :created_at)
            """,
            {"version": version, "actor_id": actor, "reason": reason, "undoes": undoes, "created_at": store_time(now)},
        )
    return _to_deployment(tx.execute("SELECT * FROM deployments WHERE id = :id", {"id": cursor.lastrowid}).fetchone())


def _to_release(row: sqlite3.Row) -> Release:
    return Release(
        version=row["version"],
        base=row["base"],
        revision=row["revision"],
        quantisation=row["quantisation"],
        template_hash=row["template_hash"],
        system_message=row["system_message"],
        sampling=json.loads(row["sampling"]),
        run_id=row["run_id"],
        adapter_hash=row["adapter_hash"],
        created_at=read_time(row["created_at"]),
    )


def _to_deployment(row: sqlite3.Row) -> Deployment:
    return Deployment(
        id=DeploymentId(row["id"]),
        version=row["version"],
        actor_id=row["actor_id"],
        reason=row["reason"],
        undoes=row["undoes"],
        created_at=read_time(row["created_at"]),
    )


def _to_swap(row: sqlite3.Row) -> Swap:
    return Swap(
        id=SwapId(row["id"]),
        deployment_id=DeploymentId(row["deployment_id"]),
        version=row["version"],
        outcome=SwapOutcome(row["outcome"]),
        error=row["error"],
        duration_ms=row["duration_ms"],
        happened_at=read_time(row["happened_at"]),
    )
