// The log of a conversation: tells the page what somebody does, and keeps what is being written while the log is drawn anew.
const drafts = new Map() // turn id → {name: value} of an open correction
const turnOf = (node) => node.closest('.turn')?.dataset.turn
const openForm = (turn) => {
  const form = turn.querySelector('form.correction')
  form.hidden = false
  turn.querySelector('[data-do=correct]').setAttribute('aria-expanded', 'true')
  return form
}
const close = (form) => {
  form.hidden = true
  const turn = form.closest('.turn')
  drafts.delete(turn.dataset.turn)
  const opener = turn.querySelector(form.matches('.correction') ? '[data-do=correct]' : '[data-do=edit]')
  opener.setAttribute('aria-expanded', 'false')
  opener.focus()
}
const remember = (form) => {
  if (form?.matches('.correction')) {
    drafts.set(turnOf(form), {...Object.fromEntries(new FormData(form)), consent: form.consent?.checked})
  }
}
const does = {
  ask: (button) => trigger('ask', {message: button.dataset.value}),
  copy: async (button) => {
    await navigator.clipboard.writeText(button.closest('.said').querySelector('[data-copy]').dataset.copy)
    button.classList.add('done')
    setTimeout(() => button.classList.remove('done'), 1500)
  },
  rate: (button) => {
    const isPressed = button.getAttribute('aria-pressed') === 'true'
    const turn = button.closest('.turn')
    if (!isPressed && button.dataset.value === 'bad') {
      remember(openForm(turn))
    }
    trigger('rate', {turn: turn.dataset.turn, value: isPressed ? '' : button.dataset.value})
  },
  correct: (button) => {
    const form = openForm(button.closest('.turn'))
    remember(form)
    form.elements.reply.focus()
  },
  edit: (button) => {
    const form = button.closest('.said').querySelector('form.rewrite')
    form.hidden = false
    form.message.focus()
  },
  keep: (button) => close(button.closest('form')),
  retry: (button) => trigger('retry', {turn: turnOf(button)}),
  vote: (button) => trigger('vote', {correction: button.dataset.correction, value: button.dataset.value}),
}
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]')
  does[button?.dataset.do]?.(button)
})
element.addEventListener('input', (event) => remember(event.target.closest('form')))
element.addEventListener('submit', (event) => {
  event.preventDefault()
  const form = event.target
  const turn = turnOf(form)
  const told = Object.fromEntries(new FormData(form))
  if (form.matches('.rewrite')) {
    trigger('rewrite', {turn, message: told.message})
  } else {
    drafts.delete(turn)
    trigger('correct', {turn, reply: told.reply, reason: told.reason ?? '', comment: told.comment, consent: form.consent?.checked ?? false})
  }
})
element.addEventListener('keydown', (event) => {
  const form = event.target.closest('form')
  if (event.key === 'Escape' && form) {
    close(form)
  }
})
let newest
watch('value', () => {
  const last = [...element.querySelectorAll('.turn')].at(-1)
  if (last?.dataset.turn !== newest) { // another conversation, or a turn more: begin where it ends
    newest = last?.dataset.turn
    last?.scrollIntoView({block: 'end'})
  }
  for (const [id, told] of drafts) {
    const turn = element.querySelector(`.turn[data-turn="${CSS.escape(id)}"]`)
    if (turn?.querySelector('form.correction')) {
      const form = openForm(turn)
      for (const name of ['reply', 'comment', 'reason']) {
        if (told[name] !== undefined) {
          form.elements[name].value = told[name]
        }
      }
      if (form.consent) {
        form.consent.checked = told.consent ?? false
      }
    }
  }
})
