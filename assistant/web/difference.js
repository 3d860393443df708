// Asks for the difference and the badges anew a moment after somebody has stopped typing; what is told so is kept by the server, and is
// there again when he comes back to the question.
let waiting
document.addEventListener('input', (event) => {
  if (event.target.closest('#reply, #wordings')) {
    clearTimeout(waiting)
    waiting = setTimeout(() => {
      const [reply, wordings] = ['#reply', '#wordings'].map((name) => document.querySelector(`${name} textarea`)?.value ?? '')
      if (document.querySelector('#item [data-key]')) { // unless it was decided meanwhile
        trigger('compare', {reply, wordings})
      }
    }, 250)
  }
})
