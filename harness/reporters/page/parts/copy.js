"use strict";
// Copy a text that the page shows. Where a browser refuses, the text is selected, and the page says how to go on.
(() => {
  const said = document.getElementById("said");
  let timer = 0;

  function say(text) {
    clearTimeout(timer);
    said.textContent = text;
    timer = setTimeout(() => (said.textContent = ""), 6000);
  }

  function select(source) {
    source.closest("details").open = true; // what is not shown cannot be selected
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  async function copy(source, form) {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return say(`${form} copied`);
    } catch {
      select(source);
    }
    say(document.execCommand("copy") ? `${form} copied` : `${form} selected: press Ctrl+C or Cmd+C to copy it`);
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(document.getElementById(button.dataset.copy), button.dataset.form));
  }
})();
