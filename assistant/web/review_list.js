// The list beside what is reviewed: tells the page what is opened or retired.
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]')
  if (button?.dataset.do === 'open') {
    trigger('open', {id: button.dataset.id})
  } else if (button?.dataset.do === 'retire') {
    trigger('retire', {id: button.dataset.id})
  }
})
