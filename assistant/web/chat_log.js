// The log of a conversation: tells the page what somebody does, and keeps what is being written, and where one is, while it is drawn anew.
const drafts = new Map() // turn id and kind of form → {name: value} of a form that is open
const sent = new Set() // those whose form was sent: it closes when the log is drawn anew, and stays open if it is refused
const kindOf = (form) => (form.matches('.correction') ? 'correction' : 'rewrite')
const keyOf = (form) => `${kindOf(form)} ${turnOf(form)}`
const turnOf = (node) => node.closest('.turn')?.dataset.turn
const find = (id, selector) => element.querySelector(`.turn[data-turn="${CSS.escape(id)}"] ${selector}`)
const openerOf = (form) => find(turnOf(form), form.matches('.correction') ? '[data-do=correct]' : '[data-do=edit]')
const reveal = (form) => { // the sticky foot covers the end of the log, so its height is kept free below
  form.style.scrollMarginBottom = `${document.querySelector('#foot').offsetHeight + 8}px`
  form.scrollIntoView({block: 'nearest'})
}
const open = (form) => {
  form.hidden = false
  openerOf(form)?.setAttribute('aria-expanded', 'true')
}
const begin = (form, ...names) => {
  open(form)
  remember(form)
  const first = names.map((name) => form.querySelector(`[name=${name}]`)).find(Boolean)
  first.focus({preventScroll: true})
  reveal(form)
}
const close = (form) => {
  form.hidden = true
  drafts.delete(keyOf(form))
  openerOf(form)?.setAttribute('aria-expanded', 'false')
}
const remember = (form) => {
  if (form) {
    drafts.set(keyOf(form), {...Object.fromEntries(new FormData(form)), consent: form.consent?.checked})
    sent.delete(keyOf(form))
  }
}
const tell = (what, told) => trigger(what, {...told, shown: String(element.querySelectorAll('.turn').length)})
let first // the turn that was the first of all before earlier ones are shown
const does = {
  ask: (button) => {
    sessionStorage.setItem('asked', button.dataset.value)
    trigger('ask', {message: button.dataset.value})
  },
  copy: async (button) => {
    await navigator.clipboard.writeText(button.closest('.said').querySelector('[data-copy]').dataset.copy)
    button.classList.add('done')
    setTimeout(() => button.classList.remove('done'), 1500)
  },
  earlier: () => {
    first = element.querySelector('.turn').dataset.turn
    tell('earlier', {})
  },
  rate: (button) => {
    const isPressed = button.getAttribute('aria-pressed') === 'true'
    const form = button.closest('.turn').querySelector('form.correction')
    if (!isPressed && button.dataset.value === 'bad') {
      begin(form, 'reason')
    } else {
      close(form)
    }
    tell('rate', {turn: turnOf(button), value: isPressed ? '' : button.dataset.value})
  },
  correct: (button) => begin(button.closest('.turn').querySelector('form.correction'), 'reply', 'reason'),
  edit: (button) => begin(button.closest('.said').querySelector('form.rewrite'), 'message'),
  keep: (button) => {
    const form = button.closest('form')
    close(form)
    openerOf(form)?.focus()
  },
  retry: (button) => trigger('retry', {turn: turnOf(button)}),
  vote: (button) => tell('vote', {correction: button.dataset.correction, value: button.dataset.value}),
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
  sent.add(keyOf(form))
  if (form.matches('.rewrite')) {
    sessionStorage.setItem('asked', told.message)
    trigger('rewrite', {turn, message: told.message})
  } else {
    const reply = told.reply ?? find(turn, '[data-copy]').dataset.copy
    tell('correct', {turn, reply, reason: told.reason ?? '', comment: told.comment, consent: form.consent?.checked ?? false})
  }
})
element.addEventListener('keydown', (event) => {
  const form = event.target.closest('form')
  if (event.key === 'Escape' && form) {
    does.keep(form)
  }
})

// Whatever has the focus is gone once the log is drawn anew: its like gets it, or what opens the form that it was in, or the message box.
let focused
element.addEventListener('focusin', ({target}) => {
  const {do: does, value} = target.dataset
  const {name, type, form} = target
  const own = does ? `[data-do=${does}]${value ? `[data-value="${CSS.escape(value)}"]` : ''}` : ''
  const like = name ? `form.${kindOf(form)} [name=${name}]${type === 'radio' ? `[value="${CSS.escape(target.value)}"]` : ''}` : own
  focused = {turn: turnOf(target), like, opener: form?.matches('.correction') ? '[data-do=correct]' : '', target}
})
element.addEventListener('focusout', ({target}) => {
  setTimeout(() => { // what is drawn anew takes or hides it; anything else that takes the focus is somebody's wish
    if (focused?.target === target && target.checkVisibility() && document.hasFocus()) {
      focused = undefined
    }
  })
})
const focusAgain = () => {
  const isElsewhere = ![document.body, focused?.target].includes(document.activeElement)
  if (!focused || focused.target.checkVisibility() || isElsewhere) {
    return
  }
  const {turn, like, opener, target} = focused
  const ones = turn ? [like, opener].filter(Boolean).map((selector) => find(turn, selector)) : []
  const found = ones.find((one) => one?.checkVisibility()) ?? document.querySelector('#msg textarea')
  found.focus({preventScroll: true})
  if (found.name === target.name && found.matches('textarea')) {
    found.setSelectionRange(target.selectionStart, target.selectionEnd)
  }
}

let newest
watch('value', () => {
  const turns = [...element.querySelectorAll('.turn')]
  const last = turns.at(-1)
  if (last?.querySelector('.by-user .text').textContent === sessionStorage.getItem('asked')?.trim()) {
    sessionStorage.removeItem('asked') // its answer is logged
  }
  if (last?.dataset.turn !== newest) { // another conversation, or a turn more: begin where it ends
    newest = last?.dataset.turn
    last?.scrollIntoView({block: 'end'})
  } else if (first && first !== turns[0]?.dataset.turn) {
    find(first, '.by-user')?.scrollIntoView({block: 'start'})
    turns[0].tabIndex = -1
    turns[0].focus({preventScroll: true})
    first = focused = undefined
  }
  sent.forEach((key) => drafts.delete(key))
  sent.clear()
  for (const [key, told] of drafts) {
    const [kind, id] = key.split(' ')
    const form = find(id, `form.${kind}`)
    if (form) {
      open(form)
      for (const name of ['reply', 'comment', 'reason', 'message']) {
        if (told[name] !== undefined && form.elements[name]) {
          form.elements[name].value = told[name]
        }
      }
      if (form.consent) {
        form.consent.checked = told.consent ?? false
      }
    }
  }
  setTimeout(focusAgain) // once what had the focus is hidden or gone
})
