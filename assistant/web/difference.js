// Asks for the difference and the badges anew a moment after somebody has stopped typing.
let waiting
document.addEventListener('input', (event) => {
  if (event.target.closest('#reply, #wordings')) {
    clearTimeout(waiting)
    waiting = setTimeout(() => trigger('compare', {
      reply: document.querySelector('#reply textarea').value,
      wordings: document.querySelector('#wordings textarea').value,
    }), 250)
  }
})
