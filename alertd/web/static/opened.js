"use strict";
// Says that a person looks at this page. Programs fetch links too, and some run scripts: only a touch, a key or a scroll
// of a person's own, or two seconds in front of their eyes, counts.

(() => {
  const SECONDS_SEEN = 2;
  const signs = ["pointerdown", "keydown", "touchmove", "wheel"];
  let seen = 0;

  function stop() {
    clearInterval(timer);
    for (const sign of signs) removeEventListener(sign, onSign);
  }

  function say() {
    stop();
    const path = `${location.pathname.replace(/\/$/, "")}/opened`;
    fetch(path, { method: "POST", keepalive: true, cache: "no-store" }).catch(() => {
      // Not said: nothing is claimed without it.
    });
  }

  function onSign(event) {
    if (event.isTrusted) say();
  }

  function look() {
    seen = document.visibilityState === "visible" && document.hasFocus() ? seen + 1 : 0;
    if (seen >= SECONDS_SEEN) say();
  }

  if (navigator.webdriver) return;
  for (const sign of signs) addEventListener(sign, onSign, { passive: true });
  const timer = setInterval(look, 1000);
})();
