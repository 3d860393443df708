"""What lies where on the chat page: its components, and the scripts that belong to them. Knows no record, and listens to nothing."""

from pathlib import Path
from typing import Any

import gradio as gr

from assistant.chat import MAX_MESSAGE_CHARS
from assistant.web.feedback import CONSENT

_HERE = Path(__file__).parent
# The last message is kept until its answer is logged (see chat_log.js): neither a server that falls nor a session that ends loses it.
# Before the page is whole, the conversation is the one in its address.
KEEP_MESSAGE = """(message, here, ...others) => {
  if (message.trim()) { sessionStorage.setItem('asked', message) }
  const there = window.shownConversation === undefined ? new URLSearchParams(location.search).get('c') : ''
  return [message, here || there || '', ...others]
}"""
READ_ADDRESS = "() => [new URLSearchParams(location.search).get('c') ?? '', sessionStorage.getItem('asked') ?? '']"
# Going on to another conversation can be gone back from; an address that the page did not show, such as one deleted, is put right.
WRITE_ADDRESS = """(id) => {
  const there = new URLSearchParams(location.search).get('c') ?? ''
  if (there !== id) {
    const go = there === window.shownConversation ? 'pushState' : 'replaceState'
    history[go](null, '', id ? `?c=${encodeURIComponent(id)}` : location.pathname)
  }
  if (window.shownConversation && window.shownConversation !== id) { sessionStorage.removeItem('asked') }
  window.shownConversation = id
  return []
}"""


class ChatLayout:
    """The components of the page, made in the page that is being built."""

    def __init__(self) -> None:
        self.header = gr.HTML(elem_id="header")
        with gr.Row(elem_id="layout"):
            with gr.Column(elem_id="side", scale=0, min_width=0):
                self.new = gr.Button("New chat", variant="secondary", elem_id="new")
                self.search = gr.Textbox(label="Search", show_label=False, placeholder="Search", elem_id="search", max_lines=1)
                self.list = gr.HTML(elem_id="conversations", js_on_load=_read("conversation_list.js"))
            with gr.Column(elem_id="main"):
                self.log = gr.HTML(elem_id="chat", js_on_load=_read("chat_log.js"))
                self.pending = gr.HTML(elem_id="pending", js_on_load=_read("pending.js"))
                with gr.Column(elem_id="foot"):
                    self.notice = gr.HTML(elem_id="notice")
                    self._build_asking()
                    self.consent = gr.Checkbox(label=CONSENT, elem_id="consent", container=False)
        self.conversation = gr.Textbox(visible="hidden", elem_id="conversation")

    def list_all(self) -> list[Any]:
        """Return what a function of the page may change."""
        return [
            *(self.header, self.search, self.list, self.log, self.pending, self.notice, self.message, self.consent),
            self.conversation,
        ]

    def _build_asking(self) -> None:
        with gr.Row(elem_id="ask"):
            self.message = gr.Textbox(
                label="Your message",
                show_label=False,
                container=False,
                placeholder="Ask something …",
                elem_id="msg",
                max_lines=8,
                max_length=MAX_MESSAGE_CHARS,
                autofocus=True,
            )
            self.submit = gr.Button("Send", variant="primary", elem_id="send", scale=0, min_width=0)
            self.end = gr.Button("Stop", variant="secondary", elem_id="stop", scale=0, min_width=0)


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
