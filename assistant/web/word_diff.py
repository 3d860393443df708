"""What differs between two texts, word by word, as HTML: what goes as `del`, what comes as `ins`. Pure."""

import re
from difflib import SequenceMatcher

from markupsafe import Markup

_TOKENS = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_TOKENS = 4000  # beyond, comparing takes too long to be drawn while somebody types


def render_diff(before: str, after: str) -> Markup:
    """Return the text that goes and the text that comes, in reading order."""
    old, new = _TOKENS.findall(before), _TOKENS.findall(after)
    if len(old) + len(new) > _MOST_TOKENS:
        return _mark("del", before) + _mark("ins", after)
    parts: list[Markup] = []
    gone = come = ""
    for kind, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        kept = "".join(old[start:end]) if kind == "equal" else ""
        if kept.strip() or (kept and not (gone or come)):
            parts += [_mark("del", gone), _mark("ins", come), Markup.escape(kept)]
            gone = come = ""
        else:  # blanks between two changes are part of them: whole phrases read better than words in turn
            gone += "".join(old[start:end])
            come += "".join(new[new_start:new_end])
    return Markup("").join([*parts, _mark("del", gone), _mark("ins", come)])


def _mark(tag: str, text: str) -> Markup:
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), text) if text else Markup("")  # noqa: S704  our own tags
