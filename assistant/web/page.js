// Of every page: whoever is not signed in any more is sent to sign in, a page whose browser is somebody else's by now is loaded anew, the
// list of conversations opens and closes on a phone, and what goes wrong many times is said once.
if (!window.errata) { // Gradio runs a page's head twice
  window.errata = true
  const fetched = window.fetch
  window.fetch = followAnswers(async (...asked) => {
    const answer = await fetched(...asked)
    const {origin, pathname} = new URL(answer.url, location)
    if (answer.status === 401 && origin === location.origin) {
      const [, place, path] = location.pathname.match(/^(.*?)(\/(?:review\/?|admin\/?)?)$/) ?? ['', '', '/']
      location.assign(`${place}/login?next=${encodeURIComponent(path)}`)
    } else if (answer.status === 403 && origin === location.origin && /\/queue\/(join|data)$/.test(pathname)) {
      location.reload() // somebody has signed in in another tab; what was being sent is still there (see chat_log.js)
    }
    return answer
  })
  document.addEventListener('click', (event) => {
    const opener = event.target.closest('[data-do=toggle-side]')
    if (opener) {
      opener.setAttribute('aria-expanded', String(document.querySelector('#layout').classList.toggle('side-open')))
    } else if (event.target.closest('#side .open, #new')) { // what was chosen there is to be seen
      document.querySelector('#layout').classList.remove('side-open')
      document.querySelector('[data-do=toggle-side]')?.setAttribute('aria-expanded', 'false')
    }
  })
  const hideRepeated = () => {
    const said = new Set()
    for (const message of document.getElementsByClassName('toast-message-item')) {
      message.classList.toggle('repeated', said.has(message.textContent))
      said.add(message.textContent)
    }
  }
  new MutationObserver(hideRepeated).observe(document, {childList: true, subtree: true})
}
