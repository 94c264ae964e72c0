"use strict";
(() => {
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const touch = matchMedia("(hover: none)").matches;
  const narrow = matchMedia("(max-width: 640px)");
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: touch ? false : "hover",
    modeBarButtons: [["toImage", "resetScale2d"]],
  };
  const faint = hex => hex + "2b";

  function fitting(texts, columns, width) {
    const longest = Math.max(...texts.flat().map(text => text.length));
    return Math.max(8.5, Math.min(13, (width - 55) / columns / (0.63 * longest)));
  }

  function themed(spec, width) {
    const columns = spec.data.find(trace => trace.type === "heatmap")?.x.length;
    const data = spec.data.map(trace => {
      if (trace.type === "heatmap") {
        const textfont = { color: colour("ink"), size: fitting(trace.text, columns, width) };
        return { ...trace, colorscale: [[0, colour("heat-low")], [1, colour("heat-high")]], textfont };
      }
      if (trace.meta.missing) {
        const size = fitting(trace.text, columns, width);
        return { ...trace, textfont: { color: colour("muted"), size: trace.meta.whole_row.map(whole => whole ? 12 : size) } };
      }
      const own = colour(trace.meta.role) || colour("other");
      if (trace.meta.band) return { ...trace, fillcolor: faint(own), line: { ...trace.line, color: "transparent" } };
      const text = { color: own, size: 12 };
      if (trace.meta.front && trace.text && narrow.matches) trace = { ...trace, mode: "markers" };
      return { ...trace, line: { ...trace.line, color: own }, marker: { ...trace.marker, color: own }, textfont: text };
    });
    const axis = { gridcolor: colour("rule"), linecolor: colour("rule"), tickcolor: colour("rule") };
    const layout = {
      ...spec.layout,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("muted") },
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("rule"), font: { color: colour("ink") } },
      xaxis: { ...spec.layout.xaxis, ...axis },
      yaxis: { ...spec.layout.yaxis, ...axis },
      modebar: { bgcolor: "transparent", color: colour("muted"), activecolor: colour("accent") },
      dragmode: touch ? false : spec.layout.dragmode ?? "zoom",
    };
    return { data, layout };
  }

  const plots = [...document.querySelectorAll("figure")].map(figure => ({
    node: figure.querySelector(".plot"),
    group: figure.closest(".group"),
    spec: JSON.parse(figure.querySelector("script").textContent),
  }));

  const drawn = new Set();
  function draw(plot) {
    const pressed = plot.group.querySelectorAll(".legend [aria-pressed=false]");
    const hidden = new Set([...pressed].map(button => button.dataset.series));
    const { data, layout } = themed(plot.spec, plot.node.clientWidth);
    for (const trace of data) trace.visible = !hidden.has(trace.meta.series);
    Plotly.react(plot.node, data, layout, config);
    drawn.add(plot);
  }
  const redraw = () => drawn.forEach(draw);
  const undrawn = () => plots.filter(plot => !drawn.has(plot) && plot.node.offsetParent);

  const near = new IntersectionObserver(entries => {
    for (const entry of entries) {
      const plot = plots.find(other => other.node === entry.target);
      if (entry.isIntersecting && !drawn.has(plot)) draw(plot);
    }
  }, { rootMargin: "800px" });
  for (const plot of plots) near.observe(plot.node);
  addEventListener("beforeprint", () => undrawn().forEach(draw));

  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") === "false"));
      redraw();
    });
  }
  for (const choice of document.querySelectorAll(".choice")) {
    const buttons = [...choice.querySelectorAll("button")];
    const figures = choice.closest(".group").querySelectorAll("figure");
    buttons.forEach((button, chosen) => button.addEventListener("click", () => {
      buttons.forEach((other, place) => other.setAttribute("aria-pressed", String(place === chosen)));
      figures.forEach((figure, place) => { figure.hidden = place !== chosen; });
      redraw();
    }));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);

  function compare(a, b, numeric, sign) {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return sign * (numeric ? Number(a) - Number(b) : a.localeCompare(b));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const rising = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const numeric = head.classList.contains("number");
        const key = row => row.cells[column].dataset.sort;
        const rows = [...table.tBodies[0].rows].sort((a, b) => compare(key(a), key(b), numeric, rising ? 1 : -1));
        table.tBodies[0].append(...rows);
      });
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 8) continue;
    const texts = rows.map(row => row.textContent.toLowerCase());
    const filter = document.createElement("div");
    filter.className = "filter";
    const input = filter.appendChild(document.createElement("input"));
    const count = filter.appendChild(document.createElement("output"));
    input.type = "search";
    input.placeholder = "Filter rows";
    input.setAttribute("aria-label", `Filter rows: ${table.caption.textContent}`);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row, place) => { row.hidden = !words.every(word => texts[place].includes(word)); });
      const shown = rows.filter(row => !row.hidden).length;
      count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    });
    table.closest(".scroll").before(filter);
  }

  document.addEventListener("click", event => event.target.closest?.("td.missing")?.classList.toggle("open"));

  const contents = document.querySelector(".contents details");
  if (matchMedia("(max-width: 899px)").matches) contents.open = false;
})();
