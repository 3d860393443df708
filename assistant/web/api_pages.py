"""`/admin/api/`: what programs can ask for, as a page and as OpenAPI. The wall lets admins through.

Swagger UI could be this page, but as packaged in fastapi-offline 1.7.7 it has texts that axe finds too pale, no dark look, and weighs
1.7 MB; this one needs no script.
"""

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from assistant.api.description import describe_api
from assistant.web.api_view import render_api
from assistant.web.place import find_address, lead_to

_PATH = "/admin/api/"
_SERVER = "../../v1"  # from here, wherever the site is mounted
_FRESH = {"cache-control": "no-store"}


class ApiPages:
    """Shows the API's description."""

    def __init__(self, api: FastAPI) -> None:
        self._described = describe_api(api, server=_SERVER)

    def list_routes(self) -> list[Route]:
        """Return the routes, to be put before those of the pages."""
        return [
            Route(_PATH, self._show, methods=["GET"]),
            Route(_PATH.rstrip("/"), self._lead, methods=["GET"]),
            Route(f"{_PATH}openapi.json", self._tell, methods=["GET"]),
        ]

    async def _show(self, request: Request) -> Response:
        address = f"{request.url.scheme}://{request.url.netloc}{find_address(request, '/v1')}"
        return HTMLResponse(render_api(self._described, address=address), headers=_FRESH)

    async def _lead(self, request: Request) -> Response:
        return lead_to(request, _PATH, 308)

    async def _tell(self, _: Request) -> Response:
        return JSONResponse(self._described, headers=_FRESH)
