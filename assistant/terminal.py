"""A chat in the terminal: the smallest front that the assistant can have. Keeps no record of what is said."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from assistant.engine.base_model import BUNDLED_BASE, load_base_model
from assistant.engine.live import context_tokens, count_prompt_tokens, stream_reply
from assistant.errors import ContextFullError
from assistant.prompt import Message, build_messages, trim_history
from assistant.settings import Settings


class TerminalChat:
    """One conversation between a terminal and the base."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._base = load_base_model(settings.base or BUNDLED_BASE, device=settings.device)
        self._history: list[tuple[str, str]] = []

    def run(self) -> None:
        """Read messages and answer them until the input ends."""
        name = self._settings.base or "the bundled base"
        size = self._base.model.num_parameters() / 1e6
        self._console.print(f"[bold]Errata[/] · {name}, {size:,.1f} M parameters, {self._base.quantisation} on {self._base.device}")
        self._console.print("[dim]Ctrl-C stops a reply · /new starts over · /quit or Ctrl-D ends[/]\n")
        while (message := self._read_message()) is not None:
            if message == "/new":
                self._history.clear()
                self._console.print("[dim]A new conversation.[/]\n")
            elif message:
                self._answer(message)

    def _read_message(self) -> str | None:
        """Return the next message without surrounding blanks, or None at the end."""
        try:
            message = self._console.input("[bold cyan]you[/] > ").strip()
        except (EOFError, KeyboardInterrupt):
            self._console.print()
            return None
        if not sys.stdin.isatty():
            self._console.print(Text(message))
        return None if message in {"/quit", "/exit"} else message

    def _answer(self, message: str) -> None:
        pieces: list[str] = []
        self._console.print("[bold green]Errata[/] > ", end="")
        try:
            for piece in stream_reply(self._base, self._prompt(message), max_tokens=self._settings.max_reply_tokens):
                pieces.append(piece)
                self._console.out(piece, end="", highlight=False)
        except KeyboardInterrupt:
            self._console.print(" [dim](stopped)[/]", end="")
        except ContextFullError as error:
            self._console.print(f"[red]{error}[/]\n")
            return
        self._console.print("\n")
        self._history.append((message, "".join(pieces).strip()))

    def _prompt(self, message: str) -> list[Message]:
        """Build the prompt with as many whole earlier turns as leave room for the reply."""

        def count(history: Sequence[tuple[str, str]]) -> int:
            return count_prompt_tokens(self._base, build_messages(self._settings.system_message, history, message))

        budget = context_tokens(self._base) - self._settings.max_reply_tokens
        self._history = trim_history(self._history, token_budget=budget, count_tokens=count)
        return build_messages(self._settings.system_message, self._history, message)
