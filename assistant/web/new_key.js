// A key that was just made is held by this page alone: the server is told at once to forget what it has sent. It comes into sight, is copied,
// and is gone once somebody has it, or has revoked it.
const holder = document.createElement('div')
holder.className = 'kept prose'
element.after(holder)
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
holder.addEventListener('click', ({target}) => {
  const button = target.closest('button[data-do]')
  if (button?.dataset.do === 'copy') {
    copy(button)
  } else if (button) {
    holder.replaceChildren()
    document.querySelector('#key-name :is(input, textarea)')?.focus() // where the next one begins: the button is gone
  }
})
watch('value', () => {
  const [made, revoked] = ['.new-key', '[data-revoked]'].map((selector) => element.querySelector(selector))
  if (made) {
    holder.replaceChildren(made.cloneNode(true)) // the original is Gradio's
    holder.scrollIntoView({block: 'nearest'})
    trigger('wish', {what: 'forget'})
  } else if (revoked && revoked.dataset.revoked === holder.firstElementChild?.dataset.id) {
    holder.replaceChildren()
  }
})
