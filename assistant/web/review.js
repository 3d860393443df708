// The review page by keyboard. What decides on a question waits until the question that is highlighted is the one that is shown, and
// with the correction that is chosen.
const press = (selector) => document.querySelector(selector)?.click()
let wanted // the line that was asked for last; others may be drawn on the way to it
const findWanted = () => document.querySelector(`#queue .open[data-id="${wanted}"]`) ?? document.querySelector('#queue [aria-current]')
const step = (by) => {
  const lines = [...document.querySelectorAll('#queue .open')]
  const at = lines.indexOf(findWanted())
  const next = lines[Math.min(Math.max(at + by, 0), lines.length - 1)]
  if (next !== lines[at]) {
    next?.click() // which highlights it: whoever presses J three times is three lines further, whatever has loaded
  }
}
const isShown = () => {
  const shown = document.querySelector('#item [data-key]')
  const line = findWanted()
  const chosen = document.querySelector('#item [name=proposal]:checked')
  return shown && (!line || line.dataset.id === shown.dataset.key) && (!chosen || chosen.value === shown.dataset.chosen)
}
const openReason = (isOpen) => {
  document.querySelector('#main').classList.toggle('rejecting', isOpen)
  document.querySelector(isOpen ? '#note :is(input, textarea)' : '#reject')?.focus()
}
const choose = (place) => document.querySelectorAll('#item [name=proposal]')[place]?.click()
const keys = {
  a: () => press('#approve'),
  r: () => press('#reject'),
  s: () => press('#skip'),
  u: () => press('#undo'),
  e: () => document.querySelector('#reply textarea')?.focus(),
  j: () => step(1),
  k: () => step(-1),
  '?': () => document.querySelector('#help')?.toggleAttribute('open'),
}
const stop = (event) => {
  event.preventDefault()
  event.stopPropagation()
}
document.addEventListener('click', (event) => { // before Gradio hears of it
  wanted = event.target.closest('#queue .open')?.dataset.id ?? wanted
  const button = event.target.closest('#approve, #reject, #skip, #confirm, #undo')
  if (button && button.id !== 'undo' && !isShown()) {
    stop(event)
  } else if (button?.id === 'reject') {
    openReason(!document.querySelector('#main').classList.contains('rejecting'))
  } else if (button) {
    wanted = undefined
    document.querySelector('#main').classList.remove('rejecting')
  }
}, true)
document.addEventListener('keydown', (event) => {
  if (event.target.closest('#note') && event.key === 'Enter') {
    stop(event)
    if (!event.repeat && isShown()) {
      event.target.blur()
      press('#confirm')
    }
  }
}, true)
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') {
    openReason(false)
    document.activeElement.blur()
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input:not([type=radio], [type=checkbox]), textarea, select')) {
    return
  }
  const act = keys[event.key.toLowerCase()] ?? (/^[1-9]$/.test(event.key) ? () => choose(event.key - 1) : undefined)
  if (act) {
    event.preventDefault()
    if (!event.repeat) { // a key that is held decides once
      act()
    }
  }
})
setInterval(() => {
  const shown = document.querySelector('#item [data-seconds]')
  if (shown) {
    shown.textContent = Math.max(0, Math.round(Date.now() / 1000 - Number(shown.closest('[data-opened]').dataset.opened)))
  }
}, 1000)
