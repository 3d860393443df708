// The review page by keyboard: A approve, R reject, E edit, S skip, J next, K previous, U undo, ? help.
const press = (selector) => document.querySelector(selector)?.click()
const step = (by) => {
  const lines = [...document.querySelectorAll('#queue .open')]
  const at = lines.findIndex((line) => line.hasAttribute('aria-current'))
  const next = lines[Math.min(Math.max(at + by, 0), lines.length - 1)]
  lines[at]?.removeAttribute('aria-current') // at once: whoever presses J three times is three lines further, whatever has loaded
  next?.setAttribute('aria-current', 'true')
  next?.click()
}
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
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') {
    document.activeElement.blur()
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input:not([type=radio], [type=checkbox]), textarea, select')) {
    return
  }
  if (keys[event.key.toLowerCase()]) {
    event.preventDefault()
    keys[event.key.toLowerCase()]()
  }
})
setInterval(() => {
  const shown = document.querySelector('#item [data-seconds]')
  if (shown) {
    shown.textContent = Math.max(0, Math.round(Date.now() / 1000 - Number(shown.closest('[data-opened]').dataset.opened)))
  }
}, 1000)
