// Gradio tells a page what its functions answer over one stream, and ends it once nothing is left to tell. What is asked after the
// server has ended it and before the page has heard so is told to nobody (6.31: `queue_data_helper` in routes.py, `open_stream` of
// the client), and whoever asked waits for ever. So the page gets one stream without an end; behind it, the server's come and go.
const followAnswers = (fetched) => {
  const asked = new Set() // ids of what was asked and has no last answer yet
  const early = new Set() // ids of what was answered before the page heard its id
  let page // what the page reads
  let request // what opens a stream of the server
  let isOpen = false // a stream of the server

  const open = async (asking) => {
    const answer = await fetched(asking.clone())
    if (!answer.ok) {
      return answer
    }
    request = asking
    const body = new ReadableStream({
      start: (controller) => { page = controller },
      cancel: () => { page = undefined },
    })
    follow(answer)
    return new Response(body, {headers: answer.headers})
  }
  const follow = async (answer) => {
    isOpen = true
    try {
      do {
        answer ??= await fetched(request.clone())
        if (!answer.ok) {
          throw new Error(`Expected a stream of answers. Found status ${answer.status}.`)
        }
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
        for (let rest = '', read = await reader.read(); !read.done; read = await reader.read()) {
          const messages = (rest + read.value).split('\n\n')
          rest = messages.pop()
          messages.forEach(tell)
        }
        answer = undefined
      } while (asked.size)
    } catch (error) {
      if (asked.size) { // the page tells it of everything that was asked
        asked.clear()
        page?.error(error)
        page = undefined
      }
    } finally {
      isOpen = false
    }
  }
  const tell = (message) => {
    const {msg: kind, event_id: id} = JSON.parse(message.slice('data:'.length))
    if (kind === 'close_stream') {
      return
    }
    if (kind === 'process_completed' && !asked.delete(id)) {
      early.add(id)
    }
    page.enqueue(new TextEncoder().encode(`${message}\n\n`))
  }
  const ask = async (asking) => {
    const answer = await fetched(asking)
    const {event_id: id} = answer.ok ? await answer.clone().json() : {}
    if (id && !early.delete(id)) {
      asked.add(id)
      if (page && !isOpen) {
        follow()
      }
    }
    return answer
  }
  return (...told) => {
    const path = new URL(told[0].url ?? told[0], location).pathname
    const handle = path.endsWith('/queue/data') ? open : path.endsWith('/queue/join') ? ask : null
    return handle ? handle(new Request(...told)) : fetched(...told)
  }
}
