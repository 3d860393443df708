// A report that was opened is to be seen, however long the list of runs above it is.
new MutationObserver(() => element.querySelector('.report')?.scrollIntoView({block: 'start'})).observe(element, {childList: true, subtree: true})
