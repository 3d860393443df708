"""A browser's standing connection to Open WebUI, without the browser; runs in Open WebUI's own environment, which has python-socketio.

    python browser.py ADDRESS TOKEN

Prints one JSON object a line: first its session, then each event as it comes. A line on standard input, a JSON value, is what the person
will answer to the next question that a function asks; the end of standard input ends it.
"""

import asyncio
import json
import sys
from typing import Any

import socketio


async def run(address: str, token: str) -> None:
    """Connect, and tell events until standard input ends."""
    browser = socketio.AsyncClient()
    answers: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(event: dict[str, Any]) -> Any:
        tell(event)
        asks = event["data"].get("type") in {"input", "confirmation"}
        return await answers.get() if asks else None

    browser.on("events", hear)
    await browser.connect(address, socketio_path="/ws/socket.io", auth={"token": token}, transports=["websocket"])
    tell({"session_id": browser.get_sid()})
    beating = asyncio.create_task(beat(browser))
    while line := await asyncio.to_thread(sys.stdin.readline):
        answers.put_nowait(json.loads(line))
    beating.cancel()
    await browser.disconnect()


async def beat(browser: socketio.AsyncClient) -> None:
    """Show that the page is open, as often as the page does; else Open WebUI forgets the session."""
    while True:
        await browser.emit("heartbeat", {})
        await asyncio.sleep(30)


def tell(what: dict[str, Any]) -> None:
    """Print an object as a line."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
