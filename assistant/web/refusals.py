"""How the wall says no: a program is told in JSON, a person who looks at a page in a page, with ways to go on. Knows no reason."""

from collections.abc import Mapping
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from assistant.web.plain_page import render_plain_page

_TITLES = {
    401: "Please sign in",
    403: "That may not be",
    404: "Nothing here",
    413: "That was too long",
    421: "Not under this name",
    429: "One moment, please",
}


class RefusedError(Exception):
    """A request does not pass; `ways` are the names of the pages to go on to, by their paths."""

    def __init__(
        self, status: int, sentence: str, *, title: str = "", retry_after: timedelta | None = None, ways: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.ways = status, sentence, ways or {}
        self.title = title or _TITLES.get(status, "That did not work")
        self.headers = {} if retry_after is None else {"retry-after": str(max(1, round(retry_after.total_seconds())))}


def answer_refusal(request: Request, refused: RefusedError) -> Response:
    """Return what a refused request is answered."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"detail": refused.sentence}, refused.status, refused.headers)
    return render_plain_page(
        request, refused.title, words=refused.sentence, ways=refused.ways, status=refused.status, headers=refused.headers
    )
