"""Who signs in, and who a browser belongs to: tokens for browsers, their hashes for the memory. Knows no HTTP."""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from assistant.errors import SetUpOverError, SignInFailedError, TooManyAttemptsError
from assistant.web.passwords import hash_password, is_password
from assistant.web.throttle import Throttle
from feedback_db import people, sign_in_sessions
from feedback_db.audit import Audit
from feedback_db.database import Database, Transaction
from feedback_db.records import Person, PersonId, Role

_MOST_FAILURES, _FAILURES_WITHIN = 5, timedelta(minutes=15)
_LASTS = timedelta(days=14)
_VISITOR_LASTS = timedelta(days=180)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody's stay in one browser; whoever shows the token is that person until it expires."""

    token: str
    person: Person
    expires_at: datetime


class SignIn:
    """Opens, finds and ends sessions; counts failures for each name and each address."""

    def __init__(self, db: Database, audit: Audit) -> None:
        self._db, self._audit = db, audit
        self._failures = Throttle(_MOST_FAILURES, _FAILURES_WITHIN)
        self._set_up_token = secrets.token_urlsafe(32)

    def open(self, name: str, password: str, *, address: str, now: datetime) -> Session:
        """Sign an account in; takes a third of a second, whether there is such an account or not.

        Raises:
            TooManyAttemptsError: this name or this address has failed too often.
            SignInFailedError: name and password do not fit, or the account is disabled.
        """
        keys = (f"name {name.strip().casefold()}", f"address {address}")
        wait = max(self._failures.find_wait(key, now=now) for key in keys)
        if wait:
            raise TooManyAttemptsError(wait)
        for key in keys:  # before the slow hash, or a crowd of attempts at once would all be let in
            self._failures.count(key, now=now)
        found = people.find_account(self._db.read(), name)
        person, password_hash = (None, None) if found is None else found
        if not is_password(password, password_hash) or person is None or person.disabled_at is not None:
            raise SignInFailedError
        for key in keys:  # and no more than this one: an account of one's own must not wipe out what was tried on others
            self._failures.take_back(key)
        with self._db.write() as tx:
            self._audit.append(tx, actor=person.id, action="sign_in", subject=person.id, details={}, now=now)
            return self.open_account(tx, person, now=now)

    def open_account(self, tx: Transaction, person: Person, *, now: datetime) -> Session:
        """Begin the stay of somebody whose account is known to be his."""
        return _open_session(tx, person, _LASTS, now)

    def open_visitor(self, *, now: datetime) -> Session:
        """Begin the stay of somebody without an account."""
        with self._db.write() as tx:
            visitor = people.add_visitor(tx, PersonId(uuid.uuid4().hex), now=now)
            return _open_session(tx, visitor, _VISITOR_LASTS, now)

    def find(self, token: str, *, now: datetime) -> Person | None:
        """Return who a browser belongs to, with the role as it is now; None if the session is unknown or over."""
        return sign_in_sessions.find_person_by_session(self._db.read(), _hash_token(token), now=now)

    def end(self, token: str, *, now: datetime) -> None:
        """Sign the person whom a token belongs to out, everywhere."""
        person = self.find(token, now=now)
        if person is None:
            return
        with self._db.write() as tx:
            sign_in_sessions.end_all(tx, person.id, now=now)
            self._audit.append(tx, actor=person.id, action="sign_out", subject=person.id, details={}, now=now)

    def find_set_up_token(self) -> str | None:
        """Return what the one-time set-up link must hold, None as soon as there is an account."""
        return self._set_up_token if people.count_accounts(self._db.read()) == 0 else None

    def is_set_up_token(self, token: str) -> bool:
        """Say whether the first account can be made with this token."""
        wanted = self.find_set_up_token()
        return wanted is not None and secrets.compare_digest(token.encode(), wanted.encode())

    def set_up(self, token: str, name: str, password: str, *, now: datetime) -> Session:
        """Make the first account, an admin's, and sign it in.

        Raises:
            SetUpOverError: the token is not that of the link, or there is an account.
            PasswordTooShortError, PasswordTooLongError, EmptyTextError, TextTooLongError, HostileTextError: name or password cannot be one.
        """
        if not self.is_set_up_token(token):
            raise SetUpOverError
        password_hash = hash_password(password)
        with self._db.write() as tx:
            if people.count_accounts(tx) > 0:
                raise SetUpOverError
            admin = people.add_account(tx, PersonId(uuid.uuid4().hex), name=name, role=Role.ADMIN, password_hash=password_hash, now=now)
            self._audit.append(tx, actor=None, action="create_user", subject=admin.id, details={"role": admin.role.value}, now=now)
            return self.open_account(tx, admin, now=now)


def _open_session(tx: Transaction, person: Person, lasts: timedelta, now: datetime) -> Session:
    token, expires_at = secrets.token_urlsafe(32), now + lasts
    sign_in_sessions.open_session(tx, _hash_token(token), person_id=person.id, expires_at=expires_at, now=now)
    return Session(token=token, person=person, expires_at=expires_at)


def _hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
