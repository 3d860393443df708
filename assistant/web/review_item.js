// What is reviewed: tells the page which proposal is chosen.
let key
watch('value', () => { // another question is read from its beginning
  const shown = element.querySelector('[data-key]')?.dataset.key
  if (shown !== key) {
    key = shown
    document.querySelector('#content').scrollTop = 0
    document.querySelector('#main').classList.remove('rejecting')
  }
})
element.addEventListener('change', (event) => {
  if (event.target.dataset.do === 'choose') {
    trigger('choose', {id: event.target.value})
  }
})
