"""Keys of programs: made for an admin and shown once, found by the token that a program sends. The memory knows their hashes only."""

import hashlib
import logging
import secrets
import uuid
from collections.abc import Set
from datetime import datetime

from feedback_db import api_keys
from feedback_db.api_keys import ApiKey, Scope
from feedback_db.audit import Audit
from feedback_db.database import Database, Transaction
from feedback_db.people import find_or_add_external
from feedback_db.records import ApiKeyId, Person, PersonId
from feedback_db.told_turns import Caller

OPERATOR = "command line"  # as whom acts who has the machine's own rights
_PREFIX = "errata-"  # so that a token that leaked is known for what it is
_HINT_CHARS = 4
_log = logging.getLogger(__name__)


class KeyRing:
    """Makes, finds and revokes keys. `operator_token` opens all that an admin may do, for as long as this process runs."""

    def __init__(self, db: Database, audit: Audit, *, started_at: datetime) -> None:
        self._db, self._audit = db, audit
        self.operator_token = _make_token()
        self._operator = ApiKey(
            id=ApiKeyId("operator"),
            name=OPERATOR,
            hint="",
            scopes=frozenset({Scope.ADMIN}),
            made_by=PersonId(""),
            made_at=started_at,
            used_at=None,
            revoked_at=None,
        )

    def make(self, name: str, scopes: Set[Scope], *, actor: PersonId, now: datetime) -> tuple[ApiKey, str]:
        """Make a key; return it and its token, which nobody can find out again.

        Raises:
            KeyNameError, NameTakenError, EmptyTextError, TextTooLongError, HostileTextError: see `api_keys.add_key`.
        """
        token = _make_token()
        with self._db.write() as tx:
            key = api_keys.add_key(
                tx,
                ApiKeyId(uuid.uuid4().hex),
                name=name,
                token_hash=_hash_token(token),
                hint=token[-_HINT_CHARS:],
                scopes=scopes,
                made_by=actor,
                now=now,
            )
            details: dict[str, str | int | bool | None] = {"name": key.name, "scopes": ", ".join(sorted(key.scopes))}
            self._audit.append(tx, actor=actor, action="make_key", subject=key.id, details=details, now=now)
        return key, token

    def revoke(self, key_id: ApiKeyId, *, actor: PersonId, now: datetime) -> ApiKey:
        """Let a key open nothing any more; doing so twice changes nothing.

        Raises:
            NotFoundError: there is none of this id.
        """
        with self._db.write() as tx:
            if api_keys.find_key(tx, key_id).revoked_at is None:
                api_keys.revoke_key(tx, key_id, now=now)
                self._audit.append(tx, actor=actor, action="revoke_key", subject=key_id, details={}, now=now)
            return api_keys.find_key(tx, key_id)

    def find(self, token: str, *, now: datetime) -> ApiKey | None:
        """Return the key that a token opens with, None if it is unknown or revoked; its use is noted."""
        if secrets.compare_digest(token.encode(), self.operator_token.encode()):
            return self._operator
        key = api_keys.find_key_by_token(self._db.read(), _hash_token(token))
        if key is not None and api_keys.is_use_to_note(key, now=now):
            try:
                with self._db.write() as tx:
                    api_keys.note_use(tx, key.id, now=now)
            except Exception:  # noqa: BLE001  whatever keeps it from being noted, it refuses nobody
                _log.exception("the use of key '%s' could not be noted", key.name)
        return key

    def is_revoked(self, key: ApiKey) -> bool:
        """Say whether a key that was found opens nothing any more."""
        return key is not self._operator and api_keys.find_key(self._db.read(), key.id).revoked_at is not None

    def find_actor(self, tx: Transaction, key: ApiKey, *, now: datetime) -> Person:
        """Return as whom a key acts where it names nobody."""
        name = OPERATOR if key is self._operator else Caller(key_id=key.id, key_name=key.name, user="").person_name
        return find_or_add_external(tx, PersonId(uuid.uuid4().hex), name=name, now=now)


def _make_token() -> str:
    return _PREFIX + secrets.token_urlsafe(32)


def _hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
