"""Replies for programs: by which release, under which system message, logged with all that the program told. Knows no HTTP."""

import logging
import threading
import uuid
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from assistant.api.completion_request import MAX_MESSAGE_CHARS, MODEL, Asked, name_model
from assistant.api.errors import ApiError
from assistant.chat import Answer, build_prompt, find_served, read_sampling
from assistant.engine.live import LiveAssistant
from assistant.engine.reply import Reply, Sampling
from assistant.errors import AssistantClosedError, AssistantError, QueueFullError, ReleaseNotLoadedError
from assistant.hot_swap import describe_release
from assistant.prompt import Message
from feedback_db import releases
from feedback_db.api_keys import ApiKey
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database, Transaction
from feedback_db.errors import FeedbackError, NotFoundError, TextTooLongError
from feedback_db.people import MAX_NAME_CHARS
from feedback_db.records import Turn, TurnId
from feedback_db.text_checks import check_text
from feedback_db.told_turns import Caller, Context, log_told_turn
from feedback_db.training_records import Release

ClientSystem = Literal["append", "replace", "refuse"]
_DEADLINE_S = 600.0
_ID_PREFIX = "chatcmpl-"
_TRY_AGAIN_S = 1
_log = logging.getLogger(__name__)


class Completion:
    """A reply on its way to a program; `id` is its name there, and the turn's here."""

    def __init__(self, answer: Answer, key: ApiKey, turn_id: TurnId, created_at: datetime) -> None:
        self.answer, self.key, self.id, self.created_at = answer, key, f"{_ID_PREFIX}{turn_id}", created_at

    @property
    def model(self) -> str:
        """Return the name of the version that writes it."""
        return name_model(self.answer.reply.version)


class Completions:
    """Begins replies for programs, and ends all of them at shutdown.

    `runs_folder` holds the runs' adapters; a key may have `most_a_key` replies at once, so that no program shuts others out.
    """

    def __init__(self, db: Database, live: LiveAssistant, *, runs_folder: Path, client_system: ClientSystem, most_a_key: int) -> None:
        self._db, self._live, self._runs_folder, self._client_system = db, live, runs_folder, client_system
        self._most_a_key = most_a_key
        self._under_way: set[Completion] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def begin(self, key: ApiKey, asked: Asked, *, now: datetime) -> Completion:
        """Begin a reply; returns before its first token, but may wait for a pinned version's adapter.

        Raises:
            ApiError: there is no such model, or the program's own system message is refused.
            EmptyTextError, TextTooLongError, HostileTextError: a message cannot be answered as it is.
            QueueFullError: there is no place, or the key has as many replies as one may have.
            AssistantError: see `LiveAssistant.stream`.
        """
        self._check_room(key)
        caller = Caller(key_id=key.id, key_name=key.name, user=asked.user)
        check_text(caller.person_name, what="a user's name", max_chars=MAX_NAME_CHARS)
        asked = replace(asked, message=_check(asked.message), context=_check_context(asked.context))
        release = self._find_release(asked.version)
        wanted: dict[str, Any] = dict(asked.sampling)
        sampling = replace(read_sampling(release), **wanted)
        system = self._combine(release.system_message, asked.context.system)
        messages = build_prompt(self._live, system, asked.context.history, asked.message, max_tokens=sampling.max_tokens)
        reply = self._stream(release, messages, sampling, asked.stop)
        turn_id = TurnId(uuid.uuid4().hex)

        def log(tx: Transaction, logged: LoggedReply) -> Turn:
            return log_told_turn(tx, turn_id, caller=caller, context=asked.context, logged=logged, now=now)

        return self._note(Completion(Answer(self._db, reply, asked.message, log), key, turn_id, now))

    def end(self, completion: Completion) -> None:
        """Cancel what is left of a reply, and log what there is; does nothing once it has ended."""
        try:
            completion.answer.close()
        finally:
            with self._lock:
                self._under_way.discard(completion)

    def close(self) -> None:
        """Stop all replies under way and log what each has said; no other begins."""
        with self._lock:
            self._is_closed = True
            found = list(self._under_way)
        for completion in found:
            completion.answer.reply.cancel()
        for completion in found:
            try:
                self.end(completion)
            except (AssistantError, FeedbackError):
                _log.exception("a reply under way could not be logged")

    def list_models(self) -> list[tuple[str, Release]]:
        """Return the names that can be asked for: the live one first, then each version of the loaded base, the newest first."""
        known = [one for one in releases.list_releases(self._db.read()) if one.revision == self._live.base.revision]
        return [(MODEL, find_served(self._db, self._live)), *((name_model(one.version), one) for one in known)]

    def _check_room(self, key: ApiKey) -> None:
        """Refuse before anything is done where there is no place: in the engine's queue, or among those that one key may take of it."""
        self._live.check_room()
        with self._lock:
            taken = sum(completion.key.id == key.id for completion in self._under_way)
        if taken >= self._most_a_key:
            raise QueueFullError(taken, _TRY_AGAIN_S)

    def _find_release(self, version: int | None) -> Release:
        if version is None:
            return find_served(self._db, self._live)
        try:
            return releases.find_release(self._db.read(), version)
        except NotFoundError as error:
            message = f"Expected a version that exists. Found none of number {version}. GET /v1/models lists them."
            raise ApiError(404, message, code="model_not_found", param="model") from error

    def _combine(self, own: str | None, client: str | None) -> str | None:
        """Return the system message that a reply is written under."""
        if client is None or self._client_system == "replace":
            return own
        if self._client_system == "refuse":
            message = "Expected no system message: this assistant keeps its own. Leave it out."
            raise ApiError(400, message, code="unsupported_value", param="messages")
        return client if own is None else f"{own}\n\n{client}"

    def _stream(self, release: Release, messages: list[Message], sampling: Sampling, stop: tuple[str, ...]) -> Reply:
        """Ask the engine; a version that it has not had yet is loaded first."""
        try:
            return self._live.stream(messages, sampling, version=release.version, stop=stop, deadline_s=_DEADLINE_S)
        except ReleaseNotLoadedError:
            self._live.load(describe_release(release, self._runs_folder))
            return self._live.stream(messages, sampling, version=release.version, stop=stop, deadline_s=_DEADLINE_S)

    def _note(self, completion: Completion) -> Completion:
        with self._lock:
            is_closed = self._is_closed
            self._under_way.add(completion)
        if is_closed:
            self.end(completion)
            raise AssistantClosedError
        return completion


def find_turn_id(completion_id: str) -> TurnId:
    """Return the turn that a completion is."""
    return TurnId(completion_id.removeprefix(_ID_PREFIX))


def _check(text: str, what: str = "a message") -> str:
    return check_text(text, what=what, max_chars=MAX_MESSAGE_CHARS)


def _check_context(context: Context) -> Context:
    """Return what was told, checked; a reply is let be what it is, for a model, perhaps ours, has written it, and it is never obeyed."""
    system = None if context.system is None else _check(context.system, "a system message")
    for _, said in context.history:
        if len(said) > MAX_MESSAGE_CHARS:
            raise TextTooLongError("a reply", MAX_MESSAGE_CHARS, len(said))
    return replace(context, system=system, history=tuple((_check(asked), said.strip()) for asked, said in context.history))
