"""Errata's composition root and command line: `python app.py` serves the pages, `python app.py --help` lists the verbs."""

import errno
import json
import os
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from assistant.api.keys import KeyRing
from assistant.api.operator_file import keep_operator_file, read_operator_file
from assistant.errors import AddressTakenError, AssistantError
from assistant.libraries import prepare_libraries
from assistant.plain_text import strip_control_characters
from assistant.settings import Settings, expand_home, read_settings
from feedback_db import people, releases
from feedback_db.api_keys import Scope
from feedback_db.database import find_damage, open_reader
from feedback_db.errors import FeedbackError
from feedback_db.records import PersonId, Role
from feedback_db.told_turns import PROGRAM
from feedback_db.training_records import RunState
from trainer.errors import TrainerError
from trainer.local_admin import LocalAdmin, find_operator
from trainer.memory import back_up, database_path, find_audit_fault, open_memory
from trainer.supervision.forgetting import clean_up, forget, list_backups_before

if TYPE_CHECKING:  # torch takes seconds to import: verbs that need no model must not wait for it
    from assistant.api.remote_admin import RemoteAdmin
    from trainer.demo import DemoResult

app = typer.Typer(add_completion=False, help="A support assistant that learns from its errata.")
_GRACE_S = 5  # how long streams may go on once the end was asked for
_LAST_WORDS_S = 60.0  # how long a trainer may take to end before an erasure leaves it to the next tick
_console = Console()
_errors = Console(stderr=True)
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object last, for programs.")]


def _say_errors(verb: Callable[..., None]) -> Callable[..., None]:
    """Let a verb end with a sentence and exit code 1 where it cannot do what it should."""

    @wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            verb(*args, **kwargs)
        except (AssistantError, FeedbackError, TrainerError) as error:
            _fail(error)

    return run


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Serve the pages."""
    prepare_libraries()
    if context.invoked_subcommand is None:
        serve()


@app.command()
@_say_errors
def chat(
    base: Annotated[str | None, typer.Option(help="A local folder or a model's name on the Hub; by default the bundled base.")] = None,
) -> None:
    """Chat with the base in the terminal. Ctrl-C stops a reply, Ctrl-D or /quit ends, /new starts over."""
    settings = read_settings()
    with _console.status("Loading the base model …"):
        from assistant.terminal import TerminalChat  # torch takes seconds to import: say what we wait for first

        session = TerminalChat(_use_base(settings, base), _console)
    session.run()


@app.command()
@_say_errors
def serve() -> None:
    """Serve the pages and keep the schedule: take corrections in, train, swap. Ctrl-C ends; a run under way goes on."""
    settings = read_settings()
    with ExitStack() as stack:
        with _console.status("Loading the base model …"):
            from errata import open_site

            site = stack.enter_context(open_site(settings))
        with _console.status("Opening the pages …"):
            import uvicorn

            from assistant.api.server import make_server

            serving = uvicorn.Config(
                site.app,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
            )
            server = make_server(serving, at_end=site.errata.completions.close)
            listening = _listen(settings.host, settings.port)
        stack.enter_context(
            keep_operator_file(settings.data_folder, address=_address_of(settings, "127.0.0.1"), token=site.keys.operator_token)
        )
        _greet(settings, site.sign_in.find_set_up_token())
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the server raises it again once it has ended
        with suppress(KeyboardInterrupt):
            server.run([listening])


@app.command()
@_say_errors
def demo(
    seeds: Annotated[int, typer.Option(help="How many invented companies; the scores are the worst of all.", min=1)] = 1,
    as_json: _Json = False,
) -> None:
    """Show the whole loop in some minutes: ask, correct, approve, train, swap, ask again, roll back. Leaves nothing behind."""
    from trainer.demo import DemoResult, find_worst

    settings, results = read_settings(), list[DemoResult]()
    for seed in range(1, seeds + 1):
        with TemporaryDirectory(prefix="errata-demo-") as folder:
            results.append(_run_demo(settings.model_copy(update={"data_folder": Path(folder), "kept_prefix_mb": 0}), seed))
        if not as_json:
            _show_demo(results[-1])
    _show(find_worst(results), as_json=as_json)


@app.command()
@_say_errors
def train(reason: Annotated[str, typer.Option(help="Why.")] = "", as_json: _Json = False) -> None:
    """Train now on all approved corrections, measure the result, and put it live if the gate says so. Works while Errata runs, too."""
    with _show_progress() as publish, _open_admin() as admin:
        publish("Asking for a run", None)
        found = admin.train(reason, publish=publish)
    _show(found, as_json=as_json)
    if found["state"] == RunState.FAILED:
        sys.exit(1)


@app.command()
@_say_errors
def cancel(reason: Annotated[str, typer.Option(help="Why.")] = "") -> None:
    """End the run that is under way; what it has learned so far goes nowhere."""
    with _open_admin() as admin:
        _console.print(admin.cancel(reason), highlight=False, markup=False)


@app.command()
@_say_errors
def promote(
    version: Annotated[int, typer.Argument(help="The number of the release.")],
    reason: Annotated[str, typer.Option(help="Why, where the gate did not promote it.")] = "",
) -> None:
    """Put a release live: at once where Errata runs, else with the next start."""
    with _open_admin() as admin:
        _console.print(admin.promote(version, reason), highlight=False, markup=False)


@app.command()
@_say_errors
def rollback(reason: Annotated[str, typer.Option(help="Why.")] = "") -> None:
    """Take the newest deployment back: what was live before is live again."""
    with _open_admin() as admin:
        _console.print(admin.roll_back(reason), highlight=False, markup=False)


@app.command()
@_say_errors
def status(as_json: _Json = False) -> None:
    """Say what is live, what is being trained, and when the schedule looks next. Works while Errata runs, too."""
    with _open_admin() as admin:
        _show(admin.read_state(), as_json=as_json)


@app.command(name="runs")
@_say_errors
def list_runs(as_json: _Json = False) -> None:
    """List the runs, the newest first. Works while Errata runs, too."""
    with _open_admin() as admin:
        _show_all(admin.list_runs(), ["id", "state", "created_at", "version", "verdict", "reason"], as_json=as_json)


@app.command(name="versions")
@_say_errors
def list_versions(as_json: _Json = False) -> None:
    """List the versions, the newest first. Works while Errata runs, too."""
    with _open_admin() as admin:
        _show_all(admin.list_versions(), ["version", "is_served", "created_at", "run_id", "base"], as_json=as_json)


@app.command()
@_say_errors
def create_key(
    name: Annotated[str, typer.Argument(help="What uses it, such as shop.")],
    scope: Annotated[list[Scope], typer.Option(help="What it opens; may be given more than once.")],
) -> None:
    """Make a key for a program and print it, once; while Errata runs, the admin page does that."""
    now = datetime.now(UTC)
    with open_memory(read_settings()) as (db, audit):
        with db.write() as tx:
            operator = find_operator(tx, now)
        _, token = KeyRing(db, audit, started_at=now).make(name, set(scope), actor=operator, now=now)
    print(token)  # noqa: T201  for a program that reads it


@app.command()
@_say_errors
def create_user(
    name: Annotated[str, typer.Argument(help="The name to sign in with.")],
    role: Annotated[Role, typer.Option(help="What the account may do.")] = Role.END_USER,
) -> None:
    """Create an account; the password is asked for, or read from a pipe."""
    from assistant.web.passwords import hash_password

    password_hash = hash_password(_read_password())
    now = datetime.now(UTC)
    with open_memory(read_settings()) as (db, audit), db.write() as tx:
        person = people.add_account(tx, PersonId(uuid.uuid4().hex), name=name, role=role, password_hash=password_hash, now=now)
        audit.append(tx, actor=None, action="create_user", subject=person.id, details={"role": role.value}, now=now)
    _console.print(f"Created {person.name}, {role.value}.", highlight=False, markup=False)


@app.command()
@_say_errors
def reset_password(name: Annotated[str, typer.Argument(help="The name of the account.")]) -> None:
    """Give an account another password, asked for or read from a pipe; it is signed out everywhere."""
    from assistant.web.sign_in import SignIn

    wanted = _read_password()
    with open_memory(read_settings()) as (db, audit):
        person = SignIn(db, audit).replace_password(name, wanted, now=datetime.now(UTC))
    _console.print(f"{person.name} has a new password, and is signed out everywhere.", highlight=False, markup=False)


@app.command()
@_say_errors
def backup(target: Annotated[Path, typer.Argument(help="The folder to make; by default one named by the time.")] = Path()) -> None:
    """Copy what is needed to go on elsewhere: the database, the audit's key and head, the adapters of the releases."""
    settings = read_settings()
    folder = target if target != Path() else settings.data_folder / "backups" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
    with open_memory(settings) as (db, _):
        missing = back_up(settings, db, folder)
    _console.print(f"Backed up to {folder}. To restore it, put it in the place of the data folder.", highlight=False, markup=False)
    if missing:
        _errors.print(f"Left out, for their adapters are missing: release {', '.join(map(str, missing))}.", highlight=False)


@app.command()
@_say_errors
def check(as_json: _Json = False) -> None:
    """Look for damage: the database and its references, the audit's chain, the adapters of the releases. Changes nothing."""
    from assistant.engine.adapter_files import verify_adapter
    from assistant.hot_swap import adapter_folder

    settings = read_settings()
    with open_reader(database_path(settings)) as reader:
        damage = [*find_damage(reader), *find_audit_fault(settings, reader)]
        for release in releases.list_releases(reader):
            try:
                if release.run_id is not None:
                    found = verify_adapter(adapter_folder(settings.data_folder / "runs", release.run_id), revision=release.revision)
                    damage += [] if found.hash == release.adapter_hash else [f"release {release.version}: its adapter is another one"]
            except AssistantError as error:
                damage.append(f"release {release.version}: {error}")
    _show({"damage": damage}, as_json=as_json)
    if damage:
        sys.exit(1)


@app.command()
@_say_errors
def erase(
    conversation: Annotated[str | None, typer.Option(help="The id of a conversation.")] = None,
    person: Annotated[str | None, typer.Option(help="The id of a person.")] = None,
    user: Annotated[str | None, typer.Option(help="Whom a program names: its key's name, a slash, the name, such as shop/u17.")] = None,
    as_json: _Json = False,
) -> None:
    """Erase a conversation or a person: their text goes from the database, the runs and the logs; what learned from it is listed."""
    if [conversation, person, user].count(None) != 2:
        raise typer.BadParameter("expected one of --conversation, --person and --user")
    settings, now = read_settings(), datetime.now(UTC)
    runs_folder, is_person = settings.data_folder / "runs", conversation is None
    with open_memory(settings) as (db, audit):
        subject = conversation or person or people.find_external(db.read(), f"{PROGRAM} {user}").id
        clean_up(db, runs_folder, now=now)  # what an erasure that was cut short has left
        forgotten = forget(db, audit, runs_folder, subject, is_person=is_person, actor=None, wait_s=_LAST_WORDS_S, now=now)
    found = {
        "erased": dict(forgotten.erased.counts),
        "releases_that_learned_from_it": list(forgotten.erased.descendants.versions),
        "runs_emptied": list(forgotten.emptied),
        "run_under_way_that_holds_it": forgotten.run_to_end,
        "log_of_writes_emptied": forgotten.is_log_emptied,
        "older_backups": [str(path) for path in list_backups_before(settings.data_folder, now)],
    }
    _show(found, as_json=as_json)
    if not forgotten.is_log_emptied:
        sys.exit(1)


@contextmanager
def _open_admin() -> Iterator["RemoteAdmin | LocalAdmin"]:
    """Return who does an admin's deeds: the Errata that the settings name, the one that runs over this data folder, or this process."""
    settings = read_settings()
    found = (settings.server, settings.api_key) if settings.server else read_operator_file(settings.data_folder)
    if found is None:
        yield LocalAdmin(settings)
        return
    from assistant.api.remote_admin import RemoteAdmin

    with RemoteAdmin(*found) as admin:
        is_left_over = settings.server is None and not admin.is_reachable()  # by one that was killed
        yield LocalAdmin(settings) if is_left_over else admin


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, before anything is promised.

    Raises:
        AddressTakenError: another program listens there, or this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise AddressTakenError(host, port, os.strerror(error.errno or errno.EADDRINUSE).lower()) from error


def _address_of(settings: Settings, this_machine: str = "localhost") -> str:
    """Return where this machine finds the pages."""
    host = this_machine if settings.host in {"127.0.0.1", "0.0.0.0", "::"} else settings.host  # noqa: S104  only shown
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _greet(settings: Settings, set_up_token: str | None) -> None:
    address = _address_of(settings)
    _console.print(Text.assemble(("Errata", "bold"), " is ready. Ctrl-C ends it; a training under way goes on."))
    _console.print(Text.assemble("  Chat            ", (f"{address}/", "cyan")), soft_wrap=True)
    _console.print(Text.assemble("  Admin           ", (f"{address}/admin", "cyan")), soft_wrap=True)
    _console.print(Text.assemble("  Review          ", (f"{address}/review", "cyan")), soft_wrap=True)
    if set_up_token is not None:
        _console.print(Text.assemble("  First account   ", (f"{address}/set-up?token={set_up_token}", "cyan")), soft_wrap=True)


def _run_demo(settings: Settings, seed: int) -> "DemoResult":
    from trainer.composition import open_errata
    from trainer.demo import Demo
    from trainer.support_base.corpus import load_corpus

    with _show_progress() as publish:
        publish("Loading the base model", None)
        with open_errata(settings) as errata:
            return Demo(errata, load_corpus(), seed, now=lambda: datetime.now(UTC), publish=publish).run()


@contextmanager
def _show_progress() -> Iterator[Callable[[str, float | None], None]]:
    """Show a bar until the end; it is told what is done now and how much of that, as a share, None where nobody knows."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_errors, transient=True) as progress:
        task = progress.add_task("", total=None)

        def publish(what: str, share: float | None) -> None:
            progress.update(task, description=what, completed=share or 0.0, total=None if share is None else 1.0)

        yield publish


def _show_demo(result: "DemoResult") -> None:
    """Print every test question with the replies before and after."""
    table = Table(title=f"An invented company, facts of seed {result.seed}", show_lines=True)
    for name in ("question", "before", "after", ""):
        table.add_column(name, overflow="fold")
    for one in result.checked:
        mark = Text("right", style="green") if one.is_right_after else Text("wrong", style="red")
        table.add_row(Text(one.question), Text(one.before, style="dim"), Text(one.after), mark)
    _console.print(table)
    _console.print(Text(" ".join([f"The run ended {result.state.value}.", *result.reasons])))


def _read_password() -> str:
    """Ask for a password twice, unseen; from a pipe, read one line."""
    is_typed = sys.stdin.isatty()
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True) if is_typed else sys.stdin.readline().rstrip("\n")
    return str(password)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what was found: as JSON for a program, as a table for a person."""
    if as_json:
        print(json.dumps(found))  # noqa: T201  one line, nothing folded
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in found.items():
        lines = [str(one) for one in value] if isinstance(value, list) else [_tell(value)]
        table.add_row(Text(name.replace("_", " "), style="dim"), Text("\n".join(lines) or "none"))
    _console.print(table)


def _show_all(found: list[dict[str, Any]], columns: list[str], *, as_json: bool) -> None:
    """Print a list of what was found: as JSON for a program, as a table of some columns for a person."""
    if as_json:
        print(json.dumps({"data": found}, default=str))  # noqa: T201  one line, nothing folded
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold", header_style="dim")
    for one in found:
        table.add_row(*(Text(_tell_cell(one[column])) for column in columns))
    _console.print(table if found else "none")


def _tell_cell(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("decision", ""))
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return str(value)
    return str(value or "").partition(".")[0].replace("T", " ") if isinstance(value, str | datetime) else ""


def _tell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items() if count) or "nothing"
    return "none" if value is None else f"{value:,.3f}" if isinstance(value, float) else str(value)


def _use_base(settings: Settings, base: str | None) -> Settings:
    return settings if base is None else settings.model_copy(update={"base": expand_home(base)})


def _fail(error: Exception) -> NoReturn:
    sentence = strip_control_characters(str(error))  # it may quote what somebody typed: shown as it is, never read as markup
    _errors.print(Text.assemble(("Error:", "bold red"), " ", sentence), highlight=False, soft_wrap=True)
    sys.exit(1)


if __name__ == "__main__":
    app()
