"""Who signs in, and who a browser belongs to: tokens for browsers, their hashes for the memory. Knows no HTTP."""

import hashlib
import secrets
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from assistant.errors import PasswordLinkOverError, SetUpOverError, SignInFailedError, TooManyAttemptsError, WrongPasswordError
from assistant.web.passwords import hash_password, is_password
from assistant.web.throttle import Throttle
from feedback_db import password_links, people, sign_in_sessions
from feedback_db.adoption import Holdings, adopt, find_holdings
from feedback_db.audit import Audit
from feedback_db.database import Database, Transaction
from feedback_db.errors import NoAccountError
from feedback_db.records import Person, PersonId, PersonKind, Role

_MOST_FAILURES, _FAILURES_WITHIN = 5, timedelta(minutes=15)
_MOST_FROM_AN_ADDRESS = 20  # which many people may share
_LASTS = timedelta(days=14)
_VISITOR_LASTS = timedelta(days=180)
_LINK_LASTS = timedelta(days=1)


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
        self._of_names = Throttle(_MOST_FAILURES, _FAILURES_WITHIN)
        self._from_addresses = Throttle(_MOST_FROM_AN_ADDRESS, _FAILURES_WITHIN)
        self._set_up_token = secrets.token_urlsafe(32)

    def open(self, name: str, password: str, *, address: str, taking: str = "", now: datetime) -> Session:
        """Sign an account in; takes a third of a second, whether there is such an account or not.

        `taking` is the token of a visitor whose conversations become the account's, here and below, "" for none.

        Raises:
            TooManyAttemptsError: this name or this address has failed too often.
            SignInFailedError: name and password do not fit, or the account is disabled.
        """
        found = self._verify(name, password, address=address, now=now)
        if found is None:
            raise SignInFailedError
        person = found[0]
        with self._db.write() as tx:
            if people.find_account(tx, name) != found:  # it was reset or disabled meanwhile
                raise SignInFailedError
            self._audit.append(tx, actor=person.id, action="sign_in", subject=person.id, details={}, now=now)
            self._adopt(tx, taking, person, now)
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

    def change_password(self, person: Person, present: str, wanted: str, *, address: str, now: datetime) -> Session:
        """Give somebody signed in another password; all his sessions end, and this one takes their place.

        Raises:
            TooManyAttemptsError: this name or this address has failed too often.
            WrongPasswordError: the present password is another one.
            PasswordTooShortError, PasswordTooLongError: the wanted one cannot be one.
        """
        found = self._verify(person.name, present, address=address, now=now)
        if found is None:
            raise WrongPasswordError
        password_hash = hash_password(wanted)
        with self._db.write() as tx:
            if people.find_account(tx, person.name) != found:
                raise WrongPasswordError
            self._set_password(tx, person.id, password_hash, action="change_password", actor=person.id, now=now)
            return self.open_account(tx, person, now=now)

    def reset_password(self, person_id: PersonId, *, actor: PersonId, now: datetime) -> str:
        """Make an account's password worth nothing and sign it out everywhere; return the token of a link to choose another one, once.

        Raises:
            NotFoundError: there is no such account.
        """
        token, nobodys_hash = secrets.token_urlsafe(32), hash_password(secrets.token_urlsafe(32))
        with self._db.write() as tx:
            self._set_password(tx, person_id, nobodys_hash, action="reset_password", actor=actor, now=now)
            password_links.open_link(tx, _hash_token(token), person_id=person_id, expires_at=now + _LINK_LASTS, now=now)
        return token

    def find_holdings(self, token: str, *, now: datetime) -> Holdings | None:
        """Return what the visitor whom a token belongs to has said, None if it is nobody's or an account's, or nothing was said."""
        visitor = self.find(token, now=now)
        return find_holdings(self._db.read(), visitor.id) if visitor is not None and visitor.kind is PersonKind.VISITOR else None

    def find_by_link(self, token: str, *, now: datetime) -> Person | None:
        """Return whose password a link chooses, None if the link is unknown or over."""
        return password_links.find_person_by_link(self._db.read(), _hash_token(token), now=now)

    def choose_password(self, token: str, wanted: str, *, address: str, taking: str = "", now: datetime) -> Session:
        """Give the account of a link the password that its person wants, and sign it in; the link is used up.

        Raises:
            TooManyAttemptsError: this address has failed too often.
            PasswordLinkOverError: the link is unknown or over.
            PasswordTooShortError, PasswordTooLongError: the password cannot be one; the link stays good.
        """
        counted = [(self._from_addresses, address)]
        self._count_attempt(counted, now)
        if self.find_by_link(token, now=now) is None:
            raise PasswordLinkOverError
        self._take_back(counted)
        password_hash = hash_password(wanted)
        with self._db.write() as tx:
            person = password_links.find_person_by_link(tx, _hash_token(token), now=now)
            if person is None:  # somebody was quicker
                raise PasswordLinkOverError
            self._set_password(tx, person.id, password_hash, action="choose_password", actor=person.id, now=now)
            self._adopt(tx, taking, person, now)
            return self.open_account(tx, person, now=now)

    def replace_password(self, name: str, wanted: str, *, now: datetime) -> Person:
        """Give an account another password, as somebody with the machine's rights may; it is signed out everywhere.

        Raises:
            NoAccountError: there is none of this name.
            PasswordTooShortError, PasswordTooLongError: the password cannot be one.
        """
        password_hash = hash_password(wanted)
        with self._db.write() as tx:
            found = people.find_account(tx, name)
            if found is None:
                raise NoAccountError(name)
            self._set_password(tx, found[0].id, password_hash, action="reset_password", actor=None, now=now)
            return found[0]

    def find_set_up_token(self) -> str | None:
        """Return what the one-time set-up link must hold, None as soon as there is an account."""
        return self._set_up_token if people.count_accounts(self._db.read()) == 0 else None

    def is_set_up_token(self, token: str) -> bool:
        """Say whether the first account can be made with this token."""
        wanted = self.find_set_up_token()
        return wanted is not None and secrets.compare_digest(token.encode(), wanted.encode())

    def set_up(self, token: str, name: str, password: str, *, taking: str = "", now: datetime) -> Session:
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
            self._adopt(tx, taking, admin, now)
            return self.open_account(tx, admin, now=now)

    def _verify(self, name: str, password: str, *, address: str, now: datetime) -> tuple[Person, str] | None:
        """Return the account that name and password belong to, with its hash; None if they fit none that may sign in, which is a failure.

        Raises:
            TooManyAttemptsError: this name or this address has failed too often.
        """
        counted = [(self._of_names, name.strip().casefold()), (self._from_addresses, address)]
        self._count_attempt(counted, now)
        found = people.find_account(self._db.read(), name)
        person, password_hash = (None, None) if found is None else found
        if not is_password(password, password_hash) or person is None or person.disabled_at is not None:
            return None
        self._take_back(counted)
        return found

    def _count_attempt(self, counted: list[tuple[Throttle, str]], now: datetime) -> None:
        """Count a failure of each name or address, and refuse where there are too many."""
        wait = max(throttle.find_wait(key, now=now) for throttle, key in counted)
        if wait:
            raise TooManyAttemptsError(wait)
        for throttle, key in counted:  # before the slow hash, or a crowd of attempts at once would all be let in
            throttle.count(key, now=now)

    def _take_back(self, counted: list[tuple[Throttle, str]]) -> None:
        """Count one failure less: and no more than this one, for an account of one's own must not wipe out what was tried on others."""
        for throttle, key in counted:
            throttle.take_back(key)

    def _adopt(self, tx: Transaction, token: str, person: Person, now: datetime) -> None:
        """Make what was said by the visitor of a token an account's."""
        visitor = sign_in_sessions.find_person_by_session(tx, _hash_token(token), now=now)
        if visitor is None or visitor.kind is not PersonKind.VISITOR or find_holdings(tx, visitor.id) is None:
            return
        adopted = adopt(tx, visitor.id, account=person.id, now=now)
        self._audit.append(tx, actor=person.id, action="adopt", subject=visitor.id, details=asdict(adopted), now=now)

    def _set_password(
        self, tx: Transaction, person_id: PersonId, password_hash: str, *, action: str, actor: PersonId | None, now: datetime
    ) -> None:
        """Give an account another password: no session and no link that was good before is good after."""
        people.set_password_hash(tx, person_id, password_hash)
        password_links.end_links(tx, person_id, now=now)
        sign_in_sessions.end_all(tx, person_id, now=now)
        self._audit.append(tx, actor=actor, action=action, subject=person_id, details={}, now=now)


def _open_session(tx: Transaction, person: Person, lasts: timedelta, now: datetime) -> Session:
    token, expires_at = secrets.token_urlsafe(32), now + lasts
    sign_in_sessions.open_session(tx, _hash_token(token), person_id=person.id, expires_at=expires_at, now=now)
    return Session(token=token, person=person, expires_at=expires_at)


def _hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
