"use strict";
// Answers over a bad line: the answer is kept on this device first, then sent until the server has it. The page says in
// words which of the two it is; only what the server itself then shows counts as received. Without this script the
// form works as any form.

(() => {
  const WAITS = [1000, 2000, 4000, 8000, 15000];
  const working = new Map(); // key of an answer → { said, wake }: what is being sent from here

  function keyOf(form) {
    return [form.dataset.person, form.getAttribute("action")].filter(Boolean).join(" ");
  }

  function entryOf(form, button) {
    const pressed = button?.name ? [[button.name, button.value]] : [];
    return {
      key: keyOf(form),
      id: Outbox.newId(),
      action: form.getAttribute("action"),
      person: form.dataset.person || null,
      fields: [...pressed, ...new FormData(form)].map(([name, value]) => [name, String(value)]),
      title: form.dataset.title,
      label: button ? button.textContent.trim() : "",
      given: Date.now(),
      state: "waiting",
    };
  }

  function say(form, kind, words) {
    const status = form.querySelector("[data-status]");
    status.className = `status ${kind}`;
    status.textContent = words;
  }

  function saySignedOut(form) {
    say(form, "failed", `${form.dataset.signIn} `);
    const link = document.createElement("a");
    link.className = "button";
    link.href = `/sign-in?next=${encodeURIComponent(location.pathname)}`;
    link.textContent = form.dataset.signInLabel;
    form.querySelector("[data-status]").append(link);
  }

  function press(form, label) {
    for (const button of form.querySelectorAll("button.big, button.cannot")) {
      button.classList.toggle("pressed", button.textContent.trim() === label);
    }
  }

  function parse(html) {
    return new DOMParser().parseFromString(html, "text/html");
  }

  async function show(path) {
    const answer = await fetch(path, { cache: "no-store", redirect: "manual" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.text();
  }

  function arrive(html) {
    const fresh = parse(html);
    const main = fresh.querySelector("main");
    document.querySelector("main").replaceWith(main);
    document.title = fresh.title;
    delete document.documentElement.dataset.kept;
    const told = main.querySelector(".fault, .kept");
    if (told) {
      told.tabIndex = -1;
      told.focus();
      told.scrollIntoView({ block: "center" });
    }
  }

  // Several alerts may stand on one's own page: only the one that was answered is replaced there.
  function arriveInPlace(form, html) {
    const article = form.closest("[data-key]");
    const next = parse(html).getElementById(article.id);
    if (!next) return location.reload();
    article.replaceWith(next);
    next.focus();
    return next.scrollIntoView({ block: "nearest" });
  }

  // The server has it: now it shows so itself. Throws without a line.
  async function showKept(form, html) {
    const isOwn = form.dataset.person;
    if (isOwn) arriveInPlace(form, await show(location.pathname));
    else arrive(html || await show(location.pathname));
    // What the worker keeps is to say so, too: the list, or the page behind the link.
    const kept = isOwn ? "/me" : location.pathname;
    const isTold = !html && kept === location.pathname;
    if (!isTold && await self.caches?.match(kept)) fetch(kept, { redirect: "manual" }).catch(() => {});
  }

  function pause(key, round) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, WAITS[Math.min(round, WAITS.length - 1)]);
      const wake = () => { clearTimeout(timer); resolve(); };
      working.get(key).wake = wake;
      window.addEventListener("online", wake, { once: true });
    });
  }

  async function sendUntilKept(form, words) {
    const key = keyOf(form);
    for (let round = 0; ; round += 1) {
      try {
        const { state, html, entry, status } = await Outbox.send(key, form.dataset.person ? undefined : "text/html");
        const later = await Outbox.get(key);
        if (later && later.id !== entry?.id) continue;
        if (state === "kept") words = () => form.dataset.kept;
        if (state === "kept" || state === "gone") return await showKept(form, html);
        if (state === "signed-out") return saySignedOut(form);
        if (status === 422 && !form.dataset.person) {
          await Outbox.settle(entry); // the page that comes says what is wrong, and still has what was written
          return arrive(html);
        }
        press(form, null);
        return say(form, "failed", form.dataset.refused);
      } catch {
        say(form, "wait", words());
        await pause(key, round);
      }
    }
  }

  async function answer(form, button) {
    const entry = entryOf(form, button);
    const busy = working.get(entry.key);
    // Who taps twice means it once; who presses another button while the first answer is on its way means that one.
    if (busy?.said === JSON.stringify(entry.fields)) return busy.wake?.();
    working.set(entry.key, { ...busy, said: JSON.stringify(entry.fields) });
    const isKept = await Outbox.put(entry);
    press(form, entry.label);
    if (busy) return busy.wake?.();
    form.setAttribute("aria-busy", "true");
    say(form, "", form.dataset.sending);
    let words = isKept ? form.dataset.open : form.dataset.retry;
    if (isKept) navigator.serviceWorker?.ready.then(Outbox.sendLater).then((will) => { if (will) words = form.dataset.later; });
    await sendUntilKept(form, () => words);
    working.delete(entry.key);
    return form.removeAttribute("aria-busy");
  }

  // What was answered before, here or in another tab, and has not arrived.
  async function takeUp() {
    for (const form of document.querySelectorAll("form[data-answer]")) {
      const entry = await Outbox.get(keyOf(form));
      if (!entry || working.has(entry.key)) continue;
      press(form, entry.label);
      say(form, "wait", entry.state === "refused" ? form.dataset.refused : form.dataset.open);
    }
    try {
      await Outbox.flush(async ({ state, entry }) => {
        // The notification still says that it waits.
        if (entry.notification) navigator.serviceWorker.controller?.postMessage({ entry, state });
        const form = [...document.querySelectorAll("form[data-answer]")].find((each) => keyOf(each) === entry.key);
        if (!form || working.has(entry.key)) return;
        if (state === "kept") await showKept(form);
        else if (state === "refused") say(form, "failed", form.dataset.refused);
        else saySignedOut(form);
      });
    } catch {
      // No line: they stay, and their words say so.
    }
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-answer]")) return;
    event.preventDefault();
    answer(event.target, event.submitter);
  });
  addEventListener("online", takeUp);
  addEventListener("pageshow", takeUp);
  document.addEventListener("live", takeUp);
})();
