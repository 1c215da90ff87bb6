"use strict";
// Says that a form is on its way, so that nobody presses twice; it would be harmless if they did.

(() => {
  const forms = document.querySelectorAll("form[data-once]");
  const label = new Map();

  function send(event) {
    if (event.submitter?.value !== "send") return;
    // One of them is enough: two forms of a page that both went out would contradict each other.
    if ([...forms].some((form) => form.dataset.sent)) {
      event.preventDefault();
      return;
    }
    const form = event.target;
    form.dataset.sent = "yes";
    label.set(event.submitter, event.submitter.textContent);
    event.submitter.textContent = form.dataset.once;
    event.submitter.setAttribute("aria-busy", "true");
  }

  for (const form of forms) form.addEventListener("submit", send);

  window.addEventListener("pageshow", () => {
    for (const form of forms) delete form.dataset.sent;
    for (const [button, text] of label) {
      button.textContent = text;
      button.removeAttribute("aria-busy");
    }
  });
})();
