"use strict";
(() => {
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const touch = matchMedia("(hover: none)").matches;
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: touch ? false : "hover",
    modeBarButtons: [["toImage", "resetScale2d"]],
  };
  const faint = hex => hex + "2b";

  function themed(spec) {
    const data = spec.data.map(trace => {
      const own = colour(trace.meta.role) || colour("other");
      if (trace.meta.band) return { ...trace, fillcolor: faint(own), line: { ...trace.line, color: "transparent" } };
      const text = { color: own, size: 12 };
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
      dragmode: touch ? false : "zoom",
    };
    return { data, layout };
  }

  const plots = [...document.querySelectorAll("figure")].map(figure => ({
    node: figure.querySelector(".plot"),
    group: figure.closest(".group"),
    spec: JSON.parse(figure.querySelector("script").textContent),
  }));

  function draw() {
    for (const { node, group, spec } of plots) {
      const hidden = new Set([...group.querySelectorAll("[aria-pressed=false]")].map(button => button.dataset.series));
      const { data, layout } = themed(spec);
      for (const trace of data) trace.visible = !hidden.has(trace.meta.series);
      Plotly.react(node, data, layout, config);
    }
  }

  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") === "false"));
      draw();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

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

  document.addEventListener("click", event => event.target.closest?.("td.missing")?.classList.toggle("open"));

  const contents = document.querySelector(".contents details");
  if (matchMedia("(max-width: 899px)").matches) contents.open = false;
  draw();
})();
