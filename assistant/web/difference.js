// Asks for the difference anew a moment after somebody has stopped typing.
let waiting
document.addEventListener('input', (event) => {
  if (event.target.closest('#reply')) {
    clearTimeout(waiting)
    waiting = setTimeout(() => trigger('compare', {reply: event.target.value}), 250)
  }
})
