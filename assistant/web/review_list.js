// The list beside what is reviewed: tells the page what is opened, looked at or retired.
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]')
  if (!button) {
    return
  }
  if (button.classList.contains('open')) { // at once, so that one sees what is being opened
    element.querySelector('[aria-current]')?.removeAttribute('aria-current')
    button.setAttribute('aria-current', 'true')
  }
  for (const deed of ['open', 'look', 'retire']) {
    if (button.dataset.do === deed) {
      trigger(deed, {id: button.dataset.id})
    }
  }
})
