"""Takes a request's body in, which may be so long and no longer, so that whoever comes next reads it from memory."""

from starlette.datastructures import Headers
from starlette.types import Message, Receive


class BodyTooLongError(Exception):
    """A body is longer than it may be, or its length is none."""


async def receive_bounded(headers: Headers, receive: Receive, *, most_bytes: int) -> tuple[Receive, bytes]:
    """Read the body; return something that tells it once more and goes on with what comes after it, and the body itself.

    Raises:
        BodyTooLongError: it has more bytes; no more of it is read than that.
    """
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most_bytes:
        raise BodyTooLongError
    body, goes_on = bytearray(), True
    while goes_on:
        message = await receive()
        body += message.get("body", b"")
        goes_on = message["type"] == "http.request" and message.get("more_body", False)
        if len(body) > most_bytes:
            raise BodyTooLongError
    return replay(bytes(body), receive), bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return what tells a body that was taken in, and then goes on with what comes after it."""
    told = False

    async def tell_again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return tell_again
