/* overview: what was read, found and kept, how sure that is, and what the cleaning did to the data; and the run's record. */
"use strict";
(() => {
  const { el } = fw;
  const tile = (number, what, more, href) => el(href ? "a.tile" : "div.tile", href ? { href } : {}, el("span.big", {}, number), el("span", {}, what), more ? el("span.muted", {}, more) : null);

  const flow = (c) => {
    const parts = [["kept", c.kept, "--ok"], ["relabelled", c.relabel, "--accent"], ["to review", c.review, "--warn"], ["removed", c.removed, "--wrong"]].filter((p) => p[1] > 0);
    const bar = el("div.flow", { role: "img", "aria-label": "Verdicts: " + parts.map((p) => `${fw.count(p[1])} ${p[0]}`).join(", ") });
    parts.forEach(([, n, color]) => { const s = el("span"); s.style.flexGrow = n; s.style.background = `var(${color})`; bar.append(s); });
    return el("div", {}, bar, el("div.legend", {}, parts.map(([name, n, color]) => { const dot = el("i"); dot.style.background = `var(${color})`; return el("span", {}, dot, `${fw.count(n)} ${name} (${fw.percent(n / Math.max(1, c.images))})`); })));
  };

  const table = (label, head, rows) => el("div.scrollable", { tabIndex: 0, role: "region", "aria-label": label }, el("table", {}, el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col" }, h)))),
    el("tbody", {}, rows.map((r) => el("tr", {}, r.map((cell, k) => el(k ? "td" : "th", k ? {} : { scope: "row" }, cell)))))));

  fw.overviewPage = async (main) => {
    const r = fw.report, c = r.counts, d = Object.fromEntries(r.distributions.map((x) => [x.key, x]));
    const digits = r.noise && r.noise.high < 0.05 ? 2 : 1, share = (x) => fw.percent(x, digits);
    const noise = r.noise ? tile(share(r.noise.rate), "of the labels are wrong (estimate)", `95 % interval: ${share(r.noise.low)} to ${share(r.noise.high)}`) : null;
    const before = (x, color = "--accent") => [{ name: "before", color: "--soft", values: x.before }, { name: "after", color, values: x.after }];
    const shift = (x) => `before and after differ by ${fw.percent(x.shift)}`;
    main.replaceChildren(el("div.sheet", {},
      el("header.page", {}, el("div", {}, el("h1", { tabIndex: -1 }, "Overview"), el("p.muted", {}, fw.name(r.sets[0].source), ` · facewash ${r.version} · ${r.made.slice(0, 16).replace("T", " ")} UTC`))),
      el("div.tiles", {}, tile(fw.count(c.images), "images read", `${fw.count(c.identities)} identities`), tile(fw.count(c.with_face), "with a face", `${fw.percent(c.with_face / Math.max(1, c.images))}; ${fw.count(c.no_face)} without, ${fw.count(c.unreadable + c.unsupported)} unusable files`),
        tile(fw.count(c.kept + c.relabel), "kept", `${fw.percent((c.kept + c.relabel) / Math.max(1, c.images))}; ${fw.count(c.identities_kept)} identities`), noise),
      flow(c),
      el("h2", {}, "To decide"),
      el("div.tiles.queues", {}, r.queues.map((q) => tile(fw.count(q.total), fw.queues[q.key].title, fw.queues[q.key].short, `#/${q.key}`))),
      el("h2", {}, "What was measured"),
      el("div.charts", {},
        r.similarity ? fw.histogram({ title: "Similarity", note: "of two faces, same label and different label", from: r.similarity.from, to: r.similarity.to, unit: "cosine", lines: r.similarity.marks,
          series: [{ name: "same label", color: "--ok", values: r.similarity.genuine }, { name: "different label", color: "--wrong", values: r.similarity.impostor }] }) : null,
        d.p ? fw.histogram({ title: "P(label is wrong)", note: "all images with a face; square-root scale", from: d.p.from, to: d.p.to, unit: "probability", root: true, series: [{ name: "images", color: "--accent", values: d.p.before, share: false }] }) : null,
        d.sizes ? fw.histogram({ title: "Images per identity", from: 0, to: d.sizes.names.length, names: d.sizes.names, unit: "images", note: "square-root scale", root: true, series: before(d.sizes).map((s) => ({ ...s, share: false })) }) : null,
        d.quality ? fw.histogram({ title: "Quality", note: shift(d.quality), from: d.quality.from, to: d.quality.to, unit: "combined score", series: before(d.quality) }) : null),
      el("h2", {}, "Diversity guard"), el("p.muted.text", {}, "Cleaning should remove wrong labels, not kinds of photos. Each plot compares all faces with those that are kept; the difference is half the sum of the absolute differences of the shares (0 % alike, 100 % nothing in common)."),
      el("div.charts", {}, ["yaw", "pitch", "brightness", "eyes"].filter((k) => d[k]).map((k) => fw.histogram({ title: d[k].title, note: shift(d[k]), from: d[k].from, to: d[k].to, unit: d[k].unit, series: before(d[k]), height: 160 }))),
      el("h2", {}, "Identities that change most"),
      table("Identities that change most", ["identity", "images", "after", "cohesion", "action"], fw.worst(12).map((no) => [fw.idLink(no), fw.count(fw.ids.images[no]), fw.count(fw.ids.kept[no]), fw.fixed(fw.ids.cohesion[no]),
        [fw.actions[fw.ids.action[no]], fw.ids.other[no] >= 0 ? [" → ", fw.idLink(fw.ids.other[no])] : null]]))));
    return { close: () => {}, keys: {} };
  };
  /* identities by how many of their images do not stay */
  fw.worst = (n) => fw.ids.name.map((_, no) => no).filter((no) => fw.ids.images[no] > fw.ids.kept[no] || fw.ids.action[no]).sort((a, b) => fw.ids.images[b] - fw.ids.kept[b] - (fw.ids.images[a] - fw.ids.kept[a]) || a - b).slice(0, n);

  fw.runPage = async (main) => {
    const r = fw.report, seconds = (s) => (s > 0 ? fw.fixed(s, 1) + " s" : "done before");
    main.replaceChildren(el("div.sheet", {}, el("header.page", {}, el("h1", { tabIndex: -1 }, "The run")),
      el("h2", {}, "Thresholds and how they were found"), table("Thresholds", ["threshold", "value", "found by"], r.thresholds.map((t) => [t.name, fw.fixed(t.value, 4), t.how])),
      el("h2", {}, "Stages"), table("Stages", ["stage", "version", "time in the last run", "what it does"], r.run.stages.map((s) => [s.name, String(s.version), seconds(s.seconds), s.summary])),
      el("h2", {}, "Models"), table("Models", ["model", "for", "licence", "SHA-256"], r.run.models.map((m) => [m.name, m.task, m.licence || "–", el("code", {}, m.sha256)])),
      el("h2", {}, "Sources"), table("Sources", ["set", "source", "images"], r.sets.map((s) => [s.name || "dataset", fw.name(s.source), fw.count(s.images)])),
      el("h2", {}, "Settings"), el("p.muted.text", {}, "Those that differ from the defaults are marked."),
      table("Settings", ["setting", "value", "differs"], r.run.settings.map(([name, value, changed]) => [el("code", {}, name), fw.visible(value), changed ? "changed" : ""]))));
    return { close: () => {}, keys: {} };
  };
})();
