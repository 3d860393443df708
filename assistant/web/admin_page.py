"""The admin page: what is live and why, training by hand, runs and reports, promotion and rollback, people, keys, the audit, health."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import gradio as gr

from assistant.api.keys import KeyRing
from assistant.engine.live import Status
from assistant.errors import AssistantError
from assistant.web import admin_view, chat_view
from assistant.web.charts import PERIODS, Charts
from assistant.web.events import read_text
from assistant.web.key_desk import KeyDesk
from assistant.web.passwords import hash_password
from assistant.web.place import find_site
from assistant.web.recipe_form import RecipeForm
from assistant.web.roles import requires
from assistant.web.settings_form import SettingsForm
from assistant.web.sign_in import SignIn
from feedback_db import api_keys, examples, people, releases, requests, runs
from feedback_db.audit import Audit, list_newest
from feedback_db.database import Database, Transaction
from feedback_db.errors import FeedbackError
from feedback_db.forecast import read_forecast
from feedback_db.recipe import Recipe
from feedback_db.records import Person, PersonId, Role
from feedback_db.training_records import Request, RequestId, RequestKind, RunId

_HERE = Path(__file__).parent
_TICK_S = 2.0
_NEWS_FOR = timedelta(minutes=1)  # a page that is loaded tells what was answered since
_MOST_DIGITS = 9
_ROLES = {"End user": Role.END_USER, "Reviewer": Role.REVIEWER, "Admin": Role.ADMIN}
_CHANGED = {  # what became of somebody: by what was done, or by the role
    "disable": "is signed out everywhere, and may not sign in any more.",
    "enable": "may sign in again.",
    Role.END_USER: "is an end user now: chat, and nothing else.",
    Role.REVIEWER: "is a reviewer now.",
    Role.ADMIN: "is an admin now.",
}
_Shown = dict[Any, Any]  # what changes on the page: component → its value


class Operating(Protocol):
    """What the admin page has done elsewhere; each returns a sentence that says what came of it."""

    def read_settings(self) -> dict[str, Any]:
        """Return the settings that may be chosen, by their names."""

    def change_settings(self, chosen: Mapping[str, Any], *, actor: PersonId, now: datetime) -> str:
        """Go on by what was chosen.

        Raises:
            AssistantError, FeedbackError: it cannot be used.
        """

    def promote(self, tx: Transaction, version: int, *, actor: PersonId, reason: str, now: datetime) -> str:
        """Wish that a release be live."""

    def roll_back(self, tx: Transaction, *, actor: PersonId, reason: str, now: datetime) -> str:
        """Wish that what was live before be live again."""

    def back_up(self) -> str:
        """Copy what is needed to go on elsewhere."""

    def find_audit_fault(self) -> str | None:
        """Say where the audit's chain does not hold, None if it does."""

    def find_damage(self) -> tuple[str, ...]:
        """Return what is wrong with the database."""

    def read_free_disk(self) -> int:
        """Return how many bytes the data folder's disk has left."""

    def read_engine(self) -> Status:
        """Return what the engine serves, and how busy it is."""

    def read_free_memory(self) -> int:
        """Return how many bytes of memory are free."""


class AdminPage:
    """Builds the page and answers what admins do on it."""

    def __init__(
        self,
        db: Database,
        audit: Audit,
        sign_in: SignIn,
        operating: Operating,
        keys: KeyRing,
        *,
        recipe: Recipe,
        gpu: str | None,
        mounts: Sequence[str],
        clock: Callable[[], datetime],
    ) -> None:
        self.sign_in, self.clock = sign_in, clock
        self._db, self._audit, self._operating, self._gpu = db, audit, operating, gpu
        self._mounts = tuple(mounts)
        self._keys = KeyDesk(db, keys, sign_in, clock=clock)
        self._recipe, self._settings, self._charts = RecipeForm(recipe), SettingsForm(), Charts()

    def build(self) -> gr.Blocks:
        """Return the page, with a role on each of its functions."""
        page = gr.Blocks(title="Admin", analytics_enabled=False, fill_height=True)
        with page:
            self._header = gr.HTML(elem_id="header")
            with gr.Column(elem_id="desk"):
                with gr.Column(elem_id="notices"):
                    self._link = gr.HTML(elem_id="password-link", js_on_load=_read("admin.js"))
                    self._notice = gr.HTML(elem_id="notice", js_on_load=_read("admin.js"))
                self._status = gr.HTML(elem_id="status")
                with gr.Tabs(elem_id="tabs"):
                    with gr.Tab("Training"):
                        self._build_training()
                    with gr.Tab("Versions"):
                        self._build_versions()
                    with gr.Tab("Charts") as self._charts_tab:
                        self._period = gr.Radio(list(PERIODS), value="30 days", show_label=False, container=False, elem_id="period")
                        self._charts.build()
                    with gr.Tab("People"):
                        self._build_people()
                    with gr.Tab("Keys"):
                        self._keys.build()
                    with gr.Tab("Settings"):
                        self._settings.build()
                        with gr.Row():
                            self._save = gr.Button("Save", variant="primary", elem_id="save")
                    with gr.Tab("Audit and health"):
                        self._build_health()
            self._run = gr.Textbox(visible="hidden", elem_id="run")
            self._told = gr.Textbox(visible="hidden", elem_id="told")
            self._listen(page, gr.Timer(_TICK_S))
        return page

    def _build_training(self) -> None:
        with gr.Row(elem_id="train-row"):
            self._train = gr.Button("Train now", variant="primary", elem_id="train")
            self._dry_run = gr.Button("What would be trained?", elem_id="dry-run")
            self._cancel = gr.Button("Cancel the run", variant="stop", elem_id="cancel")
        with gr.Accordion("Advanced: another recipe for this run", open=False, elem_id="advanced"):
            self._recipe.build()
        self._forecast = gr.HTML(elem_id="forecast", js_on_load=_read("admin.js"))
        self._progress = gr.HTML(elem_id="progress")
        self._runs = gr.HTML(elem_id="runs", js_on_load=_read("admin.js"))
        self._report = gr.HTML(elem_id="report", js_on_load=_read("admin_report.js"))

    def _build_versions(self) -> None:
        self._releases = gr.HTML(elem_id="releases")
        with gr.Row(elem_id="promotion"):
            self._version = gr.Textbox(label="Version to put live", max_lines=1, elem_id="version")
            self._promote_reason = gr.Textbox(label="Why (needed where the gate did not promote it)", max_lines=1, elem_id="promote-reason")
            self._promote = gr.Button("Put live", variant="primary", elem_id="promote")
        with gr.Row(elem_id="rollback"):
            self._typed = gr.Textbox(label="Type the live version to roll it back", max_lines=1, elem_id="typed")
            self._rollback_reason = gr.Textbox(label="Why", max_lines=1, elem_id="rollback-reason")
            self._rollback = gr.Button("Roll back", variant="stop", elem_id="roll-back")

    def _build_people(self) -> None:
        self._people = gr.HTML(elem_id="people", js_on_load=_read("admin.js"))
        with gr.Row(elem_id="new-person"):
            self._name = gr.Textbox(label="Name", max_lines=1, elem_id="name")
            self._password = gr.Textbox(label="First password", type="password", max_lines=1, elem_id="password")
            self._role = gr.Radio(list(_ROLES), value="Reviewer", label="Role", elem_id="role")
            self._add = gr.Button("Add", variant="primary", elem_id="add")

    def _build_health(self) -> None:
        self._health = gr.HTML(elem_id="health")
        with gr.Row(elem_id="health-row"):
            self._back_up = gr.Button("Back up now", elem_id="back-up")
            self._check = gr.Button("Check the database", elem_id="check")
        self._audit_rows = gr.HTML(elem_id="audit")

    def _listen(self, page: gr.Blocks, timer: gr.Timer) -> None:
        everything = [
            *(
                self._header,
                self._link,
                self._notice,
                self._told,
                self._status,
                self._forecast,
                self._progress,
                self._runs,
                self._report,
                self._run,
                self._releases,
            ),
            *(self._version, self._promote_reason, self._typed, self._rollback_reason, self._people, self._name, self._password),
            *(self._keys.table, self._health, self._audit_rows),
            *self._settings.fields,
        ]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "outputs": everything}
        page.load(self._load, None, **quiet)
        timer.tick(self._look, [self._run, self._told], **quiet)
        self._train.click(self._ask_train, self._recipe.fields, **quiet)
        self._dry_run.click(self._ask_dry_run, self._recipe.fields, **quiet)
        self._cancel.click(self._ask_cancel, None, **quiet)
        self._notice.wish(self._close_notice, None, **quiet)
        self._link.wish(self._close_link, None, **quiet)
        self._forecast.wish(self._show_more, None, **quiet)
        self._runs.wish(self._open_report, None, **quiet)
        self._promote.click(self._promote_version, [self._version, self._promote_reason], **quiet)
        self._rollback.click(self._roll_back, [self._typed, self._rollback_reason], **quiet)
        self._people.wish(self._change_person, None, **quiet)
        self._add.click(self._add_person, [self._name, self._password, self._role], **quiet)
        self._keys.listen(self._notice, self._audit_rows, self._render_audit, **quiet)
        self._back_up.click(self._back_up_now, None, **quiet)
        self._check.click(self._check_now, None, **quiet)
        self._save.click(self._save_settings, self._settings.fields, **quiet)
        for event in (self._charts_tab.select, self._period.change):
            event(self._draw_charts, self._period, **{**quiet, "outputs": self._charts.all})

    @requires(Role.ADMIN)
    def _load(self, person: Person) -> _Shown:
        header = chat_view.render_header("Admin", person, path="/admin", version=None, mounts=self._mounts, side=None)
        return {
            self._header: header,
            self._told: self._find_told(),
            **self._show_all(person, ""),
            **self._settings.show(self._operating.read_settings()),
        }

    @requires(Role.ADMIN)
    def _look(self, person: Person, run: str, told: str) -> _Shown:  # noqa: ARG002  the role is what matters
        """Show what moves, and tell the newest answer once, however late this look comes; `told` is the last that was, "" before a load."""
        answered, shown = requests.find_newest_answer(self._db.read()), self._show_moving(run or "")
        if answered is None or told in {"", str(answered.id)}:
            return shown
        forecast = self._render_forecast(answered, most=admin_view.MOST_FORESEEN)
        return shown | self._say(answered.outcome or "") | {self._told: str(answered.id), self._forecast: forecast}

    @requires(Role.ADMIN)
    def _ask_train(self, person: Person, *recipe: object) -> _Shown:
        reader = self._db.read()
        if runs.find_active_run(reader) is not None or any(one.kind is RequestKind.TRAIN for one in requests.list_open(reader)):
            return self._complain("Expected one training at a time. Found one under way or about to begin. Wait for its end, or cancel it.")
        return self._ask(person, RequestKind.TRAIN, recipe, "Asked for: the run begins within seconds.")

    @requires(Role.ADMIN)
    def _ask_dry_run(self, person: Person, *recipe: object) -> _Shown:
        return self._ask(person, RequestKind.DRY_RUN, recipe, "Asked for: the answer appears within seconds.")

    @requires(Role.ADMIN)
    def _show_more(self, person: Person, event: gr.EventData) -> _Shown:  # noqa: ARG002  the role is what matters
        told = [read_text(event, name) for name in ("id", "role")]
        if not all(one.isdecimal() and len(one) <= _MOST_DIGITS for one in told):
            return self._say("")
        try:
            request = requests.find_request(self._db.read(), RequestId(int(told[0])))
        except FeedbackError as refused:
            return self._complain(refused)
        return {self._forecast: self._render_forecast(request, most=int(told[1]))}

    @requires(Role.ADMIN)
    def _ask_cancel(self, person: Person) -> _Shown:
        return self._ask(person, RequestKind.CANCEL, None, "Asked for: the run saves what it has and ends.")

    @requires(Role.ADMIN)
    def _save_settings(self, person: Person, *values: object) -> _Shown:
        try:
            told = self._operating.change_settings(self._settings.read(values), actor=person.id, now=self.clock())
        except (AssistantError, FeedbackError) as refused:
            return self._complain(refused)
        return self._show_all(person, "") | self._settings.show(self._operating.read_settings()) | self._say(told)

    @requires(Role.ADMIN)
    def _close_notice(self, person: Person) -> _Shown:  # noqa: ARG002  the role is what matters
        return self._say("")

    @requires(Role.ADMIN)
    def _close_link(self, person: Person) -> _Shown:  # noqa: ARG002  the role is what matters
        return {self._link: ""}

    @requires(Role.ADMIN)
    def _draw_charts(self, person: Person, period: str) -> _Shown:  # noqa: ARG002  the role is what matters
        return self._charts.draw(self._db.read(), until=self.clock(), days=PERIODS.get(period or "", 30))

    @requires(Role.ADMIN)
    def _open_report(self, person: Person, event: gr.EventData) -> _Shown:  # noqa: ARG002  the role is what matters
        try:
            run = runs.find_run(self._db.read(), RunId(read_text(event, "id")))
        except FeedbackError as refused:
            return self._complain(refused)
        report = admin_view.render_report(run, runs.find_report(self._db.read(), run.id))
        return {self._report: report, **self._show_moving(run.id)}

    @requires(Role.ADMIN)
    def _promote_version(self, person: Person, version: str, reason: str) -> _Shown:
        if not (version or "").strip().isdecimal() or len(version.strip()) > _MOST_DIGITS:
            return self._complain("Expected the number of a version. Found something else. Type one of those above.")
        try:
            with self._db.write() as tx:
                told = self._operating.promote(tx, int(version), actor=person.id, reason=reason or "", now=self.clock())
        except FeedbackError as refused:
            return self._complain(refused)
        return self._show_all(person, "") | self._say(told) | {self._version: "", self._promote_reason: ""}

    @requires(Role.ADMIN)
    def _roll_back(self, person: Person, typed: str, reason: str) -> _Shown:
        live = releases.find_live(self._db.read())
        if live is None or (typed or "").strip() != str(live[1].version):
            wanted = "none" if live is None else str(live[1].version)
            return self._complain(f"Expected the live version, {wanted}, typed out. Found something else. Nothing was rolled back.")
        try:
            with self._db.write() as tx:
                told = self._operating.roll_back(tx, actor=person.id, reason=reason or "", now=self.clock())
        except FeedbackError as refused:
            return self._complain(refused)
        return self._show_all(person, "") | self._say(told) | {self._typed: "", self._rollback_reason: ""}

    @requires(Role.ADMIN)
    def _change_person(self, person: Person, browser: gr.Request, event: gr.EventData) -> _Shown:
        what, subject, role = read_text(event, "what"), PersonId(read_text(event, "id")), read_text(event, "role")
        if subject == person.id:
            return self._complain("Expected somebody else's account. Found your own. Another admin can change it.")
        try:
            if what == "reset-password":
                return self._reset_password(person, subject, find_site(browser.request))
            with self._db.write() as tx:
                if what == "disable":
                    people.disable(tx, subject, now=self.clock())
                elif what == "enable":
                    people.enable(tx, subject)
                elif what == "set-role" and role in set(Role):
                    people.set_role(tx, subject, Role(role))
                else:
                    return self._say("")
                action, details = what.replace("-", "_"), {"role": role} if what == "set-role" else {}
                self._audit.append(tx, actor=person.id, action=action, subject=subject, details=details, now=self.clock())
                name = people.find_person(tx, subject).name
        except FeedbackError as refused:
            return self._complain(refused)
        return self._show_all(person, "") | self._say(f"{name} {_CHANGED[details.get('role', what)]}")

    def _reset_password(self, person: Person, subject: PersonId, site: str) -> _Shown:
        """Make a link to choose a password; `site` is where the admin's browser has found this one, as the wall has checked."""
        if people.find_person(self._db.read(), subject).disabled_at is not None:
            return self._complain("Expected an account that may sign in. Found a disabled one. Enable it first.")
        token = self.sign_in.reset_password(subject, actor=person.id, now=self.clock())
        name = people.find_person(self._db.read(), subject).name
        return self._show_all(person, "") | {self._link: admin_view.render_password_link(name, f"{site}/password?token={token}")}

    @requires(Role.ADMIN)
    def _add_person(self, person: Person, name: str, password: str, role: str) -> _Shown:
        chosen = _ROLES.get(role or "", Role.END_USER)
        try:
            password_hash = hash_password(password or "")
            with self._db.write() as tx:
                added = people.add_account(
                    tx, PersonId(uuid.uuid4().hex), name=name or "", role=chosen, password_hash=password_hash, now=self.clock()
                )
                self._audit.append(
                    tx, actor=person.id, action="create_user", subject=added.id, details={"role": chosen.value}, now=self.clock()
                )
        except (AssistantError, FeedbackError) as refused:
            return self._complain(refused)
        return self._show_all(person, "") | self._say(f"{added.name} may sign in now.") | {self._name: "", self._password: ""}

    @requires(Role.ADMIN)
    def _back_up_now(self, person: Person) -> _Shown:
        try:
            told = self._operating.back_up()
        except FeedbackError as refused:
            return self._complain(refused)
        with self._db.write() as tx:
            self._audit.append(tx, actor=person.id, action="back_up", subject="database", details={}, now=self.clock())
        return self._say(told)

    @requires(Role.ADMIN)
    def _check_now(self, person: Person) -> _Shown:  # noqa: ARG002  the role is what matters
        return {self._health: self._render_health(self._operating.find_damage()), self._audit_rows: self._render_audit()}

    def _ask(self, person: Person, kind: RequestKind, recipe: Sequence[object] | None, words: str) -> _Shown:
        try:
            chosen = None if recipe is None else self._recipe.read(recipe)
        except FeedbackError as refused:
            return self._complain(refused)
        with self._db.write() as tx:
            requests.add_request(tx, kind, person_id=person.id, reason="", recipe=chosen, now=self.clock())
        return self._say(words)

    def _show_all(self, person: Person, run: str) -> _Shown:
        reader = self._db.read()
        return {
            **self._show_moving(run),
            self._people: admin_view.render_people(people.list_accounts(reader), own=person.id),
            self._keys.table: self._keys.show(),
            self._health: self._render_health(None),
            self._audit_rows: self._render_audit(),
            self._notice: "",
        }

    def _show_moving(self, run: str) -> _Shown:
        """Return what changes while somebody looks on: the status, the run under way, the runs, the versions."""
        reader = self._db.read()
        active = runs.find_active_run(reader)
        progress = None if active is None else admin_view.read_progress(active, runs.list_events(reader, active.id))
        deployments = releases.list_deployments(reader)
        actors = [one.actor_id for one in deployments if one.actor_id is not None]
        return {
            self._status: admin_view.render_status(
                releases.find_live(reader),
                releases.find_served(reader),
                next(iter(releases.list_swaps(reader, limit=1)), None),
                requests.read_status(reader),
                approved=len(examples.list_examples(reader)),
                unconsented=examples.count_unconsented(reader),
            ),
            self._progress: admin_view.render_progress(progress),
            self._releases: admin_view.render_releases(
                releases.list_releases(reader), deployments, admin_view.name_people(people.find_people(reader, actors))
            ),
            self._runs: admin_view.render_runs(runs.list_runs(reader), releases.list_releases(reader), shown=run),
            self._run: run,
        }

    def _find_told(self) -> str:
        """Return the id of the newest answer that a page need not be told any more when it is loaded, as it is after a lost connection."""
        answered = requests.find_newest_answer(self._db.read())
        return "0" if answered is None or self.clock() - answered.handled_at < _NEWS_FOR else str(answered.id)  # type: ignore[operator]

    def _render_forecast(self, request: Request, *, most: int) -> str:
        if request.forecast is None:
            return ""
        there = {example.id: example for example in examples.list_examples(self._db.read())}
        return admin_view.render_forecast(request.id, read_forecast(request.forecast), there, most=most)

    def _render_health(self, damage: tuple[str, ...] | None) -> str:
        health = admin_view.Health(
            free_disk=self._operating.read_free_disk(),
            free_memory=self._operating.read_free_memory(),
            gpu=self._gpu,
            engine=self._operating.read_engine(),
            damage=damage,
        )
        return admin_view.render_health(health)

    def _render_audit(self) -> str:
        reader = self._db.read()
        rows = list_newest(reader)
        told = people.find_people(reader, [one for row in rows for one in (row.actor_id, row.subject) if one is not None])
        return admin_view.render_audit(rows, self._operating.find_audit_fault(), told, api_keys.list_keys(reader))

    def _say(self, sentence: str) -> _Shown:
        return {self._notice: admin_view.render_notice(sentence)}

    def _complain(self, refused: Exception | str) -> _Shown:
        return {self._notice: admin_view.render_notice(str(refused), is_problem=True)}


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
