"""Markdown as HTML that is safe whoever wrote it: no raw HTML, no images that would tell others who reads, no links but to the web."""

import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

_WEB = re.compile(r"(https?://|mailto:)", re.IGNORECASE)


def render_markdown(text: str) -> Markup:
    """Return a text's markdown as HTML; single line breaks stay."""
    return Markup(_markdown.render(text))  # noqa: S704  the renderer escapes all that it is given


def _open_link(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    tokens[index].attrSet("target", "_blank")
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    return renderer.renderToken(tokens, index, options, env)


def _make_markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").disable("image")
    markdown.validateLink = lambda url: _WEB.match(url) is not None  # type: ignore[method-assign]
    markdown.add_render_rule("link_open", _open_link)
    return markdown


_markdown = _make_markdown()
