"use strict";
// Brings lists up to date without taking anything out of somebody's hands: items are matched by data-key, what is
// being used (typed into, unfolded, or sending) stays as it is, and nothing slides away under a finger.

function isUsed(item) {
  const focused = document.activeElement;
  const isTyped = item.contains(focused) && focused.matches("input, select, textarea, summary");
  return isTyped || item.querySelector("details[open], [aria-busy=true]") !== null;
}

// Whoever stands on something that still says the same stands on it afterwards; otherwise on the item as a whole, so
// that no key presses what took its place.
function replaceItem(item, fresh) {
  const spots = "a[href], button";
  const focused = document.activeElement;
  const hasFocus = item.contains(focused);
  const place = [...item.querySelectorAll(spots)].indexOf(focused);
  item.replaceWith(fresh);
  if (!hasFocus) return;
  const same = place < 0 ? null : fresh.querySelectorAll(spots)[place];
  const next = same && same.textContent === focused.textContent ? same : fresh;
  if (next === fresh) fresh.tabIndex = -1;
  next.focus({ preventScroll: true });
}

function dropItem(list, item) {
  if (isUsed(item) || list.matches(":hover")) {
    if (!item.classList.contains("gone")) {
      item.classList.add("gone");
      if (list.dataset.gone) {
        const note = document.createElement("p");
        note.className = "gone-note";
        note.textContent = list.dataset.gone;
        item.append(note);
      }
    }
    return;
  }
  item.remove();
}

// Makes `list` hold what `fresh` holds, in its order.
function refreshList(list, fresh) {
  const wanted = new Map([...fresh.children].filter((item) => item.dataset.key).map((item) => [item.dataset.key, item]));
  const present = new Map();
  for (const item of [...list.children]) {
    if (item.dataset.key && wanted.has(item.dataset.key)) present.set(item.dataset.key, item);
    else if (item.dataset.key) dropItem(list, item);
    else item.remove();
  }
  let previous = null;
  for (const item of [...fresh.children]) {
    let placed = present.get(item.dataset.key);
    if (!placed) {
      placed = item;
    } else if (placed.outerHTML !== item.outerHTML && !isUsed(placed)) {
      replaceItem(placed, item);
      placed = item;
    }
    let next = previous ? previous.nextElementSibling : list.firstElementChild;
    while (next && next !== placed && next.classList.contains("gone")) next = next.nextElementSibling;
    // Moving an element takes the focus away from it, so it is moved only when it stands elsewhere.
    if (placed !== next) list.insertBefore(placed, next);
    previous = placed;
  }
}

function parseFragment(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}
