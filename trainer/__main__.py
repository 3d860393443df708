"""`python -m trainer RUN_DIR`: execute one run in a process of its own. Exit code 0: done; 1: failed, said why; 143: asked to end."""

import os
import signal
import sys
import time
import traceback
from pathlib import Path

from assistant.errors import AssistantError
from assistant.libraries import prepare_libraries
from feedback_db.errors import FeedbackError
from trainer.errors import NoRoomError, TrainerError, is_disk_full
from trainer.run_directory import RunDirectory

_GIVES_WAY = 10  # steps of niceness: whoever waits for a reply goes before a training
STOPPED = 143  # what a shell tells of a process that SIGTERM has ended


def main(folder: Path) -> int:
    """Execute the run in a folder and return the exit code; whatever happens is the last line of its events."""
    directory = RunDirectory(folder)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))

    def tell(phase: str, error: str | None = None) -> None:
        if error is not None:
            sys.stderr.write(f"{error}\n")  # the log has it, too, in case that the events cannot be written
        directory.append_event({"at": time.time(), "phase": phase, **({} if error is None else {"error": error})})

    tell("starting")
    os.nice(_GIVES_WAY)
    prepare_libraries()
    from trainer.run import Run, StoppedError  # torch takes seconds to import: say first that somebody is at work

    try:
        Run(directory, is_stopped=lambda: bool(stopped)).execute()
    except StoppedError:
        tell("stopped")
        return STOPPED
    except (TrainerError, AssistantError, FeedbackError) as error:
        tell("failed", str(error))
        return 1
    except Exception as error:  # noqa: BLE001  the process' outermost frame: what nobody foresaw is recorded, too
        traceback.print_exc()
        tell("failed", str(NoRoomError(folder)) if is_disk_full(error) else f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
