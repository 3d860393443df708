"""The API's description as text for people: endpoints with the scope that each needs, what they take, an example. Pure; knows no API."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from assistant.web.chat_view import templates

_MOST_NESTED = 3
_WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "object": "object"}
_BOUNDS = {
    "minimum": "at least {:g}",
    "exclusiveMinimum": "above {:g}",
    "maximum": "at most {:g}",
    "exclusiveMaximum": "below {:g}",
    "minLength": "at least {:,} long",
    "maxLength": "at most {:,} long",
    "minItems": "at least {}",
    "maxItems": "at most {}",
}
_CODE = re.compile(r"`([^`]+)`")
_PLACEHOLDERS = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """What an endpoint takes; `place` is where it stands: path, query, header or body."""

    name: str
    place: str
    told: str
    is_needed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    id: str
    method: str
    path: str
    scope: str
    words: Markup
    fields: Sequence[_Field]
    body_words: Markup
    example: str


def render_api(described: Mapping[str, Any], *, address: str) -> str:
    """Return the whole page; `address` is where programs find the API, up to its version."""
    endpoints = [
        _read_endpoint(described, method, path, operation, address)
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    ]
    groups = {scope: [one for one in endpoints if one.scope == scope] for scope in dict.fromkeys(one.scope for one in endpoints)}
    return templates.get_template("api_page.html.jinja").render(groups=groups, address=address)


def _read_endpoint(described: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any], address: str) -> _Endpoint:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = _resolve(described, content["schema"]) if content else {}
    fields = [_read_parameter(one) for one in operation.get("parameters", ())]
    (scopes,) = operation["security"][0].values()
    return _Endpoint(
        id=f"{method}{re.sub(r'[^a-z]+', '-', path)}".strip("-"),
        method=method.upper(),
        path=path,
        scope=scopes[0],
        words=_mark_code(operation.get("description", "")),
        fields=[*fields, *_list_fields(described, body)],
        body_words=_mark_code(body.get("description", "")),
        example=_write_example(method, path, next(iter(body.get("examples", ())), None) if body else None, address),
    )


def _read_parameter(parameter: Mapping[str, Any]) -> _Field:
    return _Field(
        name=parameter["name"], place=parameter["in"], told=_tell(parameter["schema"]), is_needed=parameter.get("required", False)
    )


def _list_fields(described: Mapping[str, Any], model: Mapping[str, Any], *, before: str = "", depth: int = 1) -> Iterator[_Field]:
    """Yield the fields of a model, each followed by those of the models within it: `messages`, `messages[].role`."""
    for name, schema in model.get("properties", {}).items():
        is_needed = name in model.get("required", ())
        yield _Field(name=f"{before}{name}", place="body", told=_tell(_resolve(described, schema)), is_needed=is_needed)
        for one, suffix in _find_models(described, schema) if depth < _MOST_NESTED else ():
            yield from _list_fields(described, one, before=f"{before}{name}{suffix}.", depth=depth + 1)


def _find_models(described: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the models that a field holds, with how they stand in it: "[]" for each of a list."""
    for one in schema.get("anyOf", (schema,)):
        if "$ref" in one:
            yield _resolve(described, one), ""
        elif "$ref" in one.get("items", {}):
            yield _resolve(described, one["items"]), "[]"


def _resolve(described: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference refers to, and anything else as it is."""
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _tell(schema: Mapping[str, Any]) -> str:
    """Return of what kind a value is, its bounds, and what it is where it is left out."""
    kinds = [_tell_kind(one) for one in schema.get("anyOf", (schema,)) if one.get("type") != "null"]
    default = schema.get("default")
    return " or ".join(kinds) + ("" if default in (None, "") else f"; {json.dumps(default)} by default")


def _tell_kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        kind = f"list of {_tell_kind(schema['items'])}s"
    elif "$ref" in schema:
        kind = "object"
    else:
        kind = _WORDS.get(schema.get("type", ""), "any value")
    return ", ".join([kind, *(words.format(schema[bound]) for bound, words in _BOUNDS.items() if bound in schema)])


def _write_example(method: str, path: str, body: object, address: str) -> str:
    """Return a command for a terminal that knows the key as $KEY."""
    shown = _PLACEHOLDERS.sub(lambda found: found[1].upper(), path)
    lines = [f"curl {address}{shown}", '-H "Authorization: Bearer $KEY"']
    if method == "post":
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(json.dumps({} if body is None else body, ensure_ascii=False))}"]
    return " \\\n  ".join(lines)


def _mark_code(text: str) -> Markup:
    """Return a text whose `code` is marked as such."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  it was escaped, and a grave accent is none of HTML's
