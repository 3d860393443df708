// What is reviewed: tells the page which proposal is chosen.
element.addEventListener('change', (event) => {
  if (event.target.dataset.do === 'choose') {
    trigger('choose', {id: event.target.value})
  }
})
