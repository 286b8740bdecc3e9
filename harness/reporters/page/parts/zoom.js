"use strict";
// Open a picture in its full size on a click or tap. Without this script a browser's own zoom does it.
(() => {
  const dialog = document.getElementById("whole");
  const room = dialog?.querySelector("div");
  dialog?.querySelector("button").addEventListener("click", () => dialog.close());
  dialog?.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog?.addEventListener("close", () => room.replaceChildren());

  for (const image of document.querySelectorAll("figure img")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "open";
    button.setAttribute("aria-label", `Open in full size: ${image.alt}`);
    image.replaceWith(button);
    button.append(image);
    button.addEventListener("click", () => {
      room.replaceChildren(image.cloneNode());
      dialog.showModal();
    });
  }
})();
