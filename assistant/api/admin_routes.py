"""`/v1/admin`: what an admin does on the page, for programs and the command line."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Protocol

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request
from fastapi import Path as PathParameter
from fastapi.encoders import jsonable_encoder
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from assistant.api.admin_view import describe_event, describe_release, describe_request, describe_run, describe_state
from assistant.api.errors import ApiError
from assistant.api.keys import KeyRing
from feedback_db import releases, requests, runs
from feedback_db.database import Database, Transaction
from feedback_db.recipe import Recipe, read_recipe
from feedback_db.records import PersonId
from feedback_db.training_records import RequestId, RequestKind, Run, RunId

_LOOK_EVERY_S = 0.5
_Number = Annotated[int, PathParameter(ge=0, lt=2**31)]
_SIGN_OF_LIFE_AFTER = 30  # looks without news


class Deploying(Protocol):
    """Promotes and rolls back; each returns a sentence that says what came of it."""

    def promote(self, tx: Transaction, version: int, *, actor: PersonId, reason: str, now: datetime) -> str:
        """Wish that a release be live."""

    def roll_back(self, tx: Transaction, *, actor: PersonId, reason: str, now: datetime) -> str:
        """Wish that what was live before be live again."""


class Because(BaseModel):
    """Why something is done."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "Asked for by the shop."}]})

    reason: Annotated[str, Field(max_length=1000)] = ""


class RunRequest(Because):
    """A run that is wished for; `recipe` are its settings that differ from the defaults, `dry_run` only says what would be trained."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Before the sale.", "dry_run": True}]})

    recipe: dict[str, Any] | None = None
    dry_run: bool = False


class AdminRoutes:
    """Carries out what is asked for under `/v1/admin`, as the key's own deeds; what goes live is in the audit."""

    def __init__(self, db: Database, keys: KeyRing, deploying: Deploying, *, default_recipe: Recipe, clock: Callable[[], datetime]) -> None:
        self._db, self._keys, self._deploying, self._default_recipe, self._clock = db, keys, deploying, default_recipe, clock
        self.router = APIRouter(prefix="/admin", tags=["admin"])
        add = self.router.add_api_route
        add("/status", self.read_status, methods=["GET"])
        add("/runs", self.list_runs, methods=["GET"])
        add("/runs", self.request_run, methods=["POST"], status_code=202)
        add("/runs/{run_id}", self.read_run, methods=["GET"])
        add("/runs/{run_id}/cancel", self.cancel_run, methods=["POST"], status_code=202)
        add("/runs/{run_id}/events", self.follow_run, methods=["GET"], response_model=None)
        add("/requests/{request_id}", self.read_request, methods=["GET"])
        add("/versions", self.list_versions, methods=["GET"])
        add("/versions/{version}", self.read_version, methods=["GET"])
        add("/versions/{version}/promote", self.promote, methods=["POST"])
        add("/rollback", self.roll_back, methods=["POST"])

    def read_status(self) -> dict[str, Any]:
        """Say what is live, what is being trained, and when the schedule looks next."""
        return describe_state(self._db.read())

    def list_runs(self, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> dict[str, Any]:
        """List the runs, the newest first."""
        reader = self._db.read()
        return {"data": [describe_run(reader, run) for run in runs.list_runs(reader, limit=limit)]}

    def request_run(self, request: Request, body: RunRequest) -> dict[str, Any]:
        """Ask for a run; what becomes of it is told by its request, some seconds later."""
        recipe = None
        if body.recipe is not None:
            recipe = read_recipe(json.dumps({**asdict(self._default_recipe), **body.recipe}))
        kind = RequestKind.DRY_RUN if body.dry_run else RequestKind.TRAIN
        return self._ask(request, kind, body.reason, recipe)

    def read_run(self, run_id: str) -> dict[str, Any]:
        """Tell of one run."""
        reader = self._db.read()
        return describe_run(reader, runs.find_run(reader, RunId(run_id)))

    def cancel_run(self, request: Request, run_id: str, body: Because) -> dict[str, Any]:
        """Ask for the end of a run that is under way."""
        active = runs.find_active_run(self._db.read())
        if runs.find_run(self._db.read(), RunId(run_id)).finished_at is not None or active is None or active.id != run_id:
            raise ApiError(409, f"Expected a run that is under way. Found that '{run_id}' has ended.", code="conflict", param="run_id")
        return self._ask(request, RequestKind.CANCEL, body.reason, None)

    def follow_run(self, run_id: str, last_event_id: Annotated[int, Header(ge=0)] = 0) -> Response:
        """Tell what a run tells, as server-sent events, until it has ended; `Last-Event-ID` goes on behind it."""
        run = runs.find_run(self._db.read(), RunId(run_id))
        return StreamingResponse(
            self._tell_events(run, last_event_id), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    def read_request(self, request_id: _Number) -> dict[str, Any]:
        """Tell what became of what was asked for."""
        return describe_request(requests.find_request(self._db.read(), RequestId(request_id)))

    def list_versions(self) -> dict[str, Any]:
        """List the versions, the newest first."""
        reader = self._db.read()
        return {"data": [describe_release(reader, release) for release in releases.list_releases(reader)]}

    def read_version(self, version: _Number) -> dict[str, Any]:
        """Tell of one version, with the report on the run that made it."""
        reader = self._db.read()
        release = releases.find_release(reader, version)
        stored = None if release.run_id is None else runs.find_report(reader, release.run_id)
        return {**describe_release(reader, release), "report": None if stored is None else json.loads(stored.report)}

    def promote(self, request: Request, version: _Number, body: Because) -> dict[str, str]:
        """Put a version live."""
        now = self._clock()
        with self._db.write() as tx:
            actor = self._keys.find_actor(tx, request.state.key, now=now).id
            return {"outcome": self._deploying.promote(tx, version, actor=actor, reason=body.reason, now=now)}

    def roll_back(self, request: Request, body: Because) -> dict[str, str]:
        """Put live again what was live before."""
        now = self._clock()
        with self._db.write() as tx:
            actor = self._keys.find_actor(tx, request.state.key, now=now).id
            return {"outcome": self._deploying.roll_back(tx, actor=actor, reason=body.reason, now=now)}

    def _ask(self, request: Request, kind: RequestKind, reason: str, recipe: Recipe | None) -> dict[str, Any]:
        now = self._clock()
        with self._db.write() as tx:
            actor = self._keys.find_actor(tx, request.state.key, now=now).id
            return describe_request(requests.add_request(tx, kind, person_id=actor, reason=reason, recipe=recipe, now=now))

    async def _tell_events(self, run: Run, after: int) -> AsyncIterator[str]:
        silent = 0
        while True:
            ended, events = await to_thread.run_sync(self._read_events, run.id, after)
            for event in events:
                after = event["number"]
                yield _to_event(event["phase"], event, number=after)
            if ended is not None:
                yield _to_event("end", ended)
                return
            silent = 0 if events else silent + 1
            if silent and silent % _SIGN_OF_LIFE_AFTER == 0:
                yield ": still here\n\n"
            await asyncio.sleep(_LOOK_EVERY_S)

    def _read_events(self, run_id: RunId, after: int) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
        """Return the run if it has ended, and what it told since; looked up in this order, so that nothing is missed."""
        reader = self._db.read()
        run = runs.find_run(reader, run_id)
        events = [describe_event(event) for event in runs.list_events(reader, run_id, after=after)]
        return (describe_run(reader, run) if run.finished_at is not None else None), events


def _to_event(name: str, told: dict[str, Any], *, number: int | None = None) -> str:
    shown = json.dumps(jsonable_encoder(told))
    return (f"id: {number}\n" if number is not None else "") + f"event: {name}\ndata: {shown}\n\n"
