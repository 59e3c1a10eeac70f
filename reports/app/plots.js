/* plots: histograms with uPlot, in the page's colours; every plot has its numbers as a table for those who cannot see it. */
"use strict";
(() => {
  const { el } = fw;
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const alive = new Set();

  const axis = (label) => ({ stroke: ink("--muted"), grid: { stroke: ink("--grid"), width: 1 }, ticks: { stroke: ink("--grid"), size: 4 }, font: "11px " + ink("--font"), labelFont: "11px " + ink("--font"), label, labelSize: label ? 16 : 0, size: label === undefined ? 44 : 28 });

  /* Vertical lines at thresholds, with their names. */
  const marks = (list) => ({ hooks: { draw: (u) => {
    const { ctx } = u;
    ctx.save();
    ctx.font = `${11 * devicePixelRatio}px ${ink("--font")}`;
    list.forEach((m, k) => {
      const x = Math.round(u.valToPos(m.value, "x", true)), top = u.bbox.top;
      if (!(x >= u.bbox.left && x <= u.bbox.left + u.bbox.width)) return;
      ctx.strokeStyle = ctx.fillStyle = ink("--ink");
      ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath(); ctx.moveTo(x, top); ctx.lineTo(x, top + u.bbox.height); ctx.stroke();
      const text = `${m.name} ${fw.fixed(m.value)}`, right = x + ctx.measureText(text).width + 10 < u.bbox.left + u.bbox.width;
      ctx.textAlign = right ? "left" : "right";
      ctx.fillText(text, x + (right ? 5 : -5), top + (12 + 14 * k) * devicePixelRatio);
    });
    ctx.restore();
  } } });

  /* series: [{name, color (a variable), values, share: draw as share of its sum}]; bins of equal width from..to.
   * root: heights on a square-root scale, so that a hundred images show beside ten thousand. */
  fw.histogram = ({ title, note, from, to, series, lines = [], unit = "", names, root = false, height = 190 }) => {
    const box = el("div.plot"), n = series[0].values.length, width = (to - from) / n;
    const shown = series.map((s) => { const sum = s.values.reduce((a, b) => a + b, 0) || 1; return s.share === false ? s.values : s.values.map((v) => v / sum); });
    const x = Array.from({ length: n }, (_, i) => (names ? i : from + (i + 0.5) * width));
    const binName = (i) => (names ? names[i] : `${fw.fixed(from + i * width, width < 0.1 ? 3 : width < 5 ? 1 : 0)}`);
    const table = el("details.numbers", {}, el("summary", {}, "Numbers"));
    table.addEventListener("toggle", () => {
      if (table.open && !table.querySelector("table"))
        table.append(el("div.scrollable", { tabIndex: 0, role: "region", "aria-label": title + ", numbers" }, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, unit || "from"), series.map((s) => el("th", { scope: "col" }, s.name)))),
          el("tbody", {}, x.map((_, i) => el("tr", {}, el("th", { scope: "row" }, binName(i)), series.map((s) => el("td", {}, fw.count(s.values[i])))))))));
    });
    const draw = () => {
      const space = box.clientWidth;
      if (!space) return;
      box.replaceChildren();
      const bars = uPlot.paths.bars({ size: [0.94, 60], gap: 0 }), steps = uPlot.paths.stepped({ align: 0 });
      const few = names !== undefined || series.length === 1;
      new uPlot({
        width: space, height, legend: { show: false }, cursor: { points: { show: false }, drag: { x: false, y: false }, y: false }, plugins: [marks(lines)],
        scales: { x: { time: false, range: names ? [-0.6, n - 0.4] : [from, to] }, y: { range: (u, lo, hi) => [0, (hi || 1) * 1.06], ...(root ? { distr: 100, fwd: Math.sqrt, inv: (v) => v * v } : {}) } },
        axes: [{ ...axis(unit), values: (u, at) => at.map((v) => (names ? names[v] ?? "" : +v.toFixed(3))), ...(names ? { splits: () => x.filter((v) => v % Math.ceil(n / (space / 46)) === 0), rotate: 0 } : {}) },
          { ...axis(), ...(root ? { filter: (u, at) => at, splits: (u, k, lo, hi) => [...new Set([0, 0.05, 0.25, 0.6, 0.94].map((f) => Number((f * hi).toPrecision(1))))] } : {}), values: (u, at) => at.map((v) => (series[0].share === false ? fw.count(v) : +(100 * v).toFixed(2) + "%")) }],
        series: [{}, ...series.map((s, k) => ({ label: s.name, stroke: ink(s.color), width: 1.5, fill: few || series.length > 1 ? ink(s.color) + "2e" : undefined, paths: names ? uPlot.paths.bars({ size: [series.length > 1 ? 0.42 : 0.8, 40], align: series.length > 1 ? (k ? 1 : -1) : 0 }) : few ? bars : steps, points: { show: false } }))],
        hooks: { setCursor: [(u) => { const i = u.cursor.idx; readout.textContent = i === null || i === undefined ? "" : `${binName(i)}: ` + series.map((s) => `${s.name} ${fw.count(s.values[i])}`).join(", "); }] },
      }, [x, ...shown], box);
    };
    const readout = el("span.readout");
    const figure = el("figure.chart", {}, el("figcaption", {}, el("b", {}, title), note ? el("span.muted", {}, " " + note) : null),
      el("div.legend", {}, series.length > 1 ? series.map((s) => { const dot = el("i"); dot.style.background = `var(${s.color})`; return el("span", {}, dot, s.name); }) : null, readout), box, table);
    const watch = new ResizeObserver(() => draw());
    watch.observe(box);
    alive.add({ draw, figure, watch });
    return figure;
  };
  fw.redrawPlots = () => { for (const p of alive) if (p.figure.isConnected) p.draw(); else { p.watch.disconnect(); alive.delete(p); } };
})();
