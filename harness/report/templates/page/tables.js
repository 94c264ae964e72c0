// Tables: sorted by a press on a head, with a toolbar to filter, copy and save them; stacked rows on a narrow screen.
(() => {
  "use strict";
  const tables = [...document.querySelectorAll("table.sortable")];
  const narrow = matchMedia("(max-width: 640px)");
  const heads = table => [...table.tHead.rows[0].cells];
  const rowsOf = table => [...table.tBodies[0].rows];
  const isShown = row => !row.hidden && !row.classList.contains("unmatched");

  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function compare(a, b, numeric, sign) {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return sign * (numeric ? Number(a) - Number(b) : a.localeCompare(b));
  }

  function sort(table, column, rising) {
    const head = heads(table)[column];
    for (const other of heads(table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const numeric = head.classList.contains("number");
    const key = row => row.cells[column].dataset.sort;
    const sorted = rowsOf(table).sort((a, b) => compare(key(a), key(b), numeric, rising ? 1 : -1));
    table.tBodies[0].append(...sorted);
  }

  // What a table shows as texts: the main text of a cell and its note in brackets; a dash is an empty text.
  function shownText(cell) {
    const parts = [...cell.childNodes].filter(node => !node.classList?.contains("unseen"));
    const [main, notes] = [node => node.tagName !== "SMALL", node => node.tagName === "SMALL"].map(kind =>
      parts.filter(kind).map(node => node.textContent.trim().replace(/\s+/g, " ")).filter(Boolean).join(" "));
    if (cell.classList.contains("missing")) return notes;
    return notes ? `${main} (${notes})` : main;
  }

  const isNumber = text => text !== "" && Number.isFinite(Number(text));
  const numberOf = cell => (isNumber(cell.dataset.sort ?? "") ? cell.dataset.sort : "");
  const formula = /^[\s\x00-\x20]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]/;
  const inert = text => (formula.test(text) && !isNumber(text) ? `'${text}` : text);

  // The columns of the file: numbers as they are, and beside them what the page shows if that says more.
  function columnsOf(table, rows) {
    return heads(table).flatMap((head, place) => {
      const title = head.textContent.trim();
      const shown = { title, text: row => shownText(row.cells[place]) };
      if (!head.classList.contains("number")) return [shown];
      const number = { title, text: row => numberOf(row.cells[place]) };
      const says = row => {
        const text = shown.text(row).replaceAll(",", "");
        return text !== "" && Number(text) !== Number(number.text(row) || NaN);
      };
      return rows.some(says) ? [number, { ...shown, title: `${title}, as shown` }] : [number];
    });
  }

  function csv(table) {
    const rows = rowsOf(table).filter(isShown);
    const columns = columnsOf(table, rows);
    const quoted = text => (isNumber(text) ? text : `"${inert(text).replaceAll('"', '""')}"`);
    const lines = [columns.map(column => column.title), ...rows.map(row => columns.map(column => column.text(row)))];
    return "\uFEFF" + lines.map(line => line.map(quoted).join(",") + "\r\n").join("");
  }

  function save(table) {
    const name = table.caption.textContent.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
    const href = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
    element("a", { href, download: `${name.slice(0, 80) || "table"}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
    return "Saved";
  }

  async function copy(table) {
    const rows = rowsOf(table).filter(isShown);
    const lines = [heads(table).map(head => head.textContent.trim()), ...rows.map(row => [...row.cells].map(shownText))];
    await navigator.clipboard.writeText(lines.map(line => line.map(inert).join("\t")).join("\n"));
    return `${rows.length} ${rows.length === 1 ? "row" : "rows"} copied`;
  }

  function rowFilter(table, status) {
    const rows = rowsOf(table);
    let texts;
    const input = element("input", { type: "search", placeholder: "Filter rows" });
    input.setAttribute("aria-label", `Filter rows: ${table.caption.textContent}`);
    input.addEventListener("input", () => {
      texts ??= rows.map(row => row.textContent.toLowerCase());
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = texts.map(text => words.every(word => text.includes(word)));
      rows.forEach((row, place) => row.classList.toggle("unmatched", !fits[place]));
      status.textContent = words.length ? `${fits.filter(Boolean).length} of ${rows.length} rows` : "";
    });
    return input;
  }

  function reasons(table) {
    const button = element("button", { type: "button", textContent: "Reasons", title: "Say why values are missing" });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(table.classList.toggle("explained")));
    });
    return button;
  }

  // Where rows are stacked there are no heads to press.
  function sortChoice(table) {
    const options = heads(table).flatMap((head, column) => {
      const title = head.textContent.trim();
      return [[`${title}, rising`, `${column} up`], [`${title}, falling`, `${column} down`]];
    });
    const select = element("select", {}, element("option", { value: "", textContent: "Sort" }));
    select.append(...options.map(([textContent, value]) => element("option", { textContent, value })));
    select.setAttribute("aria-label", `Sort rows: ${table.caption.textContent}`);
    select.addEventListener("change", () => {
      const [column, way] = select.value.split(" ");
      if (way) sort(table, Number(column), way === "up");
    });
    return select;
  }

  function action(table, textContent, title, act, status) {
    const button = element("button", { type: "button", textContent, title });
    button.setAttribute("aria-label", `${textContent}: ${table.caption.textContent}`);
    button.addEventListener("click", async () => {
      try {
        status.textContent = await act(table);
      } catch {
        status.textContent = "The browser does not allow this";
      }
    });
    return button;
  }

  function toolbar(table) {
    const status = element("output", {});
    const bar = element("div", { className: "toolbar" });
    if (rowsOf(table).length >= 8) bar.append(rowFilter(table, status));
    bar.append(status);
    if (rowsOf(table).length > 1) bar.append(sortChoice(table));
    if (table.querySelector("td.missing .unseen")) bar.append(reasons(table));
    bar.append(action(table, "Copy", "Copy the rows, for a spreadsheet", copy, status));
    bar.append(action(table, "CSV", "Save the rows as a CSV file", save, status));
    return bar;
  }

  // Stacked rows show the title of the column above each value: the style sheet reads it from a property of the table.
  let labelled = false;
  function label() {
    if (labelled || !narrow.matches) return;
    labelled = true;
    const most = Math.max(0, ...tables.map(table => heads(table).length));
    const rule = place => `.stacked td:nth-child(${place})::before { content: var(--column-${place}); }`;
    const places = Array.from({ length: most }, (_, place) => place + 1);
    document.head.append(element("style", { textContent: `@media ${narrow.media} { ${places.map(rule).join("\n")} }` }));
    for (const table of tables) {
      heads(table).forEach((head, place) => {
        const text = head.textContent.trim().replace(/[^ \p{L}\p{N}]/gu, sign => `\\${sign.codePointAt(0).toString(16)} `);
        table.style.setProperty(`--column-${place + 1}`, `"${text}"`);
      });
      table.classList.add("stacked");
    }
  }

  for (const table of tables) {
    table.closest(".scroll").before(toolbar(table));
    heads(table).forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      sort(table, column, head.getAttribute("aria-sort") !== "ascending");
    }));
  }
  label();
  narrow.addEventListener("change", label);
  document.addEventListener("click", event => event.target.closest?.("td.missing")?.classList.toggle("open"));
})();
