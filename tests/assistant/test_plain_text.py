from assistant.plain_text import is_valid_unicode, strip_control_characters


def test_characters_that_a_terminal_obeys_are_stripped() -> None:
    assert strip_control_characters("a\x1b[31mb\x07\rc\x9bd\u202ee") == "a[31mbcde"


def test_line_breaks_tabs_and_letters_of_any_script_stay() -> None:
    text = "Grüße,\n\t你好 🙂"
    assert strip_control_characters(text) == text


def test_stray_bytes_are_told_from_text() -> None:
    assert is_valid_unicode("Grüße 🙂")
    assert not is_valid_unicode(b"caf\xe9".decode(errors="surrogateescape"))
