// A table whose buttons tell the page what is wanted; a button that ends something asks first, and a choice brings its button out.
const wish = (what) => trigger('wish', {what: what.dataset.do, id: what.dataset.id, role: what.value ?? ''})
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]')
  if (button && (!button.dataset.ask || confirm(button.dataset.ask))) {
    wish(button)
  }
})
element.addEventListener('change', ({target}) => { // not yet: arrow keys pass other choices on the way
  const button = target.parentElement.querySelector('button')
  button.value = target.value
  button.hidden = target.value === target.dataset.now
})

// What has the focus is gone once the table is drawn anew: its like gets it, or another one of its line.
let focused
element.addEventListener('focusin', ({target}) => {
  const id = `[data-id="${CSS.escape(target.dataset.id ?? '')}"]`
  const one = `${target.localName}${id}`
  focused = {target, likes: [`${one}[data-do="${target.dataset.do}"]`, one, id]}
})
watch('value', () => setTimeout(() => {
  if (focused && !focused.target.isConnected && document.activeElement === document.body) {
    focused.likes.map((selector) => element.querySelector(selector)).find(Boolean)?.focus({preventScroll: true})
  }
}))
