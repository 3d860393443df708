"""Errata's composition root and command line: `python app.py` opens the assistant, `python app.py --help` lists the verbs."""

import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from assistant.errors import AssistantError
from assistant.plain_text import strip_control_characters
from assistant.settings import Settings, expand_home, read_settings

app = typer.Typer(add_completion=False, help="A support assistant that learns from its errata.")
_console = Console()
_errors = Console(stderr=True)


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Open the assistant; for now, a chat in the terminal."""
    if context.invoked_subcommand is None:
        chat()


@app.command()
def chat(
    base: Annotated[str | None, typer.Option(help="A local folder or a model's name on the Hub; by default the bundled base.")] = None,
) -> None:
    """Chat with the base in the terminal. Ctrl-C stops a reply, Ctrl-D or /quit ends, /new starts over."""
    try:
        settings = read_settings()
        with _console.status("Loading the base model …"):
            from assistant.terminal import TerminalChat  # torch takes seconds to import: say what we wait for first

            session = TerminalChat(_use_base(settings, base), _console)
        session.run()
    except AssistantError as error:
        _fail(error)


def _use_base(settings: Settings, base: str | None) -> Settings:
    return settings if base is None else settings.model_copy(update={"base": expand_home(base)})


def _fail(error: AssistantError) -> NoReturn:
    sentence = strip_control_characters(str(error))  # it may quote what somebody typed: shown as it is, never read as markup
    _errors.print(Text.assemble(("Error:", "bold red"), " ", sentence), highlight=False, soft_wrap=True)
    sys.exit(1)


if __name__ == "__main__":
    app()
