"""A page hears every answer, however a stream of the server ends; with the scripted server that no timing decides about."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

import assistant.web

pytestmark = pytest.mark.slow
_SCRIPT = Path(assistant.web.__file__).parent / "event_stream.js"
_SERVER = """
(async () => {
  const streams = [] // of the server: what writes to each
  const said = (message) => new TextEncoder().encode(`data: ${JSON.stringify(message)}\\n\\n`)
  const server = async (asking) => {
    if (asking.url.includes('queue/join')) {
      return Response.json({event_id: await asking.text()})
    }
    return new Response(new ReadableStream({start: (stream) => streams.push(stream)}))
  }
  const fetched = followAnswers(server)
  const join = (id) => fetched('http://errata.test/queue/join', {method: 'POST', body: id})
  const heard = []
  const listen = async () => {
    const reader = (await fetched('http://errata.test/queue/data')).body.pipeThrough(new TextDecoderStream()).getReader()
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      heard.push(...read.value.trim().split('\\n\\n').map((line) => JSON.parse(line.slice(5))).map((it) => it.event_id ?? it.msg))
    }
  }
  const until = async (isTrue) => { while (!isTrue()) { await new Promise((done) => setTimeout(done)) } }
  const answer = (stream, id) => stream.enqueue(said({msg: 'process_completed', event_id: id}))
  const end = (stream) => { stream.enqueue(said({msg: 'close_stream'})); stream.close() }
  %s
  return {heard, streams: streams.length}
})()
"""


def run(chromium: Browser, script: str) -> tuple[list[str], int]:
    """Run the script of a server and of a page; return the events that the page heard of and how many streams it took."""
    page = chromium.new_page()
    page.add_script_tag(path=_SCRIPT)
    found = page.evaluate(_SERVER % script)
    page.close()
    return found["heard"], found["streams"]


def test_what_is_asked_while_a_stream_ends_is_heard_over_the_next(chromium: Browser) -> None:
    script = """
      await join('a'); listen(); await until(() => streams.length === 1)
      answer(streams[0], 'a')
      await join('b') // the server has ended the stream, and the page has not heard so
      end(streams[0]); await until(() => streams.length === 2)
      answer(streams[1], 'b'); await until(() => heard.length === 2)
    """
    assert run(chromium, script) == (["a", "b"], 2)


def test_a_page_that_waits_for_nothing_holds_no_connection_and_opens_one_when_it_asks_again(chromium: Browser) -> None:
    script = """
      await join('a'); listen(); await until(() => streams.length === 1)
      answer(streams[0], 'a'); end(streams[0]); await until(() => heard.length === 1)
      if (streams.length !== 1) { throw new Error('a stream that nobody waits for') }
      await join('b'); await join('c'); await until(() => streams.length === 2)
      answer(streams[1], 'b'); answer(streams[1], 'c'); end(streams[1]); await until(() => heard.length === 3)
    """
    assert run(chromium, script) == (["a", "b", "c"], 2)


def test_an_answer_before_its_id_is_not_waited_for_again(chromium: Browser) -> None:
    script = """
      await join('a'); listen(); await until(() => streams.length === 1)
      answer(streams[0], 'b'); answer(streams[0], 'a'); await until(() => heard.length === 2)
      await join('b'); end(streams[0])
      await join('c'); await until(() => streams.length === 2)
      answer(streams[1], 'c'); await until(() => heard.length === 3)
    """
    assert run(chromium, script) == (["b", "a", "c"], 2)


def test_a_connection_that_breaks_is_told_to_the_page(chromium: Browser) -> None:
    script = """
      await join('a'); const listening = listen().catch((error) => heard.push(error.message)); await until(() => streams.length === 1)
      streams[0].error(new Error('broken')); await listening
    """
    assert run(chromium, script) == (["broken"], 1)
