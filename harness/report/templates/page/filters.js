// Filters of the whole page. Rows, curves and cards carry their facets; the address keeps what was chosen.
(() => {
  "use strict";
  const TITLES = { task: "Task", method: "Method", sampler: "Sampler", group: "Group", protocol: "Protocol" };
  const ITEMS = ":is(tbody tr, .legend li:not(.sampler), .card, .failure):not(#answers *)"; // the answers stay as they are
  const LONG = 12;
  const main = document.querySelector("main");
  const items = [...main.querySelectorAll(ITEMS)];
  const parts = [...main.querySelectorAll(".part, section")].filter(part => part.querySelector(ITEMS)).reverse();
  const links = [...document.querySelectorAll(".contents li li a")];
  const rows = items.filter(item => item.tagName === "TR");
  if (!items.length) return;

  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  const search = element("input", { type: "search", placeholder: "Search the page" });
  const status = element("output", {});
  const clear = element("button", { type: "button", textContent: "Clear", className: "clear", hidden: true });
  const choices = element("details", { className: "choices" }, element("summary", { textContent: "Filters" }));
  search.setAttribute("aria-label", "Search the page");

  function valuesOf(facet) {
    const found = [...new Set(items.map(item => item.dataset[facet]).filter(value => value !== undefined))];
    return facet === "method" ? found.sort((a, b) => a.localeCompare(b)) : found;
  }

  function facetMenu(facet, values) {
    const boxes = values.map(value => element("input", { type: "checkbox", value }));
    const labels = boxes.map(box => element("label", {}, box, element("span", { textContent: box.value })));
    const summary = element("summary", { textContent: TITLES[facet] });
    const menu = element("fieldset", {}, element("legend", { className: "unseen", textContent: TITLES[facet] }));
    if (values.length > LONG) {
      const find = element("input", { type: "search", placeholder: `Find a ${facet}` });
      find.setAttribute("aria-label", `Find a ${facet}`);
      find.addEventListener("input", event => {
        event.stopPropagation();
        const word = find.value.toLowerCase();
        for (const label of labels) label.hidden = !label.textContent.toLowerCase().includes(word);
      });
      menu.append(find);
    }
    menu.append(...labels);
    const node = element("details", { className: "facet", name: "facet" }, summary, menu);
    node.addEventListener("keydown", event => {
      if (event.key !== "Escape") return;
      node.open = false;
      summary.focus();
    });
    return { facet, node, summary, boxes };
  }

  const menus = Object.keys(TITLES)
    .map(facet => [facet, valuesOf(facet)])
    .filter(([, values]) => values.length > 1)
    .map(([facet, values]) => facetMenu(facet, values));

  const chosenIn = menu => menu.boxes.filter(box => box.checked).map(box => box.value);
  const wordsOf = text => text.toLowerCase().split(/\s+/).filter(Boolean);

  const texts = new Map();
  function textOf(item) {
    if (!texts.has(item)) {
      const about = [item.closest("table")?.caption, item.closest("article")?.querySelector("h3"), item];
      const said = [...about.map(node => node?.textContent ?? ""), ...Object.values(item.dataset)];
      texts.set(item, said.join(" ").toLowerCase());
    }
    return texts.get(item);
  }

  function apply() {
    const chosen = menus.map(menu => [menu.facet, new Set(chosenIn(menu))]).filter(([, values]) => values.size);
    const words = wordsOf(search.value);
    const fits = (value, values) => value === undefined || values.has(value);
    const belongs = item => chosen.every(([facet, values]) => fits(item.dataset[facet], values));
    const says = item => !words.length || words.every(word => textOf(item).includes(word));
    for (const item of items) item.hidden = !(belongs(item) && says(item));
    for (const part of parts) {
      const empty = !part.querySelector(`${ITEMS}:not([hidden])`);
      if (part.tagName === "SECTION") part.classList.toggle("empty", empty);
      else part.hidden = empty;
    }
    for (const link of links) link.parentNode.hidden = !!document.getElementById(link.hash.slice(1))?.closest("[hidden]");
    for (const menu of menus) {
      const count = chosenIn(menu).length;
      menu.summary.textContent = count ? `${TITLES[menu.facet]}: ${count}` : TITLES[menu.facet];
      menu.node.classList.toggle("chosen", count > 0);
    }
    const active = chosen.length > 0 || words.length > 0;
    choices.firstChild.textContent = chosen.length ? `Filters: ${chosen.length}` : "Filters";
    status.textContent = active ? `${rows.filter(row => !row.hidden).length} of ${rows.length} rows` : "";
    clear.hidden = !active;
    dispatchEvent(new Event("filtered"));
  }

  const address = () => new URLSearchParams(location.search);

  function remember(write) {
    const query = address();
    for (const name of [...Object.keys(TITLES), "search"]) query.delete(name);
    for (const menu of menus) for (const value of chosenIn(menu)) query.append(menu.facet, value);
    if (search.value.trim()) query.set("search", search.value.trim());
    const text = query.size ? `?${query}` : location.pathname;
    history[write](null, "", text + location.hash);
  }

  function recall() {
    const query = address();
    for (const menu of menus) {
      const values = query.getAll(menu.facet);
      for (const box of menu.boxes) box.checked = values.includes(box.value);
    }
    search.value = query.get("search") ?? "";
  }

  let last = location.search;
  addEventListener("popstate", () => {
    if (location.search === last) return;
    last = location.search;
    recall();
    apply();
  });

  function change(write) {
    remember(write);
    last = location.search;
    apply();
  }

  const form = element("form", { className: "filters" }, search, choices, status, clear);
  form.setAttribute("role", "search");
  form.setAttribute("aria-label", "Filters of the page");
  choices.append(element("div", { className: "menus" }, ...menus.map(menu => menu.node)));
  choices.hidden = !menus.length;
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("change", event => { if (event.target.type === "checkbox") change("pushState"); });
  search.addEventListener("input", () => change("replaceState"));
  clear.addEventListener("click", () => {
    for (const box of menus.flatMap(menu => menu.boxes)) box.checked = false;
    search.value = "";
    change("pushState");
    search.focus();
  });
  document.addEventListener("click", event => {
    for (const menu of menus) if (!menu.node.contains(event.target)) menu.node.open = false;
  });

  const narrow = matchMedia("(max-width: 640px)");
  const fold = () => { choices.open = !narrow.matches; };
  fold();
  narrow.addEventListener("change", fold);

  for (const section of main.querySelectorAll("section")) {
    section.querySelector("h2")?.after(element("p", { className: "nothing", textContent: "Nothing matches the filters." }));
  }
  main.prepend(form);
  recall();
  if (menus.some(menu => chosenIn(menu).length) || search.value) apply();
})();
