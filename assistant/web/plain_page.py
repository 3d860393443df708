"""Plain pages that need no script: a few words, at most one form, and ways to go on. Knows no person and no route."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse

from assistant.web.passwords import LEAST_CHARS
from assistant.web.place import find_address

_MOST_FIELDS = 8
_template = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(
    "plain_page.html.jinja"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What somebody fills in; `purpose` is what HTML's autocomplete calls it, `note` what to know of it.

    A hidden field is only sent along; `is_ticked` None is no box to tick.
    """

    name: str
    label: str = ""
    value: str = ""
    purpose: str = ""
    note: str = ""
    is_hidden: bool = False
    is_ticked: bool | None = None

    @property
    def is_secret(self) -> bool:
        """Say whether nobody should read it over a shoulder."""
        return self.purpose.endswith("-password")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Fields that are sent to `action`."""

    action: str
    button: str
    fields: Sequence[Field]


def render_plain_page(
    request: Request,
    title: str,
    *,
    words: str = "",
    problem: str = "",
    form: Form | None = None,
    ways: Mapping[str, str] | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Return a page; `problem` says what went wrong, and `ways` are the names of the pages to go on to, by their paths here."""
    fields = [] if form is None else form.fields
    first = next((field.name for field in fields if not field.is_hidden and not field.value and field.is_ticked is None), None)
    shown = _template.render(
        title=title,
        words=words,
        problem=problem,
        form=form,
        action="" if form is None else find_address(request, form.action),
        ways={find_address(request, path): name for path, name in (ways or {}).items()},
        first=first,
        least_chars=LEAST_CHARS,
    )
    return HTMLResponse(shown, status, {"cache-control": "no-store", **(headers or {})})


async def read_form(request: Request) -> dict[str, str]:
    """Return what was filled in."""
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        return {key: value for key, value in form.items() if isinstance(value, str)}
