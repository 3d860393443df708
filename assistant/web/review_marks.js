(...told) => { // what is ticked at this very moment goes with the decision
  const ticked = (what) => [...document.querySelectorAll(`[data-mark=${what}]:checked`)]
  const change = ticked('change').map((box) => [box.value, box.closest('.known').querySelector('textarea').value])
  const marks = {retire: ticked('retire').map((box) => box.value), change: Object.fromEntries(change), wordings: ticked('wording').map((box) => box.value)}
  return [...told.slice(0, 5), JSON.stringify(marks)]
}
