"use strict";
// Answers over a bad line: the page stays, says in words whether the server has the answer, and tries again until it
// has. Only what the server itself then shows counts as received. Without this script the form works as any form.

(() => {
  const WAITS = [1000, 2000, 4000, 8000, 15000];

  async function send(form, body) {
    const control = new AbortController();
    const limit = setTimeout(() => control.abort(), 15000);
    try {
      const answer = await fetch(form.getAttribute("action"), { method: "POST", body, cache: "no-store", signal: control.signal });
      return { answer, html: await answer.text() };
    } finally {
      clearTimeout(limit);
    }
  }

  function arrive(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const main = fresh.querySelector("main");
    document.querySelector("main").replaceWith(main);
    document.title = fresh.title;
    const told = main.querySelector(".fault, .kept");
    if (told) {
      told.tabIndex = -1;
      told.focus();
      told.scrollIntoView({ block: "center" });
    }
  }

  // The whole page is live on /me: only the alert that was answered is replaced there.
  function arriveInPlace(form, html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const article = form.closest("[data-key]");
    const next = fresh.getElementById(article.id);
    if (!next) return location.reload();
    article.replaceWith(next);
    next.focus();
    return next.scrollIntoView({ block: "nearest" });
  }

  const wishes = new WeakMap(); // form → what was pressed last: { body, button }
  const wakers = new WeakMap(); // form → ends the wait before the next try

  function say(form, kind, words) {
    const status = form.querySelector("[data-status]");
    status.className = `status ${kind}`;
    status.textContent = words;
  }

  function ask(form, button) {
    const body = new URLSearchParams(new FormData(form));
    if (button?.name) body.set(button.name, button.value);
    const isBusy = wishes.has(form);
    wishes.get(form)?.button?.classList.remove("pressed");
    wishes.set(form, { body, button });
    button?.classList.add("pressed");
    // Whoever presses another button while the first answer is still on its way means the other one.
    if (isBusy) wakers.get(form)?.();
    else answer(form);
  }

  function fail(form, words) {
    wishes.get(form).button?.classList.remove("pressed");
    wishes.delete(form);
    form.removeAttribute("aria-busy");
    say(form, "failed", words);
  }

  function pause(form, round) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, WAITS[Math.min(round, WAITS.length - 1)]);
      const wake = () => { clearTimeout(timer); resolve(); };
      wakers.set(form, wake);
      window.addEventListener("online", wake, { once: true });
    });
  }

  async function answer(form) {
    form.setAttribute("aria-busy", "true");
    say(form, "", form.dataset.sending);
    for (let round = 0; ; round += 1) {
      const wish = wishes.get(form);
      try {
        const { answer, html } = await send(form, wish.body);
        if (answer.ok || answer.status === 422) {
          if (new URL(answer.url).pathname.startsWith("/sign-in")) return fail(form, form.dataset.signIn);
          if (wishes.get(form) !== wish) continue;
          return form.closest("[data-key]") ? arriveInPlace(form, html) : arrive(html);
        }
        if (answer.status === 401) return fail(form, form.dataset.signIn);
        if (answer.status < 500 && answer.status !== 429) return fail(form, form.dataset.refused);
      } catch {
        // No line: said below, and tried again.
      }
      say(form, "wait", form.dataset.retry);
      await pause(form, round);
    }
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-answer]")) return;
    event.preventDefault();
    ask(event.target, event.submitter);
  });
})();
