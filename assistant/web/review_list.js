// The list beside what is reviewed: tells the page what is opened, looked at or retired.
const HURRY_MS = 40 // whoever runs through the lines opens the last one only
let opening
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]')
  if (!button) {
    return
  }
  const {do: deed, id} = button.dataset
  if (deed === 'retire') {
    trigger('retire', {id})
    return
  }
  element.querySelector('[aria-current]')?.removeAttribute('aria-current') // at once, so that one sees what is being opened
  button.setAttribute('aria-current', 'true')
  clearTimeout(opening)
  opening = setTimeout(() => (deed === 'open' ? trigger('open', {id}) : trigger('look', {id})), HURRY_MS)
})
