"""Text for people: of any origin made safe to print, numbers and moments in words. Knows nothing of where it is printed."""

import math
import re
from datetime import datetime, timedelta

# C0 and C1 but for line break and tab: a terminal obeys them. Bidirectional overrides: they show another text than there is.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def strip_control_characters(text: str) -> str:
    """Return the text without the characters that a terminal would obey instead of showing; line breaks and tabs stay."""
    return _CONTROL.sub("", text)


def is_valid_unicode(text: str) -> bool:
    """Tell whether a text came from whole UTF-8: Python reads stray bytes as lone surrogates."""
    return _SURROGATE.search(text) is None


def mend_surrogates(text: str) -> str:
    """Return the text with U+FFFD in the place of each half of a character, such as a browser leaves of an emoji that it cuts off."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def tell_count(number: int, what: str) -> str:
    """Return a number with what is counted, in the plural where it is not one."""
    return f"1 {what}" if number == 1 else f"{number} {what}s"


def tell_wait(wait: timedelta) -> str:
    """Return how long to wait, rounded up: in seconds, or in minutes from two on."""
    seconds = max(1, math.ceil(wait.total_seconds()))
    return tell_count(seconds, "second") if seconds < 120 else tell_count(math.ceil(seconds / 60), "minute")


def tell_time(moment: datetime) -> str:
    """Return a moment to the minute; it must be in UTC."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def tell_ago(moment: datetime, now: datetime) -> str:
    """Return how long ago something was, to the minute, and to the hour or the day where it is longer."""
    minutes = int((now - moment).total_seconds() // 60)
    if minutes < 2:
        return "just now"
    if minutes < 120:
        return f"{tell_count(minutes, 'minute')} ago"
    hours = minutes // 60
    return f"{tell_count(hours, 'hour')} ago" if hours < 48 else f"{tell_count(hours // 24, 'day')} ago"
