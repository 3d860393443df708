// A table whose buttons and choices tell the page what is wanted; a button that ends something asks first.
const wish = (what) => trigger('wish', {what: what.dataset.do, id: what.dataset.id, role: what.value ?? ''})
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]')
  if (button && (!button.dataset.ask || confirm(button.dataset.ask))) {
    wish(button)
  }
})
element.addEventListener('change', (event) => {
  if (event.target.matches('select[data-do]')) {
    wish(event.target)
  }
})
