"""The form for the settings that an admin may choose."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr


class SettingsForm:
    """Builds the fields and reads them back; `fields` is what a function must be given, in the order that `read` takes."""

    def __init__(self) -> None:
        self._by_name: dict[str, Any] = {}

    @property
    def fields(self) -> list[Any]:
        """The fields, in their order."""
        return list(self._by_name.values())

    def build(self) -> None:
        """Put the fields on the page; they are empty until they are shown."""
        self._by_name["system_message"] = gr.Textbox(
            label="System message", info="Who the assistant is. Every conversation begins with it.", lines=2, elem_id="system-message"
        )
        with gr.Row(elem_classes="fields"):
            self._by_name["schedule_cron"] = gr.Textbox(
                label="Look for something to train",
                info="As in a crontab: minute, hour, day, month, weekday.",
                max_lines=1,
                elem_id="cron",
            )
            self._by_name["schedule_zone"] = gr.Textbox(label="Time zone", info="Such as Europe/Berlin.", max_lines=1, elem_id="zone")
            self._by_name["schedule_least_examples"] = gr.Number(
                label="Least number of new examples", info="Fewer wait for others.", precision=0, elem_id="least-examples"
            )
            self._by_name["schedule_cool_down_minutes"] = gr.Number(
                label="Minutes between two runs", info="Counted from the end of the first.", precision=0, elem_id="cool-down"
            )
            self._by_name["quiet_from"] = gr.Textbox(label="Quiet from", info="HH:MM; empty for never.", max_lines=1, elem_id="quiet-from")
            self._by_name["quiet_until"] = gr.Textbox(
                label="Quiet until", info="HH:MM; no run starts by itself.", max_lines=1, elem_id="quiet-until"
            )

    def show(self, settings: Mapping[str, Any]) -> dict[Any, Any]:
        """Return what the fields show."""
        return {field: settings[name] for name, field in self._by_name.items()}

    def read(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return what stands in the fields, by the settings' names."""
        return {name: value.strip() if isinstance(value, str) else value for name, value in zip(self._by_name, values, strict=True)}
