"""What an event of a page tells: a browser can send anything, so only texts and ticks are taken, and anything else is nothing."""

from collections.abc import Mapping

import gradio as gr

from assistant.plain_text import mend_surrogates


def read_text(event: gr.EventData, key: str) -> str:
    """Return a text that an event tells, "" where it tells none."""
    found = _read(event).get(key)
    return mend_surrogates(found) if isinstance(found, str) else ""


def read_texts(event: gr.EventData, key: str) -> list[str]:
    """Return the texts that an event tells as a list, none where it tells none."""
    found = _read(event).get(key)
    return [mend_surrogates(one) for one in found if isinstance(one, str)] if isinstance(found, list) else []


def read_flag(event: gr.EventData, key: str) -> bool:
    """Say whether an event tells that something is ticked."""
    return _read(event).get(key) is True


def _read(event: gr.EventData) -> Mapping[str, object]:
    told = event._data  # its own access by attribute fails on what is no mapping
    return told if isinstance(told, dict) else {}
