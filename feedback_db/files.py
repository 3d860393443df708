"""Files that are whole or not there at all, and what names their content. Knows nothing of what is in them."""

import hashlib
import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file aside, have it on the disk, and rename it: whoever finds it finds it whole."""
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    sync_path(aside)
    aside.replace(path)
    sync_path(path.parent)


def hash_file(path: Path) -> str:
    """Return a file's sha256, or an empty text where there is no file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_path(path: Path) -> None:
    """Have a file or folder on the disk before going on."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
