"use strict";
// Asks, a moment after the last key, whom the post reaches and what it will look like; one question at a time.

(() => {
  const form = document.getElementById("post");
  const counter = document.querySelector("[data-count]");
  const kept = document.querySelector("[data-kept]");
  const aside = document.querySelector("[data-preview]");
  const shown = aside?.querySelector("[data-shown]");
  const WAIT = 600; // milliseconds
  let timer = null;
  let isAsking = false;
  let isStale = false;
  let last = "";

  function plain(html) {
    return new DOMParser().parseFromString(html, "text/html").body;
  }

  async function ask() {
    if (isAsking) {
      isStale = true;
      return;
    }
    const fields = new URLSearchParams(new FormData(form));
    if (fields.toString() === last) return;
    isAsking = true;
    isStale = false;
    shown?.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch("/posts/preview", { method: "POST", body: fields, redirect: "manual" });
      if (!answer.ok) throw new Error(String(answer.status));
      const { people, html } = await answer.json();
      const count = plain(people).textContent.trim();
      counter.textContent = count && counter.dataset.words.replace("{people}", count);
      shown?.replaceChildren(...plain(html).childNodes);
      last = fields.toString();
      kept.hidden = true;
    } catch {
      counter.textContent = "";
      kept.hidden = false;
    } finally {
      isAsking = false;
      shown?.setAttribute("aria-busy", "false");
    }
    if (isStale) later();
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT);
  }

  if (aside) {
    aside.hidden = false;
    aside.querySelector("details").open = matchMedia("(min-width: 64rem)").matches;
  }
  form.addEventListener("input", later);
  form.addEventListener("change", later);
  window.addEventListener("pageshow", later);
  later();
})();
