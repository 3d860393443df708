"""What the admin page shows of programs' keys, as HTML. Pure; of tokens it knows the one that it is given, and only shows it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from markupsafe import Markup

from assistant.plain_text import tell_ago, tell_time
from assistant.web.chat_view import templates
from feedback_db.api_keys import ApiKey, Scope

OPENS = {  # in the order in which they are offered
    Scope.CHAT: "ask for replies, as of OpenAI's API, and list the versions that can be asked",
    Scope.FEEDBACK: "rate replies, comment on them, and say what they should have been; reviewers decide",
    Scope.ADMIN: "what an admin does here: train, put live, roll back, read reports and figures; it opens neither of the above",
}
_ASK = {"model": "support", "messages": [{"role": "user", "content": "Hello, can you help me?"}]}
_RATE = {"inference_id": "chatcmpl-…", "metric_name": "rating", "value": True}
_EXAMPLES: dict[Scope, tuple[str, Mapping[str, object] | None]] = {  # path, and what is sent there
    Scope.CHAT: ("/v1/chat/completions", _ASK),
    Scope.FEEDBACK: ("/v1/feedback", _RATE),
    Scope.ADMIN: ("/v1/admin/status", None),
}


def render_keys(keys: Sequence[ApiKey], names: Mapping[str, str], *, now: datetime) -> str:
    """Return the keys as they come, each with a button that revokes it unless it is; `names` are people's, by their ids."""
    lines = [
        {
            "id": key.id,
            "name": key.name,
            "hint": key.hint,
            "opens": _list_scopes(key),
            "made": f"{tell_time(key.made_at)} by {names.get(key.made_by, 'somebody')}",
            "used": "never" if key.used_at is None else tell_ago(key.used_at, now),
            "used_at": "" if key.used_at is None else tell_time(key.used_at),
            "revoked": "" if key.revoked_at is None else tell_time(key.revoked_at),
        }
        for key in keys
    ]
    return templates.get_template("admin_keys.html.jinja").render(lines=lines)


def render_new_key(key: ApiKey, token: str, *, site: str) -> str:
    """Return a key's token, which is shown this once, with how to try it; `site` is where programs find this one."""
    return templates.get_template("admin_new_key.html.jinja").render(
        id=key.id, name=key.name, opens=_list_scopes(key), token=token, example=_write_example(key, token, site)
    )


def render_revoked(key: ApiKey) -> str:
    """Return what makes a page that still shows this key's token hide it."""
    return str(Markup('<i hidden data-revoked="{}"></i>').format(key.id))


def _list_scopes(key: ApiKey) -> str:
    return ", ".join(scope.value for scope in OPENS if scope in key.scopes)


def _write_example(key: ApiKey, token: str, site: str) -> str:
    """Return a command that asks for the first thing that a key opens."""
    path, body = _EXAMPLES[next(scope for scope in OPENS if scope in key.scopes)]
    lines = [f"curl {site}{path}", f'-H "Authorization: Bearer {token}"']
    if body is not None:
        lines += ['-H "Content-Type: application/json"', f"-d '{json.dumps(body, ensure_ascii=False)}'"]
    return " \\\n  ".join(lines)
