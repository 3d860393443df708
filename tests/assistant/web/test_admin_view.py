import re
from datetime import UTC, datetime
from itertools import pairwise

from assistant.web.admin_view import read_progress, render_progress
from feedback_db.records import PersonId
from feedback_db.training_records import Run, RunEvent, RunId, RunState, SnapshotId

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RUN = Run(
    id=RunId("r1"),
    snapshot_id=SnapshotId("s1"),
    recipe="{}",
    seed=1,
    state=RunState.RUNNING,
    attempt=1,
    pid=None,
    process_started_at=None,
    requested_by=PersonId("ada"),
    reason="",
    error=None,
    created_at=NOW,
    started_at=NOW,
    finished_at=None,
)


def trained(step: int, loss: float) -> RunEvent:
    details = {"steps": 100, "loss": loss, "eta_s": 74.53}
    return RunEvent(number=step, happened_at=NOW, phase="training", step=step, details=details)


def test_progress_is_told_in_round_numbers() -> None:
    assert read_progress(RUN, [trained(25, 1.03704)]).sentence == "training, step 25 of 100, loss 1.037, about 75 s left"


def test_the_loss_curve_does_not_follow_every_single_step() -> None:
    shown = render_progress(read_progress(RUN, [trained(step, float(step % 2)) for step in range(1, 61)]))
    found = re.search(r'points="([^"]+)"', shown)
    assert found is not None
    heights = [float(point.split(",")[1]) for point in found[1].split()]
    assert len(heights) == 60
    assert all(abs(one - other) < 5 for one, other in pairwise(heights[20:])), "0 and 100 where each step was drawn"
