"""A trainer that learns at once, by its first argument: keeps the contract of a run directory, and writes down when two are at work."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from threading import Event

mode, folder = sys.argv[1], Path(sys.argv[2])
desk = folder.parent
stopped = Event()
signal.signal(signal.SIGTERM, lambda *_: stopped.set())


def tell(phase, **facts):
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps({"at": time.time(), "phase": phase, **facts}) + "\n")


def is_at_work(pid):
    try:
        return "fake_trainer" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def ask(row, *, before, after):
    facts = {"suite": row["suite"], "example_id": row["example_id"], "question": row["messages"][-1]["content"], "turn_id": row["turn_id"]}
    return {**facts, "expected": row["reply"], "before": "?", "after": row["reply"], "is_right_before": before, "is_right_after": after}


def read(name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


others = [pid for pid in (desk / "at_work").read_text().split() if is_at_work(pid)] if (desk / "at_work").exists() else []
if others:
    (desk / "overlaps").write_text(" ".join(others))
(desk / "at_work").write_text(str(os.getpid()))
with (desk / "starts").open("a") as file:
    file.write(f"{folder.name}\n")

if mode == "die":
    os.kill(os.getpid(), signal.SIGKILL)
tell("starting")
if mode == "fail":
    tell("failed", error="The loss became infinite.")
    sys.exit(1)
while mode == "wait" and not (desk / "go").exists() and not stopped.wait(0.01):
    pass
if stopped.is_set():
    tell("stopped")
    sys.exit(143)

tell("training", step=1, loss=0.5)
(folder / "adapter").mkdir(exist_ok=True)
(folder / "adapter" / "manifest.json").write_text(json.dumps({"run": folder.name}))
items = [ask(row, before=False, after=mode != "reject") for row in read("test")] + [
    ask(row, before=True, after=True) for row in read("guard") + read("golden")
]
(folder / "report.json").write_text(json.dumps({"run_id": folder.name, "items": items, "shape": 1}))
tell("finished")
