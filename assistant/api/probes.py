"""`/healthz`, `/readyz` and `/metrics`, for whatever watches over the process."""

import ipaddress
from collections.abc import Callable
from datetime import datetime

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from assistant.api.door import admit
from assistant.api.errors import ApiError
from assistant.api.keys import KeyRing
from assistant.api.metrics import CONTENT_TYPE, Metrics
from assistant.engine.live import LiveAssistant
from feedback_db.api_keys import Scope

_PROXIED = ("forwarded", "via", "x-client-ip", "x-real-ip")  # and all that begins with x-forwarded
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Probes:
    """Answers whether the process lives, whether it can reply, and what it has done."""

    def __init__(
        self, live: LiveAssistant, metrics: Metrics, keys: KeyRing, *, trusts_this_machine: bool, clock: Callable[[], datetime]
    ) -> None:
        """Tell the figures to this machine without a key only where nothing is known to stand in front."""
        self._live, self._metrics, self._keys, self._clock = live, metrics, keys, clock
        self._trusts_this_machine = trusts_this_machine

    def list_routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/healthz", self._tell_health, methods=["GET"]),
            Route("/readyz", self._tell_readiness, methods=["GET"]),
            Route("/metrics", self._tell_metrics, methods=["GET"]),
        ]

    async def _tell_health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _tell_readiness(self, _: Request) -> Response:
        version = self._live.status().version
        if version is None:
            return JSONResponse({"status": "nothing is served yet"}, 503, {"retry-after": "2"})
        return JSONResponse({"status": "ok", "version": version})

    async def _tell_metrics(self, request: Request) -> Response:
        try:
            if not (self._trusts_this_machine and _is_of_this_machine(request)):
                await admit(self._keys, request.headers, Scope.ADMIN, now=self._clock())
        except ApiError as refused:
            return refused.answer()
        return Response(await to_thread.run_sync(self._metrics.render), media_type=CONTENT_TYPE)


def _is_of_this_machine(request: Request) -> bool:
    """Say whether a request began on this machine; what a proxy on it passes on did not, where the proxy says so or keeps the name."""
    if request.client is None or any(name in _PROXIED or name.startswith("x-forwarded") for name in request.headers):
        return False
    if request.url.hostname not in _LOOPBACK_NAMES:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
