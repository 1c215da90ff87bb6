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
      alert: form.dataset.alert,
      lang: document.documentElement.lang,
      action: form.getAttribute("action"),
      person: form.dataset.person || null,
      fields: [...pressed, ...new FormData(form)].map(([name, value]) => [name, String(value)]),
      title: form.dataset.title,
      label: button ? button.textContent.trim() : "",
      given: Date.now(),
      state: "waiting",
    };
  }

  function formOf(key) {
    return [...document.querySelectorAll("form[data-answer]")].find((each) => keyOf(each) === key);
  }

  // Said once: a screen reader would read it aloud at every further try.
  function say(form, kind, words) {
    const status = form.querySelector("[data-status]");
    status.className = `status ${kind}`;
    if (status.textContent !== words) status.textContent = words;
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
    pristine = letterIn(main);
    const told = main.querySelector(".fault, .kept");
    if (told) standOn(told, "center");
  }

  function standOn(item, block) {
    item.tabIndex = -1;
    item.focus();
    item.scrollIntoView({ block });
  }

  // Several alerts may stand on one's own page: only the one that was answered is replaced there.
  function arriveInPlace(form, html) {
    const { id } = form.closest("[data-key]");
    const next = parse(html).getElementById(id);
    if (!next) return location.reload();
    document.getElementById(id).replaceWith(next);
    return standOn(next.querySelector(".kept") || next, "nearest");
  }

  // What the worker keeps is to say so, too: the list, or the page behind the link.
  async function renewKept(isOwn, isFetched) {
    const kept = isOwn ? "/me" : location.pathname;
    const isTold = isFetched && kept === location.pathname;
    if (!isTold && await self.caches?.match(kept)) fetch(kept, { redirect: "manual" }).catch(() => {});
  }

  // The server has it: now it shows so itself, unless another answer was given while its page was on the way. Throws
  // without a line.
  async function showKept(form, html, isOutdated = () => false) {
    const isOwn = Boolean(form.dataset.person);
    const isFetched = isOwn || !html;
    const page = isFetched ? await show(location.pathname) : html;
    if (isOutdated()) return false;
    if (isOwn) arriveInPlace(form, page);
    else arrive(page);
    renewKept(isOwn, isFetched).catch(() => {}); // it says itself as of when it is
    return true;
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
      const { said } = working.get(key);
      try {
        const { state, html, entry, status } = await Outbox.send(key, form.dataset.person ? undefined : "text/html");
        const later = await Outbox.get(key);
        if (later && later.id !== entry?.id) continue;
        if (state === "kept") words = () => form.dataset.kept;
        if (state === "kept" || state === "gone") {
          if (await showKept(form, html, () => working.get(key).said !== said)) return undefined;
          continue;
        }
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
    const said = JSON.stringify(entry.fields);
    const busy = working.get(entry.key);
    // Who taps twice means it once; who presses another button while the first answer is on its way means that one.
    if (busy?.said === said) return busy.wake?.();
    const work = busy ?? {};
    work.said = said;
    working.set(entry.key, work);
    const isKept = await Outbox.put(entry);
    press(form, entry.label);
    if (busy && working.get(entry.key) === busy) return busy.wake?.();
    // Whoever was sending has come to an end meanwhile, and has put another form in the place of this one.
    working.set(entry.key, work);
    if (!form.isConnected) form = formOf(entry.key) ?? form;
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
        const form = formOf(entry.key);
        if (!form || working.has(entry.key)) return;
        if (state === "kept") await showKept(form);
        else if (state === "refused") say(form, "failed", form.dataset.refused);
        else saySignedOut(form);
      });
    } catch {
      // No line: they stay, and their words say so.
    }
  }

  // A page behind a link that was left open does not follow what happens: whoever comes back to it is shown what is
  // true now, or told that nobody can say. What is being written is taken along.
  async function renewLetter() {
    if (!pristine || working.size || document.hidden) return;
    const answer = await fetch(location.pathname, { cache: "no-store", redirect: "manual" }).catch(() => null);
    if (!answer || answer.status >= 500) document.documentElement.dataset.kept = "";
    if (!answer?.ok) return;
    const html = await answer.text();
    if (working.size) return;
    const fresh = parse(html).querySelector("main");
    delete document.documentElement.dataset.kept;
    document.querySelector(".if-kept").replaceWith(fresh.querySelector(".if-kept"));
    if (letterIn(fresh) === pristine) return;
    const typed = document.querySelector("textarea[name=comment]")?.value;
    arrive(html);
    const box = document.querySelector("textarea[name=comment]");
    if (!typed || !box) return;
    box.value = typed;
    box.closest("details.comment").open = true;
  }

  function letterIn(main) {
    return main.querySelector("[data-letter]")?.outerHTML;
  }

  let pristine = letterIn(document);
  for (const sign of ["online", "offline"]) addEventListener(sign, renewLetter);
  document.addEventListener("visibilitychange", renewLetter);
  navigator.serviceWorker?.addEventListener("message", renewLetter);
  addEventListener("pageshow", (event) => { if (event.persisted) renewLetter(); });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-answer]")) return;
    event.preventDefault();
    answer(event.target, event.submitter);
  });
  addEventListener("online", takeUp);
  addEventListener("pageshow", takeUp);
  document.addEventListener("live", takeUp);
})();
