import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from assistant.engine.live import LiveAssistant
from assistant.errors import GenerationError
from assistant.settings import Settings
from assistant.terminal import TerminalChat


class ScriptedReply:
    """Yields a script's pieces and raises its errors where they stand."""

    def __init__(self, script: list[str | BaseException]) -> None:
        self._script = script

    def __iter__(self) -> Iterator[str]:
        for piece in self._script:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def cancel(self) -> None:
        self._script = []


class Chat:
    """A chat whose messages are typed by the test and whose replies are scripted."""

    def __init__(self, base: str, **settings: int) -> None:
        self.printed = io.StringIO()
        self.prompts: list[list[str]] = []
        self.session = TerminalChat(Settings(base=base, device="cpu", **settings), Console(file=self.printed, width=500))  # type: ignore[arg-type]

    def say(self, messages: list[str], replies: list[list[str | BaseException]], monkeypatch: pytest.MonkeyPatch) -> str:
        waiting = iter(replies)

        def stream(_: object, prompt: list[dict[str, str]], sampling: object) -> ScriptedReply:
            self.prompts.append([message["content"] for message in prompt])
            return ScriptedReply(next(waiting))

        monkeypatch.setattr(LiveAssistant, "stream", stream)
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(messages) + "\n"))
        self.session.run()
        return self.printed.getvalue()


def test_control_characters_of_a_reply_never_reach_the_terminal(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = Chat(str(tiny_base)).say(["hi"], [["one\x1b[2J", "\ttwo\n[bold]three[/]"]], monkeypatch)
    assert "> one[2J" in printed
    assert "two\n[bold]three[/]" in printed
    assert "\x1b" not in printed


def test_a_failed_reply_is_a_sentence_and_the_chat_goes_on(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = Chat(str(tiny_base))
    printed = chat.say(["one", "two"], [[GenerationError("[/red] no luck")], ["fine"]], monkeypatch)
    assert "Found that it failed ([/red] no luck)" in printed
    assert "fine" in printed
    assert "one" not in chat.prompts[1], "a turn without a reply is not remembered"


def test_a_reply_stopped_before_its_first_word_is_forgotten_and_a_begun_one_is_not(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = Chat(str(tiny_base))
    chat.say(["one", "two", "three"], [[KeyboardInterrupt()], ["begun", KeyboardInterrupt()], ["ok"]], monkeypatch)
    assert chat.prompts[2][1:] == ["two", "begun", "three"]


def test_a_reply_limit_beyond_the_context_does_not_forget_the_conversation(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = Chat(str(tiny_base), max_reply_tokens=8000)
    chat.say(["one", "two"], [["yes"], ["no"]], monkeypatch)
    assert chat.prompts[1][1:] == ["one", "yes", "two"]


def test_the_chat_serves_the_bare_base(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = Chat(str(tiny_base), max_reply_tokens=8)
    monkeypatch.setattr("sys.stdin", io.StringIO("hi\n"))
    chat.session.run()
    assert "Errata >" in chat.printed.getvalue()
    assert "Expected" not in chat.printed.getvalue()
