"""Who may call what: every function of a page says which role it needs, and looks when it runs.

Whoever is signed in can call any function of a page by its number, shown or not, so only a look inside of it holds
(gradio-app/gradio#13051). The role is read anew each time: one that was taken away is gone at once.
"""

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from functools import wraps
from typing import Any, Protocol

import gradio as gr
from anyio import to_thread

from assistant.errors import NotPermittedError
from assistant.plain_text import mend_surrogates
from assistant.web.cookie import read_token
from assistant.web.sign_in import SignIn
from feedback_db.records import Person, Role


class GuardedPage(Protocol):
    """A page whose functions need roles."""

    sign_in: SignIn
    clock: Callable[[], datetime]


def requires(role: Role) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a page's method run only for somebody of this role, who becomes its first argument in the place of the request.

    The method is a function, an asynchronous one, or an asynchronous generator, and is given no half characters. What it returns is marked
    with `required_role`.

    Raises:
        NotPermittedError: when it is called by anybody else.
    """

    def guard(method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isasyncgenfunction(method):

            @wraps(method)
            async def guarded(page: GuardedPage, request: gr.Request, *values: Any) -> AsyncGenerator[Any, None]:
                person = await to_thread.run_sync(_admit, page, request, role)
                async with aclosing(method(page, person, *map(_mend, values))) as told:
                    async for one in told:
                        yield one

        elif inspect.iscoroutinefunction(method):

            @wraps(method)
            async def guarded(page: GuardedPage, request: gr.Request, *values: Any) -> Any:
                person = await to_thread.run_sync(_admit, page, request, role)
                return await method(page, person, *map(_mend, values))

        else:

            @wraps(method)
            def guarded(page: GuardedPage, request: gr.Request, *values: Any) -> Any:
                return method(page, _admit(page, request, role), *map(_mend, values))

        _show_request(guarded, method)
        guarded.required_role = role  # type: ignore[attr-defined]
        return guarded

    return guard


def _admit(page: GuardedPage, request: gr.Request, role: Role) -> Person:
    token = "" if request.request is None else read_token(request.request)
    person = page.sign_in.find(token, now=page.clock()) if token else None
    if person is None or not person.role.includes(role):
        raise NotPermittedError(role.value)
    return person


def _mend(value: Any) -> Any:
    """Return a value that a browser sent as what can be stored and sent back."""
    return mend_surrogates(value) if isinstance(value, str) else value


def _show_request(guarded: Callable[..., Any], method: Callable[..., Any]) -> None:
    """Let Gradio, which looks at signature and annotations, find the request where the method takes the person."""
    signature = inspect.signature(method)
    page, person, *others = signature.parameters.values()
    request = person.replace(name="request", annotation=gr.Request)
    guarded.__signature__ = signature.replace(parameters=[page, request, *others])  # type: ignore[attr-defined]
    hints = {name: hint for name, hint in method.__annotations__.items() if name != person.name}
    guarded.__annotations__ = {**hints, "request": gr.Request}
    del guarded.__wrapped__  # type: ignore[attr-defined]  # or the person would be looked for
