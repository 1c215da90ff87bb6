"use strict";
// People by name: what is typed is looked up, and whoever is picked becomes a chip. Without this script the field for
// IDs, which is what is sent, stays as it is.

(() => {
  const part = document.querySelector("[data-audience]");
  const ids = document.getElementById("people");
  const chips = part.querySelector("[data-chips]");
  const found = part.querySelector("[data-found]");
  const note = part.querySelector("[data-found-note]");
  const input = document.getElementById("find");
  const WAIT = 250; // milliseconds after the last key
  let timer = null;
  let asking = null;

  function say(pattern, name) {
    return pattern.replace("{name}", name);
  }

  function write() {
    ids.value = [...chips.children].map((chip) => chip.dataset.id).join("\n");
    ids.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function dress(chip, name) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = `${name} ×`;
    button.setAttribute("aria-label", say(part.dataset.remove, name));
    button.addEventListener("click", () => {
      chip.remove();
      write();
      input.focus();
    });
    chip.replaceChildren(button);
  }

  function add(person) {
    if (![...chips.children].some((chip) => chip.dataset.id === person.id)) {
      const chip = document.createElement("li");
      chip.dataset.id = person.id;
      dress(chip, person.name);
      chips.append(chip);
      write();
    }
    input.value = "";
    show([]);
    input.focus();
  }

  function show(people) {
    found.replaceChildren(...people.map((person) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      button.textContent = person.name === person.id ? person.name : `${person.name} (${person.id})`;
      button.setAttribute("aria-label", `${say(part.dataset.add, person.name)} (${person.id})`);
      button.addEventListener("click", () => add(person));
      const entry = document.createElement("li");
      entry.append(button);
      return entry;
    }));
    note.textContent = "";
  }

  async function look() {
    const words = input.value.trim();
    asking?.abort();
    if (!words) return show([]);
    asking = new AbortController();
    try {
      const query = new URLSearchParams({ q: words });
      const answer = await fetch(`/posts/new/people?${query}`, { signal: asking.signal, redirect: "error", cache: "no-store" });
      if (!answer.ok) return;
      const { people } = await answer.json();
      show(people);
      if (!people.length) note.textContent = part.dataset.none;
    } catch {
      // Broken off by the next key, or no connection: the form says so itself.
    }
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, WAIT);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    // Enter picks the first, and must not send the form.
    event.preventDefault();
    found.querySelector("button")?.click();
  });
  for (const chip of chips.children) dress(chip, chip.textContent);
  part.querySelector("[data-ids]").hidden = true;
  part.querySelector("[data-finder]").hidden = false;
})();
