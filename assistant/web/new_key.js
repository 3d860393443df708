// A key that was just made: it comes into sight, is copied, and is hidden for good once somebody has it.
const copy = async (button) => {
  const wanted = button.previousElementSibling
  getSelection().selectAllChildren(wanted)
  try {
    await navigator.clipboard.writeText(wanted.textContent)
  } catch {
    document.execCommand('copy') // a page that came over plain HTTP has no clipboard, or was denied it
  }
  button.textContent = 'Copied'
  setTimeout(() => { button.textContent = 'Copy' }, 1500)
}
element.addEventListener('click', ({target}) => {
  const button = target.closest('button[data-do]')
  if (button?.dataset.do === 'copy') {
    copy(button)
  } else if (button) {
    trigger('wish', {what: button.dataset.do})
    document.querySelector('#key-name :is(input, textarea)')?.focus() // where the next one begins: the button is gone
  }
})
watch('value', () => element.querySelector('.new-key')?.scrollIntoView({block: 'nearest'}))
