// A table whose buttons and choices tell the page what is wanted.
const wish = (what) => trigger('wish', {what: what.dataset.do, id: what.dataset.id, role: what.value ?? ''})
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]')
  if (button) {
    wish(button)
  }
})
element.addEventListener('change', (event) => {
  if (event.target.matches('select[data-do]')) {
    wish(event.target)
  }
})
