from assistant.web.word_diff import render_diff


def test_what_goes_is_struck_through_and_what_comes_underlined() -> None:
    assert render_diff("It is 3 years.", "It is 5 years.") == "It is <del>3</del><ins>5</ins> years."


def test_words_that_change_side_by_side_are_told_as_one_phrase() -> None:
    assert render_diff("Keep your receipt.", "Write to us.") == "<del>Keep your receipt</del><ins>Write to us</ins>."
    assert render_diff("It is here", "It is here now then") == "It is here<ins> now then</ins>"


def test_both_texts_are_text() -> None:
    html = render_diff("<b>one</b>", "<script>two</script>")
    assert "<script>" not in html
    assert "<b>" not in html


def test_a_long_text_is_shown_whole_before_and_after() -> None:
    assert render_diff("a " * 3000, "b " * 3000).startswith("<del>a ")
