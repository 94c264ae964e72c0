// Figures: drawn by plotly as they come near, in the colours of the page, with legends that hide curves.
(() => {
  "use strict";
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

  function loadPlotly() {
    if (window.Plotly) return;
    const script = document.createElement("script");
    script.textContent = document.getElementById("plotly").textContent;
    document.head.append(script);
  }

  const plots = [...document.querySelectorAll("figure")].filter(figure => figure.querySelector(".plot")).map(figure => ({
    node: figure.querySelector(".plot"),
    group: figure.closest(".group"),
    source: figure.querySelector("script"),
  }));

  const drawn = new Set();
  function draw(plot) {
    loadPlotly();
    plot.spec ??= JSON.parse(plot.source.textContent);
    const off = plot.group.querySelectorAll(".legend [data-series][aria-pressed=false], .legend [hidden] [data-series]");
    const hidden = new Set([...off].map(button => button.dataset.series));
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
  addEventListener("filtered", () => {
    for (const { node } of drawn) {
      near.unobserve(node);
      near.observe(node);
    }
    drawn.clear();
  });

  const redrawGroup = group => [...drawn].filter(plot => plot.group === group).forEach(draw);
  const pressed = button => button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  for (const button of document.querySelectorAll(".legend [data-series]")) {
    button.addEventListener("click", () => {
      press(button, !pressed(button));
      const sampler = button.closest(".sampler");
      if (sampler) press(sampler.firstElementChild, [...sampler.querySelectorAll("[data-series]")].some(pressed));
      redrawGroup(button.closest(".group"));
    });
  }
  for (const button of document.querySelectorAll(".legend .sampler > button")) {
    button.addEventListener("click", () => {
      const on = !pressed(button);
      for (const one of button.parentElement.querySelectorAll("button")) press(one, on);
      redrawGroup(button.closest(".group"));
    });
  }
  for (const choice of document.querySelectorAll(".choice")) {
    const buttons = [...choice.querySelectorAll("button")];
    const figures = choice.closest(".group").querySelectorAll("figure");
    buttons.forEach((button, chosen) => button.addEventListener("click", () => {
      buttons.forEach((other, place) => other.setAttribute("aria-pressed", String(place === chosen)));
      figures.forEach((figure, place) => { figure.hidden = place !== chosen; });
      redrawGroup(choice.closest(".group"));
    }));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);
})();
