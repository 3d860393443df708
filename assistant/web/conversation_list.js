// The list of conversations: tells the page which is opened, renamed or erased, and where Back and Forward lead.
const line = (node) => node.closest('li')
const show = (node, selector) => {
  const part = line(node).querySelector(selector)
  part.hidden = false
  part.querySelector('input, button').focus()
}
const hide = (node) => {
  line(node).querySelectorAll('.rename, .erase').forEach((part) => (part.hidden = true))
  line(node).querySelector('.open').focus()
}
const does = {
  open: (button) => trigger('open', {id: line(button).dataset.id}),
  rename: (button) => show(button, '.rename'),
  'ask-erase': (button) => show(button, '.erase'),
  erase: (button) => trigger('erase', {id: line(button).dataset.id}),
  keep: hide,
}
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]')
  does[button?.dataset.do]?.(button)
})
element.addEventListener('submit', (event) => {
  event.preventDefault()
  trigger('rename', {id: line(event.target).dataset.id, title: new FormData(event.target).get('title')})
})
element.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && event.target.closest('.rename, .erase')) {
    hide(event.target)
  }
})
window.addEventListener('popstate', () => trigger('open', {id: new URLSearchParams(location.search).get('c') ?? ''}))
