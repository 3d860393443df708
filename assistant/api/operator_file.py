"""How the command line finds the Errata that runs over the same data folder: its address and this process's token, for its owner only."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "operator.json"


@contextmanager
def keep_operator_file(data_folder: Path, *, address: str, token: str) -> Iterator[None]:
    """Leave the address and the token in the data folder for as long as the block runs; nobody but the folder's owner reads them."""
    path = data_folder / _NAME
    path.unlink(missing_ok=True)  # its permissions would stay
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"address": address, "token": token, "pid": os.getpid()}, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_operator_file(data_folder: Path) -> tuple[str, str] | None:
    """Return address and token, None where nothing runs here, or it does not tell: one that was killed has left its file behind."""
    try:
        found = json.loads((data_folder / _NAME).read_text())
        os.kill(int(found["pid"]), 0)
        return str(found["address"]), str(found["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
