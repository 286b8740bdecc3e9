"use strict";
// Show one IPC, one student, one axis. Without this script everything is shown.
(() => {
  function show(name, value) {
    for (const part of document.querySelectorAll(`[data-${name}]`)) {
      part.classList.toggle(`off-${name}`, value !== "" && part.dataset[name] !== value);
    }
    document.dispatchEvent(new Event("tabs"));
  }

  for (const group of document.querySelectorAll("[data-tabs]")) {
    const name = group.dataset.tabs;
    group.hidden = false;
    group.parentElement.hidden = false;
    group.addEventListener("change", (event) => show(name, event.target.value));
    const first = group.querySelector("input");
    first.checked = true; // a browser may keep another choice over a reload
    show(name, first.value);
  }
})();
