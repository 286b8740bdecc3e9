"use strict";
// Dark or light: as the system says, until the reader presses the button; kept for the next page where a browser allows.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  try {
    const kept = localStorage.getItem("harness-theme");
    if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  } catch {
    // A browser may refuse storage to a file; the system's choice holds then.
  }

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("harness-theme", root.dataset.theme);
      } catch {
        // As above: the choice holds for this page.
      }
      show();
    });
    dark.addEventListener("change", show);
    show();
  });
})();
