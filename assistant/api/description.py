"""How the API describes itself to programs that read OpenAPI: with the scope that each endpoint needs. Pure."""

from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from assistant.api.door import find_scope

_KEY = "key"
_NEVER_ANSWERED = "422"  # FastAPI's own; what cannot be read is answered with 400, as OpenAI does


def describe_api(api: FastAPI, *, server: str) -> dict[str, Any]:
    """Return the API's description; `server` is where it is, seen from where the description is read."""
    described = deepcopy(api.openapi())
    described["servers"] = [{"url": server}]
    components = described.setdefault("components", {})
    components["securitySchemes"] = {_KEY: {"type": "http", "scheme": "bearer", "description": "A key that an admin has made."}}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            operation["security"] = [{_KEY: [find_scope(path).value]}]
            operation["responses"].pop(_NEVER_ANSWERED, None)
    for unused in ("HTTPValidationError", "ValidationError"):
        components.get("schemas", {}).pop(unused, None)
    return described
