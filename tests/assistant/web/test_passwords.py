import pytest

from assistant.errors import PasswordTooLongError, PasswordTooShortError
from assistant.web.passwords import hash_password, is_password


def test_only_the_password_itself_fits_its_hash() -> None:
    password_hash = hash_password("correct horse")
    assert password_hash.startswith("$argon2id$")
    assert is_password("correct horse", password_hash)
    assert not is_password("Correct horse", password_hash)


def test_nothing_fits_where_there_is_no_hash_or_a_damaged_one() -> None:
    assert not is_password("of nobody", None)
    assert not is_password("of nobody", "$argon2id$")


def test_a_password_of_seven_characters_is_too_short() -> None:
    with pytest.raises(PasswordTooShortError, match="at least 8"):
        hash_password("7 chars")


def test_a_password_of_a_megabyte_is_neither_hashed_nor_compared() -> None:
    with pytest.raises(PasswordTooLongError, match="at most 256"):
        hash_password("x" * 1_000_000)
    assert not is_password("x" * 1_000_000, hash_password("xxxxxxxx"))
