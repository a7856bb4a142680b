"use strict";
// Sorting, filtering and pages for long tables. Without it all rows are there, the worst verdicts first.
for (const table of document.querySelectorAll("table[data-rows]")) {
  const body = table.tBodies[0], all = [...body.rows], size = Number(table.dataset.rows);
  const words = [...new Set(all.map(row => row.dataset.word).filter(Boolean))];
  let order = all, found = all, page = 0, text = "", word = "";

  const make = (tag, parent, properties) => parent.appendChild(Object.assign(document.createElement(tag), properties));
  const tools = document.createElement("div");
  tools.className = "tools";
  const label = (said) => make("label", tools, { textContent: said + " " });
  const button = (said, move) => {
    const made = make("button", tools, { type: "button", textContent: said });
    made.addEventListener("click", () => { page += move; show(); });
    return made;
  };
  const search = make("input", label("Find"), { type: "search" });
  search.addEventListener("input", () => { text = search.value.toLowerCase(); filter(); });
  if (words.length > 1) {
    const select = make("select", label("Verdict"), {});
    for (const one of ["", ...words]) make("option", select, { value: one, textContent: one || "all" });
    select.addEventListener("change", () => { word = select.value; filter(); });
  }
  const back = button("Previous", -1), on = button("Next", 1);
  const status = make("span", tools, {});
  status.setAttribute("role", "status");

  function show() {
    page = Math.max(0, Math.min(page, Math.ceil(found.length / size) - 1));
    const first = page * size, last = Math.min(first + size, found.length);
    body.replaceChildren(...found.slice(first, last));
    back.hidden = on.hidden = found.length <= size;
    back.disabled = page === 0;
    on.disabled = last === found.length;
    status.textContent = found.length ? `${first + 1} to ${last} of ${found.length}` : "nothing found";
  }
  function filter() {
    found = order.filter(row => (!word || row.dataset.word === word) &&
      (!text || row.textContent.toLowerCase().includes(text)));
    page = 0;
    show();
  }
  const value = (row, column) => {
    const cell = row.cells[column], told = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(told);
    return told === "" || told === "-" ? null : Number.isNaN(number) ? told.toLowerCase() : number;
  };
  const compare = (a, b) => a === null ? (b === null ? 0 : 1) : b === null ? -1 :
    typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const sort = document.createElement("button");
    sort.type = "button";
    sort.append(...head.childNodes);
    head.append(sort);
    sort.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const keyed = all.map(row => [value(row, column), row]);
      // What has no value stays last, whichever way.
      keyed.sort((a, b) => a[0] === null || b[0] === null ? compare(a[0], b[0]) : (up ? 1 : -1) * compare(a[0], b[0]));
      order = keyed.map(pair => pair[1]);
      filter();
    });
  });
  function go() {
    const id = location.hash.slice(1), row = id && all.find(one => one.id === id);
    if (!row) return;
    let place = found.indexOf(row);
    if (place < 0) {
      found = order;
      place = found.indexOf(row);
    }
    page = Math.floor(place / size);
    show();
    row.scrollIntoView({ block: "center" });
  }
  if (all.length > 1) table.parentElement.before(tools);
  show();
  window.addEventListener("hashchange", go);
  go();
}
