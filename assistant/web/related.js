// What else is known: tells the page what shall be retired with an approval.
element.addEventListener('change', () => {
  trigger('mark', {ids: [...element.querySelectorAll('[data-do=mark]:checked')].map((box) => box.value)})
})
