"use strict";
// Says that a form is on its way, so that nobody presses twice; it would be harmless if they did.

(() => {
  const form = document.querySelector("form[data-once]");
  const label = new Map();

  form.addEventListener("submit", (event) => {
    if (event.submitter?.value !== "send") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    label.set(event.submitter, event.submitter.textContent);
    event.submitter.textContent = form.dataset.once;
    event.submitter.setAttribute("aria-busy", "true");
  });

  window.addEventListener("pageshow", () => {
    delete form.dataset.sent;
    for (const [button, text] of label) {
      button.textContent = text;
      button.removeAttribute("aria-busy");
    }
  });
})();
