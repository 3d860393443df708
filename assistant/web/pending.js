// The reply on its way: it is followed from where it was drawn; the page stays at its end, unless somebody has scrolled up to read; once it is whole, it is read out, once.
const view = document.querySelector('#main')
const told = document.body.appendChild(document.createElement('div'))
told.className = 'unseen'
told.setAttribute('role', 'status')
let follows = true
let asked
let mark // of the drawing that is followed
view.addEventListener('scroll', () => {
  follows = view.scrollHeight - view.scrollTop - view.clientHeight < 80
})
const readOut = (message) => {
  const last = [...document.querySelectorAll('#chat .turn')].at(-1)
  if (last?.querySelector('.by-user .text').textContent === message) { // and not another conversation
    told.textContent = last.querySelector('.by-errata').querySelector('.text, .problem')?.textContent ?? ''
  }
}
watch('value', () => {
  const turn = element.querySelector('.turn')
  if (turn && turn.dataset.mark !== mark) {
    trigger('follow', {conversation: turn.dataset.conversation, mark: turn.dataset.mark})
  }
  mark = turn?.dataset.mark
  const now = turn?.querySelector('.by-user .text').textContent
  if (asked === undefined && now !== undefined) {
    follows = true
    told.textContent = ''
  } else if (asked !== undefined && now === undefined) {
    const message = asked
    setTimeout(() => readOut(message)) // when the log is drawn, too
  }
  asked = now
  if (follows) {
    view.scrollTop = view.scrollHeight
  }
})
