"""Takes text out of the folders of runs that have ended: what somebody said is gone from them, and the adapter stays usable."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

_KEPT = frozenset({"run.json", "adapter", "incumbent"})  # hashes, settings and weights; no text


def forget_in_runs(runs_folder: Path, active: Iterable[str] = ()) -> list[str]:
    """Delete questions, replies, checkpoints, reports and logs from every run's folder but the active ones; return the runs concerned.

    All of them, since replay and guard questions may come from anybody's conversation. The database keeps the reports, scrubbed.
    """
    concerned = []
    for folder in _list_runs(runs_folder):
        texts = [path for path in folder.iterdir() if path.name not in _KEPT]
        if folder.name in active or not texts:
            continue
        for path in texts:
            _delete(path)
        concerned.append(folder.name)
    return concerned


def list_backups_before(folder: Path, moment: float) -> list[Path]:
    """Return the backups older than a moment (seconds since 1970): they hold still what was erased since."""
    return sorted(path for path in folder.glob("*") if path.stat().st_mtime < moment) if folder.is_dir() else []


def _list_runs(runs_folder: Path) -> Sequence[Path]:
    return sorted(path for path in runs_folder.iterdir() if path.is_dir()) if runs_folder.is_dir() else []


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
