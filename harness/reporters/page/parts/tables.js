"use strict";
// Sort and filter the tables of results. Without this script they stand as they were reported.
(() => {
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  // The value of a cell: a number, a text, or null for none; the page gives each number beside its text.
  function valueOf(row, column, isNumber) {
    const cell = row.cells[column];
    if (isNumber) return cell.dataset.key === undefined ? null : Number(cell.dataset.key);
    return ["", "—"].includes(cell.textContent) ? null : cell.textContent;
  }

  // What has no value comes last, whatever the direction; equal rows keep the order of the report.
  function sorted(rows, column, isNumber, direction) {
    const sign = direction === "descending" ? -1 : 1;
    const keyed = rows.map((row) => ({ row, value: valueOf(row, column, isNumber) }));
    keyed.sort((a, b) => {
      if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
      return sign * (isNumber ? a.value - b.value : words.compare(a.value, b.value));
    });
    return keyed.map((one) => one.row);
  }

  function makeSortable(table, rows) {
    const headers = [...table.tHead.rows[0].cells];
    const next = { none: "ascending", ascending: "descending", descending: "none" };
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...header.childNodes);
      header.append(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const direction = next[header.getAttribute("aria-sort")];
        headers.forEach((other) => other.setAttribute("aria-sort", "none"));
        header.setAttribute("aria-sort", direction);
        const isNumber = header.classList.contains("number");
        table.tBodies[0].append(...(direction === "none" ? rows : sorted(rows, column, isNumber, direction)));
      });
    });
  }

  // A row is shown if it holds every word, in any of its cells.
  function makeFilter(section, rows) {
    const [box, input, count] = [".filter", "input", ".count"].map((name) => section.querySelector(name));
    const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
    const apply = () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row, i) => (row.hidden = !wanted.every((word) => texts[i].includes(word))));
      const shown = rows.filter((row) => !row.hidden && !row.matches("[class*=off-]"));
      count.textContent = `${shown.length} of ${rows.length} rows shown`;
    };
    input.addEventListener("input", apply);
    document.addEventListener("tabs", apply);
    box.hidden = false;
    apply();
  }

  for (const section of document.querySelectorAll(".results")) {
    const table = section.querySelector("table");
    const rows = [...table.tBodies[0].rows];
    makeSortable(table, rows);
    makeFilter(section, rows);
  }
})();
