// The reply on its way: the page stays at its end, unless somebody has scrolled up to read.
const view = document.querySelector('#main')
let follows = true
let wasEmpty = true
view.addEventListener('scroll', () => {
  follows = view.scrollHeight - view.scrollTop - view.clientHeight < 80
})
watch('value', () => {
  const isEmpty = !element.querySelector('.turn')
  follows ||= wasEmpty && !isEmpty
  wasEmpty = isEmpty
  if (follows) {
    view.scrollTop = view.scrollHeight
  }
})
