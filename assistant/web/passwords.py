"""Passwords, as argon2id hashes. Knows no accounts."""

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from assistant.errors import PasswordTooLongError, PasswordTooShortError

LEAST_CHARS = 8  # NIST SP 800-63B
MOST_CHARS = 256
_hasher = PasswordHasher()
_AT_ONCE = threading.BoundedSemaphore(2)  # a hash takes 64 MiB and a third of a second: a crowd of strangers must not take all of it


def hash_password(password: str) -> str:
    """Return the encoded argon2id hash of a password.

    Raises:
        PasswordTooShortError, PasswordTooLongError: it cannot be one.
    """
    if len(password) < LEAST_CHARS:
        raise PasswordTooShortError(LEAST_CHARS)
    if len(password) > MOST_CHARS:
        raise PasswordTooLongError(MOST_CHARS)
    with _AT_ONCE:
        return _hasher.hash(password)


def is_password(password: str, password_hash: str | None) -> bool:
    """Say whether a password belongs to a hash; without one it takes as long, and none does."""
    if len(password) > MOST_CHARS:
        return False
    with _AT_ONCE:
        try:
            return _hasher.verify(password_hash or _nobodys_hash(), password) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


@cache
def _nobodys_hash() -> str:
    """Return the hash of a password that nobody knows, as strong as the others; made once."""
    return _hasher.hash(secrets.token_hex())
