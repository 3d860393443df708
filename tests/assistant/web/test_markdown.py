import pytest

from assistant.web.markdown import render_markdown


def test_markdown_becomes_html() -> None:
    html = render_markdown("Hold **reset**:\n\n1. press\n2. wait\n\n`code`")
    assert "<strong>reset</strong>" in html
    assert "<ol>" in html
    assert "<code>code</code>" in html


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>window.fired = 1</script>",
        "<img src=x onerror=window.fired=1>",
        "![x](https://evil.example/pixel.png)",
        "[x](javascript:window.fired=1)",
        "[x](data:text/html,<script>window.fired=1</script>)",
        "[x](vbscript:x)",
        "<svg/onload=window.fired=1>",
        "[x](/logout)",
        "`<b>`\n\n```html\n<img src=x onerror=window.fired=1>\n```",
        '[x](https://good.example "onmouseover=window.fired=1")',
    ],
)
def test_nothing_that_somebody_wrote_runs_or_calls_another_host(hostile: str) -> None:
    html = render_markdown(hostile)
    for tag in ("<script", "<img", "<svg", "<iframe", 'href="javascript', 'href="data', 'href="vbscript', 'href="/'):
        assert tag not in html
    assert " onmouseover=" not in html.replace('title="onmouseover=', "")


def test_a_link_opens_elsewhere_and_tells_nothing_of_this_page() -> None:
    html = render_markdown("[manual](https://good.example/a?b=1&c=2)")
    assert 'target="_blank"' in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert "b=1&amp;c=2" in html


def test_single_line_breaks_stay() -> None:
    assert "<br" in render_markdown("one\ntwo")
