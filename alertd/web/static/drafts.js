"use strict";
// Keeps what is being written in this browser, for this person, until the server says that it was posted: an ended
// session, the back button or a crash lose nothing. Each form has a key of its own, so that two tabs do not mix.
// On the page with the way out it forgets everything of that person.

(() => {
  const DAYS = 7 * 24 * 3600 * 1000;
  const MOST = 10;
  const WAIT = 300; // milliseconds
  const PREFIX = `alertd-draft:${document.currentScript.dataset.person}:`;
  const form = document.getElementById("post");
  const section = document.querySelector("[data-drafts]");
  const out = document.querySelector("form[data-forget-drafts]");
  let timer = null;

  function drafts() {
    const found = [];
    try {
      for (const name of Object.keys(localStorage)) {
        if (!name.startsWith(PREFIX)) continue;
        const draft = JSON.parse(localStorage.getItem(name));
        found.push({ name, key: name.slice(PREFIX.length), ...draft });
      }
    } catch {
      // Storage is closed to us, or full of something else: then nothing is kept, and nothing is broken.
    }
    return found.sort((one, other) => other.at - one.at);
  }

  function forget(name) {
    try {
      localStorage.removeItem(name);
    } catch {
      // As above.
    }
  }

  function ownFields() {
    return [...new FormData(form)].filter(([name]) => name !== "csrf" && name !== "expires");
  }

  function keep() {
    clearTimeout(timer);
    timer = null;
    const fields = ownFields();
    const value = (wanted) => fields.find(([name]) => name === wanted)?.[1] ?? "";
    const isTyped = fields.some(([name, text]) => text.trim() && (/^(title|body|people|question|choices)$/.test(name) || name.startsWith("fill-")));
    if (!isTyped) return forget(PREFIX + value("key"));
    const draft = { at: Date.now(), title: value("title"), kind: value("kind"), fields };
    try {
      localStorage.setItem(PREFIX + value("key"), JSON.stringify(draft));
    } catch {
      // As above.
    }
  }

  function resume(draft) {
    const again = document.createElement("form");
    again.method = "post";
    again.action = "/posts/new";
    const csrf = document.querySelector("meta[name=csrf]").content;
    for (const [name, value] of [...draft.fields, ["csrf", csrf], ["step", "edit"]]) {
      const field = document.createElement("textarea"); // an input would lose line breaks
      field.name = name;
      field.value = value;
      again.append(field);
    }
    again.hidden = true;
    document.body.append(again);
    again.submit();
  }

  function headline(draft) {
    const fills = new Map(draft.fields.filter(([name]) => name.startsWith("fill-")));
    return draft.title.replace(/\{([^{}\n]{1,40})\}/g, (field, name) => fills.get(`fill-${name}`)?.trim() || field);
  }

  function offer(draft) {
    const entry = section.querySelector("template").content.firstElementChild.cloneNode(true);
    const at = entry.querySelector("[data-at]");
    const time = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
    entry.querySelector("[data-title]").textContent = headline(draft) || "…";
    at.textContent = at.dataset.words.replace("{time}", time.format(draft.at));
    const mark = entry.querySelector(`[data-kind-${draft.kind}]`);
    if (mark) mark.hidden = false;
    entry.querySelector("[data-resume]").addEventListener("click", () => resume(draft));
    entry.querySelector("[data-drop]").addEventListener("click", () => {
      forget(draft.name);
      entry.remove();
      section.hidden = !section.querySelector("li");
    });
    section.querySelector("ul").append(entry);
    section.hidden = false;
  }

  async function posted(keys) {
    const query = new URLSearchParams(keys.map((key) => ["key", key]));
    const answer = await fetch(`/posts/new/posted?${query}`, { redirect: "error", cache: "no-store" });
    return answer.ok ? (await answer.json()).posted : [];
  }

  async function offerAll() {
    let waiting = drafts();
    if (!waiting.length) return;
    const done = await posted(waiting.slice(0, MOST).map((draft) => draft.key)).catch(() => []);
    for (const draft of waiting) {
      const isOld = Date.now() - draft.at > DAYS;
      if (isOld || done.includes(draft.key) || waiting.indexOf(draft) >= MOST) forget(draft.name);
    }
    const own = form?.elements.key?.value;
    waiting = drafts().filter((draft) => draft.key !== own && /^(board|drill|real)?$/.test(draft.kind));
    waiting.forEach(offer);
  }

  if (out) {
    out.addEventListener("submit", () => drafts().forEach((draft) => forget(draft.name)));
    return;
  }
  if (form) {
    form.addEventListener("input", () => { timer ??= setTimeout(keep, WAIT); });
    form.addEventListener("change", () => { timer ??= setTimeout(keep, WAIT); });
    window.addEventListener("pagehide", () => { if (timer !== null) keep(); });
    form.addEventListener("submit", keep);
  }
  offerAll();
})();
