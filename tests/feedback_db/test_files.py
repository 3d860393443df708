import hashlib
from pathlib import Path

from feedback_db.files import hash_file, write_whole


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for text in ("first", "second é"):
        write_whole(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "second é"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_hash_is_of_the_content_and_empty_without_a_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", "abc")
    assert hash_file(tmp_path / "a.txt") == hashlib.sha256(b"abc").hexdigest()
    assert hash_file(tmp_path / "nowhere") == hash_file(tmp_path) == ""
