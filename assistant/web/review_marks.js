(...told) => { // what is ticked at this very moment goes with the decision
  const boxes = (what) => [...document.querySelectorAll(`[data-mark=${what}]:checked`)]
  const ticked = (what) => boxes(what).map((box) => box.value)
  const change = boxes('change').map((box) => [box.value, box.closest('.known').querySelector('textarea').value])
  const marks = {retire: ticked('retire'), change: Object.fromEntries(change), wordings: ticked('wording'), unwatch: ticked('unwatch')}
  return [...told.slice(0, 5), JSON.stringify(marks)]
}
