// A table whose buttons tell the page what is wanted.
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]')
  if (button) {
    trigger('wish', {what: button.dataset.do, id: button.dataset.id, role: button.dataset.role ?? ''})
  }
})
