// What else is known: changing an answer shows it, and takes the place of retiring it.
element.addEventListener('change', (event) => {
  const known = event.target.closest('.known')
  const [retire, change] = known?.querySelectorAll('input') ?? []
  if (!change) { // a guard question: it has no answer of its own
    return
  }
  if (event.target === change && change.checked) {
    retire.checked = false
  } else if (event.target === retire && retire.checked) {
    change.checked = false
  }
  known.querySelector('textarea').toggleAttribute('hidden', !change.checked)
})
