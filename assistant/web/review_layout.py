"""What lies where on the review page: its components, and the scripts that belong to them. Knows no record, and listens to nothing."""

from pathlib import Path
from typing import Any

import gradio as gr

from assistant.web import review_view
from assistant.web.review_lists import ListName

_HERE = Path(__file__).parent
_KEYS = {
    "A": "approve",
    "R": "reject: opens the reason, Enter confirms",
    "E": "edit the reply",
    "1 … 9": "choose one of several corrections",
    "S": "skip",
    "J K": "next, previous",
    "U": "undo, for a minute",
    "Esc": "leave a field",
    "?": "these keys",
}


class ReviewLayout:
    """The components of the page, made in the page that is being built."""

    def __init__(self) -> None:
        self.header = gr.HTML(elem_id="header")
        with gr.Row(elem_id="layout"):
            with gr.Column(elem_id="side", scale=0, min_width=0):
                names = [name.value for name in ListName]
                self.state = gr.Radio(names, value=ListName.WAITING.value, label="Show", show_label=False, container=False, elem_id="state")
                self.search = gr.Textbox(
                    label="Search", show_label=False, placeholder="Search", elem_id="search", max_lines=1, visible=False
                )
                self.news = gr.Button("", elem_id="news", size="sm", visible=False)
                self.queue = gr.HTML(elem_id="queue", js_on_load=_read("review_list.js"))
            with gr.Column(elem_id="main"):
                self.notice = gr.HTML(elem_id="notice")
                with gr.Column(elem_id="content"):
                    self.alone = gr.HTML(elem_id="alone")
                    self.item = gr.HTML(elem_id="item", js_on_load=_read("review_item.js"))
                    self.badges = gr.HTML(elem_id="badges")
                    self._build_decision()
                    self._build_adding()
                with gr.Row(elem_id="why"):
                    self.note = gr.Textbox(label="Why you reject it (Enter confirms, Esc leaves)", max_lines=1, elem_id="note")
                    self.confirm = gr.Button("Reject it", variant="stop", elem_id="confirm")
                with gr.Row(elem_id="buttons", visible=False) as self.buttons:
                    self.approve = gr.Button("Approve (A)", variant="primary", elem_id="approve")
                    gr.Button("Reject (R)", variant="stop", elem_id="reject")
                    self.skip = gr.Button("Skip (S)", elem_id="skip")
                with gr.Row(elem_id="below"):
                    self.undo = gr.Button("", elem_id="undo", size="sm", visible=False)
                    gr.HTML(review_view.render_keys(_KEYS), js_on_load=_read("review.js"))
        self.key = gr.Textbox(visible="hidden", elem_id="key")
        self.chosen = gr.Textbox(visible="hidden", elem_id="chosen")
        self.marked = gr.Textbox(visible="hidden", elem_id="marked")
        self.drawn = gr.Textbox(visible="hidden", elem_id="drawn")

    def list_all(self) -> list[Any]:
        """Return what a function of the page may change."""
        return [
            *(self.header, self.state, self.search, self.news, self.queue, self.alone, self.notice, self.item, self.badges),
            *(self.decide, self.difference, self.reply, self.related, self.wordings, self.note, self.buttons, self.approve),
            *(self.adding, self.added_question, self.added_reply, self.add, self.undo),
            *(self.key, self.chosen, self.marked, self.drawn),
        ]

    def _build_decision(self) -> None:
        with gr.Column(elem_id="decide", visible=False) as self.decide:
            self.difference = gr.HTML(elem_id="difference", js_on_load=_read("difference.js"))
            self.reply = gr.Textbox(label="What shall be learned", lines=4, max_lines=12, elem_id="reply")
            self.related = gr.HTML(elem_id="related", js_on_load=_read("related.js"))
            self.wordings = gr.Textbox(label="Other wordings of the question, one a line", lines=2, max_lines=8, elem_id="wordings")

    def _build_adding(self) -> None:
        with gr.Column(elem_id="adding", visible=False) as self.adding:
            self.added_question = gr.Textbox(elem_id="added-question")
            self.added_reply = gr.Textbox(lines=2, elem_id="added-reply")
            with gr.Row():
                self.add = gr.Button("", variant="primary", elem_id="add")


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
