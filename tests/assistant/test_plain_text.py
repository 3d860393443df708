from datetime import UTC, datetime, timedelta

import pytest

from assistant.plain_text import is_valid_unicode, mend_surrogates, strip_control_characters, tell_ago, tell_wait


def test_characters_that_a_terminal_obeys_are_stripped() -> None:
    assert strip_control_characters("a\x1b[31mb\x07\rc\x9bd\u202ee") == "a[31mbcde"


def test_line_breaks_tabs_and_letters_of_any_script_stay() -> None:
    text = "Grüße,\n\t你好 🙂"
    assert strip_control_characters(text) == text


def test_stray_bytes_are_told_from_text() -> None:
    assert is_valid_unicode("Grüße 🙂")
    assert not is_valid_unicode(b"caf\xe9".decode(errors="surrogateescape"))


@pytest.mark.parametrize(
    ("wait_s", "told"), [(0.2, "1 second"), (10, "10 seconds"), (119.5, "2 minutes"), (600, "10 minutes"), (601, "11 minutes")]
)
def test_a_wait_is_told_in_whole_seconds_or_minutes_never_too_short(wait_s: float, told: str) -> None:
    assert tell_wait(timedelta(seconds=wait_s)) == told


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("Grüße 🙂", "Grüße 🙂"),
        ("cut \ud83d", "cut \ufffd"),
        ("\ude42 and \ud83d.", "\ufffd and \ufffd."),
        ("\ud83d\ude42", "🙂"),
        ("\ude42\ud83d", "\ufffd\ufffd"),
        ("\ufeffmark", "\ufeffmark"),
        ("", ""),
    ],
)
def test_half_a_character_becomes_one_that_shows(text: str, mended: str) -> None:
    assert mend_surrogates(text) == mended


@pytest.mark.parametrize(
    ("minutes", "told"),
    [
        (-1, "just now"),
        (1.9, "just now"),
        (2, "2 minutes ago"),
        (119, "119 minutes ago"),
        (120, "2 hours ago"),
        (47 * 60, "47 hours ago"),
        (49 * 60, "2 days ago"),
    ],
)
def test_what_was_is_told_in_minutes_hours_or_days(minutes: float, told: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert tell_ago(now - timedelta(minutes=minutes), now) == told
