"""A chat in the terminal: the smallest front that the assistant can have. Keeps no record of what is said."""

import io
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from assistant.engine.base_model import load_base_model
from assistant.engine.live import LiveAssistant, make_bare_release
from assistant.engine.rendering import count_prompt_tokens
from assistant.engine.reply import Sampling
from assistant.errors import AssistantError
from assistant.plain_text import is_valid_unicode, strip_control_characters
from assistant.prompt import Message, build_messages, prompt_budget, trim_history
from assistant.settings import BUNDLED_BASE, Settings


class TerminalChat:
    """One conversation between a terminal and the base."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._base = load_base_model(settings.base or BUNDLED_BASE, device=settings.device)
        self._live = LiveAssistant(self._base)
        self._live.swap_to(make_bare_release(self._base))
        self._history: list[tuple[str, str]] = []

    def run(self) -> None:
        """Read messages and answer them until the input ends."""
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")  # one bad line is to cost that line, not the chat
        self._greet()
        while (message := self._read_message()) is not None:
            if message == "/new":
                self._history.clear()
                self._console.print("[dim]A new conversation.[/]\n")
            elif not is_valid_unicode(message):
                self._complain("Expected a message in UTF-8. Found other bytes. Type it again.")
            elif message:
                self._answer(message)

    def _greet(self) -> None:
        name = strip_control_characters(self._settings.base or "the bundled base")
        size = self._base.model.num_parameters() / 1e6
        facts = f" · {name}, {size:,.1f} M parameters, {self._base.quantisation} on {self._base.device}"
        self._console.print(Text.assemble(("Errata", "bold"), facts))
        self._console.print("[dim]Ctrl-C stops a reply · /new starts over · /quit or Ctrl-D ends[/]\n")

    def _read_message(self) -> str | None:
        """Return the next message without surrounding blanks, or None at the end."""
        try:
            message = self._console.input("[bold cyan]you[/] > ").strip()
        except (EOFError, KeyboardInterrupt):
            self._console.print()
            return None
        if not sys.stdin.isatty():
            self._console.print(Text(strip_control_characters(message) if is_valid_unicode(message) else "…"))
        return None if message in {"/quit", "/exit"} else message

    def _answer(self, message: str) -> None:
        """Print the reply as it comes and remember the turn, unless the reply is empty or fails."""
        pieces: list[str] = []
        self._console.print("[bold green]Errata[/] > ", end="")
        try:
            self._stream(message, pieces)
        except AssistantError as error:
            self._complain(str(error))
            return
        self._console.print("\n")
        if reply := "".join(pieces).strip():
            self._history.append((message, reply))

    def _stream(self, message: str, pieces: list[str]) -> None:
        """Print a reply's pieces and collect them; Ctrl-C ends it, and what there is stays."""
        reply = self._live.stream(self._prompt(message), Sampling(max_tokens=self._settings.max_reply_tokens))
        try:
            for piece in reply:
                pieces.append(piece)
                self._console.out(strip_control_characters(piece), end="", highlight=False)
        except KeyboardInterrupt:
            reply.cancel()
            self._console.print(" [dim](stopped)[/]", end="")

    def _complain(self, sentence: str) -> None:
        self._console.print(Text(strip_control_characters(f"{sentence}\n"), style="red"))

    def _prompt(self, message: str) -> list[Message]:
        """Build the prompt with as many whole earlier turns as leave room for the reply; half of the context is room enough."""

        def count(history: Sequence[tuple[str, str]]) -> int:
            return count_prompt_tokens(self._base.tokenizer, build_messages(self._settings.system_message, history, message))

        budget = prompt_budget(self._base.context_tokens, self._settings.max_reply_tokens)
        self._history = trim_history(self._history, token_budget=budget, count_tokens=count)
        return build_messages(self._settings.system_message, self._history, message)
