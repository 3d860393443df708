"""Where an admin makes and revokes the keys of programs. A token is shown once, to whoever made it, and is nothing that a page keeps."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import gradio as gr

from assistant.api.keys import KeyRing
from assistant.web.admin_view import name_people, render_notice
from assistant.web.events import read_text
from assistant.web.key_view import OPENS, render_keys, render_new_key, render_revoked
from assistant.web.place import find_site
from assistant.web.roles import requires
from assistant.web.sign_in import SignIn
from feedback_db import api_keys, people
from feedback_db.api_keys import Scope
from feedback_db.database import Database
from feedback_db.errors import FeedbackError
from feedback_db.records import ApiKeyId, Person, Role

_HERE = Path(__file__).parent
_INTRO = (
    '<p class="aside">A program uses Errata with a key of its own, as it would use OpenAI\'s API. '
    '<a href="api/">What programs can ask for</a> tells all of it.</p>'
)
_Shown = dict[Any, Any]  # what changes on the page: component → its value


class KeyDesk:
    """Builds this part of the page and answers what admins do on it."""

    def __init__(self, db: Database, keys: KeyRing, sign_in: SignIn, *, clock: Callable[[], datetime]) -> None:
        self.sign_in, self.clock = sign_in, clock
        self._db, self._keys = db, keys

    @property
    def table(self) -> Any:
        """The table of keys, which shows what `show` returns."""
        return self._table

    def build(self) -> None:
        """Put it on the page; the table is empty until it is shown."""
        gr.HTML(_INTRO, elem_id="about-keys")
        with gr.Row(elem_id="new-key-row"):
            self._name = gr.Textbox(label="What the key is for, such as shop", max_lines=1, elem_id="key-name")
            self._make = gr.Button("Make a key", variant="primary", elem_id="make-key")
        offered = [(f"{scope.value.capitalize()}: {told}.", scope.value) for scope, told in OPENS.items()]
        self._scopes = gr.CheckboxGroup(offered, value=[Scope.CHAT.value], label="What it opens", elem_id="key-scopes")
        self._new = gr.HTML(elem_id="new-key", js_on_load=_read("new_key.js"))
        self._table = gr.HTML(elem_id="keys", js_on_load=_read("admin.js"))

    def listen(self, notice: gr.HTML, audit: gr.HTML, render_audit: Callable[[], str], **how: Any) -> None:
        """Answer what is done here; what goes wrong is told in `notice`, and `audit` shows anew what was written."""
        self._notice, self._audit, self._render_audit = notice, audit, render_audit
        outputs = [self._name, self._scopes, self._new, self._table, notice, audit]
        for event in (self._make.click, self._name.submit):
            event(self._make_key, [self._name, self._scopes], **{**how, "outputs": outputs})
        self._table.wish(self._revoke_key, None, **{**how, "outputs": outputs})
        self._new.wish(self._forget_token, None, **{**how, "outputs": outputs})

    def show(self) -> str:
        """Return what the table shows."""
        reader = self._db.read()
        keys = api_keys.list_keys(reader)
        makers = people.find_people(reader, {key.made_by for key in keys})
        return render_keys(keys, name_people(makers), now=self.clock())

    @requires(Role.ADMIN)
    def _make_key(self, person: Person, browser: gr.Request, name: str, scopes: Sequence[str]) -> _Shown:
        wanted = {Scope(scope) for scope in scopes or ()}  # Gradio lets through only what is offered
        if not wanted:
            return self._complain("Expected a tick at what the key opens. Found none. Tick at least one.")
        try:
            key, token = self._keys.make(name or "", wanted, actor=person.id, now=self.clock())
        except FeedbackError as refused:
            return self._complain(refused)
        shown = render_new_key(key, token, site=find_site(browser.request))
        return {**self._show_anew(), self._new: shown, self._name: "", self._scopes: [Scope.CHAT.value]}

    @requires(Role.ADMIN)
    def _revoke_key(self, person: Person, event: gr.EventData) -> _Shown:
        try:
            key = self._keys.revoke(ApiKeyId(read_text(event, "id")), actor=person.id, now=self.clock())
        except FeedbackError as refused:
            return self._complain(refused)
        told = render_notice(f"The key {key.name} opens nothing any more.")
        return {**self._show_anew(), self._notice: told, self._new: render_revoked(key)}

    @requires(Role.ADMIN)
    def _forget_token(self, person: Person) -> _Shown:  # noqa: ARG002  the role is what matters
        """Have Gradio, which remembers what each page was sent last, remember nothing of a token that has arrived."""
        return {self._new: ""}

    def _show_anew(self) -> _Shown:
        return {self._table: self.show(), self._audit: self._render_audit(), self._notice: ""}

    def _complain(self, refused: Exception | str) -> _Shown:
        return {self._notice: render_notice(str(refused), is_problem=True)}


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
