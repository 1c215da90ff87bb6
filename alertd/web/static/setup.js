"use strict";
// First contact: hints for the device at hand, and a test whose ticks appear by themselves when their proof comes.

(() => {
  const EVERY = 2000;
  const LONGEST = 15 * 60 * 1000;

  function showDevice() {
    const isApp = navigator.standalone === true || matchMedia("(display-mode: standalone)").matches;
    document.querySelector("[data-is-app]").hidden = !isApp;
    document.querySelector("[data-not-app]").hidden = isApp;
    // An iPad says that it is a Mac; no Mac can be touched.
    if (navigator.userAgent.includes("Macintosh") && navigator.maxTouchPoints > 1) {
      for (const each of document.querySelectorAll("[data-device]")) each.open = each.dataset.device === "iphone";
    }
    document.querySelector("[data-code]")?.focus();
  }

  function offerInstall(event) {
    event.preventDefault();
    const button = document.querySelector("[data-install]");
    button.hidden = false;
    button.addEventListener("click", () => event.prompt(), { once: true });
  }

  // A row is left alone until there is news of it; whoever stood in it stands in the new one.
  function renew(row, next) {
    if (row.dataset.state === next.dataset.state) return;
    const isFocused = row.contains(document.activeElement);
    row.replaceWith(next);
    if (isFocused) (next.querySelector("summary") || next).focus();
  }

  async function follow(tested, since) {
    if (tested.dataset.done === "True" || Date.now() - since > LONGEST) return;
    await new Promise((resolve) => setTimeout(resolve, EVERY));
    try {
      const answer = document.hidden ? null : await fetch(location.href, { redirect: "manual", cache: "no-store" });
      if (answer?.ok) {
        const fresh = parseFragment(await answer.text()).querySelector("[data-tested]");
        for (const next of fresh.querySelectorAll("[data-key]")) renew(tested.querySelector(`[data-key="${next.dataset.key}"]`), next);
        const [head, next] = [tested, fresh].map((each) => each.querySelector(".tested-head"));
        if (head.textContent !== next.textContent) head.textContent = next.textContent;
        tested.querySelector("[data-still]").replaceChildren(...fresh.querySelector("[data-still]").childNodes);
        tested.dataset.done = fresh.dataset.done;
      }
    } catch {
      // Without a line nothing changes here; the next round asks again.
    }
    follow(tested, since);
  }

  addEventListener("beforeinstallprompt", offerInstall);
  showDevice();
  const tested = document.querySelector("[data-tested]");
  if (tested) follow(tested, Date.now());
})();
