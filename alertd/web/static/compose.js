"use strict";
// Shows the parts of the form that matter for what was chosen. Without this script all of them are shown.

(() => {
  const form = document.getElementById("post");

  function fit() {
    for (const part of form.querySelectorAll("[data-when]")) {
      const [name, value] = part.dataset.when.split("=");
      part.hidden = form.elements[name].value !== value;
    }
  }

  form.addEventListener("change", fit);
  // Coming back to the page, a browser fills the form in after this script has run.
  window.addEventListener("pageshow", fit);
  fit();
  document.querySelector("[data-first]")?.focus();
})();
