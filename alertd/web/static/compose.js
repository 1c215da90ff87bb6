"use strict";
// Shows the parts of the form that matter for what was chosen, and how a template reads with its fields filled in.
// Without this script all parts are shown, and the server fills the fields in.

(() => {
  const form = document.getElementById("post");
  const reads = document.querySelector("[data-reads]");

  function fit() {
    for (const part of form.querySelectorAll("[data-when]")) {
      const [name, value] = part.dataset.when.split("=");
      part.hidden = form.elements[name].value !== value;
    }
  }

  function readOut() {
    if (!reads) return;
    const values = new Map([...form.querySelectorAll("[data-fill]")].map((field) => [field.dataset.fill, field.value.trim()]));
    for (const line of reads.querySelectorAll("[data-of]")) {
      const text = form.elements[line.dataset.of].value;
      // Every other piece is the name of a field.
      line.replaceChildren(...text.split(/\{([^{}\n]{1,40})\}/).map((piece, number) => {
        if (number % 2 === 0) return document.createTextNode(piece);
        const mark = document.createElement("mark");
        mark.textContent = values.get(piece) || piece;
        mark.className = values.get(piece) ? "filled" : "open";
        return mark;
      }));
    }
    reads.hidden = false;
  }

  function refresh() {
    fit();
    readOut();
  }

  form.addEventListener("change", fit);
  form.addEventListener("input", readOut);
  // Coming back to the page, a browser fills the form in after this script has run.
  window.addEventListener("pageshow", refresh);
  refresh();
  document.querySelector("[data-first]")?.focus();
})();
