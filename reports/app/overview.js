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

  /* A table of any length, a page at a time. */
  const paged = (label, head, n, row, per = 15) => {
    let page = 0;
    const place = el("div.paged"), where = el("span.muted", { role: "status" });
    const button = (text, name, step) => el("button", { type: "button", "aria-label": name, onclick: () => go(step()) }, text);
    const last = Math.max(0, Math.ceil(n / per) - 1);
    const all = [button("«", "first page", () => 0), button("‹", "previous page", () => page - 1), button("›", "next page", () => page + 1), button("»", "last page", () => last)];
    const go = (to) => {
      page = Math.max(0, Math.min(to, last));
      const first = page * per, count = Math.min(per, n - first);
      place.replaceChildren(table(label, head, Array.from({ length: count }, (_, k) => row(first + k))));
      where.textContent = n ? `${fw.count(first + 1)} to ${fw.count(first + count)} of ${fw.count(n)}` : "none";
      all.forEach((b, k) => b.setAttribute("aria-disabled", String(k < 2 ? page === 0 : page === last)));
    };
    go(0);
    return el("div", {}, place, n > per ? el("div.pager", { role: "group", "aria-label": `Pages: ${label}` }, all.slice(0, 2), where, all.slice(2)) : null);
  };

  const policies = (r) => {
    if (!r.policies || !r.policies.length) return null;
    const expected = (x) => (Number.isFinite(x) ? fw.count(Math.round(x)) : "–");
    return [el("h2", {}, "What each policy costs"), el("p.muted.text", {}, "Expected by the calibrated probabilities: flagged faces, how many of these are truly wrong, and how many wrong labels each policy leaves in."),
      table("What each policy costs", ["policy", "flagged", "of these truly wrong", "flagged though right", "wrong labels missed"], r.policies.map((p) => [p.policy === r.policy ? el("b", {}, p.policy, " (this run)") : p.policy, fw.count(p.flagged), expected(p.expected_wrong), expected(p.flagged - p.expected_wrong), expected(p.expected_missed)]))];
  };

  const within = (x, digits = 1) => `95 % interval: ${fw.percent(x[0], digits)} to ${fw.percent(x[1], digits)}`;
  const curators = (r) => {
    const a = r.assess || {}, d = r.decisions, s = a.sample, tiles = [];
    if (d && d.decisions) tiles.push(tile(fw.count(d.applied), `of ${fw.plural(d.decisions, "decision")} applied`, d.unmatched ? `${fw.count(d.unmatched)} match nothing here any more` : "all match this dataset"));
    if (s) tiles.push(s.judged ? tile(fw.percent(s.rate, 2), "of the kept labels are wrong", `${within(s.interval95, 2)}; ${fw.count(s.wrong)} of ${fw.count(s.judged)} judged${s.judged < s.images ? `, ${fw.count(s.images - s.judged)} to go` : ""}`, "#/sample")
      : tile(fw.count(s.images), "kept images drawn at random", `of ${fw.count(s.population)}; judge them to measure what is left`, "#/sample"));
    if (a.precision) tiles.push(tile(fw.percent(a.precision.estimate), "of the reviewed flags were right (precision)", `${within(a.precision.interval95)}; ${fw.count(a.precision.reviewed)} of ${fw.count(a.precision.flags)} flags reviewed`));
    if (a.recall) tiles.push(tile(fw.percent(a.recall.estimate), "of the wrong labels were found (recall)", `at least 95 % interval: ${fw.percent(a.recall.interval95[0])} to ${fw.percent(a.recall.interval95[1])}`));
    if (!tiles.length) return null;
    const moved = Object.entries((d && d.shifts) || {});
    return [el("h2", {}, "What curators found"), el("p.muted.text", {}, "As of the time when this report was made. Precision is that of the flags reviewed so far (the queues put the least sure first, so it is a cautious figure); the noise left is that of the kept images when the sample was drawn, by exact (Clopper-Pearson) intervals."), el("div.tiles", {}, tiles),
      moved.length ? table("Thresholds that answers moved", ["kind of finding", "answers", "agreed", "flagged above P, by the machine", "now", "others that change"],
        moved.map(([kind, s]) => [kind, fw.count(s.answers), fw.count(s.agreed), fw.fixed(s.threshold.machine, 3), fw.fixed(s.threshold.now, 3), fw.count(s.changed)])) : null];
  };

  fw.overviewPage = async (main) => {
    const r = fw.report, c = r.counts, d = Object.fromEntries(r.distributions.map((x) => [x.key, x]));
    const digits = r.noise && r.noise.high < 0.05 ? 2 : 1, share = (x) => fw.percent(x, digits);
    const noise = r.noise ? tile(share(r.noise.rate), "of the labels are wrong (estimate)", `95 % interval: ${share(r.noise.low)} to ${share(r.noise.high)}`) : null;
    const before = (x, color = "--accent") => [{ name: "before", color: "--soft", values: x.before }, { name: "after", color, values: x.after }];
    const shift = (x) => `before and after differ by ${fw.percent(x.shift)}`;
    const order = fw.worst(Infinity);
    const identityRow = (no) => { const lost = fw.ids.images[no] - fw.ids.kept[no]; return [fw.idLink(no), fw.count(fw.ids.images[no]), fw.count(fw.ids.kept[no]), lost > 0 ? "−" + fw.count(lost) : lost < 0 ? "+" + fw.count(-lost) : "0", fw.fixed(fw.ids.cohesion[no]),
      [fw.actions[fw.ids.action[no]], fw.ids.other[no] >= 0 ? [" → ", fw.idLink(fw.ids.other[no])] : null]]; };
    main.replaceChildren(el("div.sheet", {},
      el("header.page", {}, el("div", {}, el("h1", { tabIndex: -1 }, "Overview"), el("p.muted", {}, fw.name(r.sets[0].source), ` · facewash ${r.version} · ${r.made.slice(0, 16).replace("T", " ")} UTC`))),
      el("div.tiles", {}, tile(fw.count(c.images), "images read", `${fw.count(c.identities)} identities`), tile(fw.count(c.with_face), "with a face", `${fw.percent(c.with_face / Math.max(1, c.images))}; ${fw.count(c.no_face)} without, ${fw.count(c.unreadable + c.unsupported)} unusable files`),
        tile(fw.count(c.kept + c.relabel), "kept", `${fw.percent((c.kept + c.relabel) / Math.max(1, c.images))}; ${fw.count(c.identities_kept)} identities`), noise),
      flow(c),
      el("h2", {}, "To decide"),
      el("div.tiles.queues", {}, r.queues.map((q) => tile(fw.count(q.total), fw.queues[q.key].title, q.across ? `${fw.queues[q.key].short}; ${fw.plural(q.across, "group")} under several names` : fw.queues[q.key].short, `#/${q.key}`))),
      curators(r),
      el("h2", {}, "What was measured"),
      el("div.charts", {},
        r.similarity ? fw.histogram({ title: "Similarity", note: "of two faces, same label and different label", from: r.similarity.from, to: r.similarity.to, unit: "cosine", lines: r.similarity.marks,
          series: [{ name: "same label", color: "--ok", values: r.similarity.genuine }, { name: "different label", color: "--wrong", values: r.similarity.impostor }] }) : null,
        d.p ? fw.histogram({ title: "P(label is wrong)", note: "all images with a face; square-root scale", from: d.p.from, to: d.p.to, unit: "probability", root: true, series: [{ name: "images", color: "--accent", values: d.p.before, share: false }] }) : null,
        d.sizes ? fw.histogram({ title: "Images per identity", from: 0, to: d.sizes.names.length, names: d.sizes.names, unit: "images", note: "square-root scale", root: true, series: before(d.sizes).map((s) => ({ ...s, share: false })) }) : null,
        d.quality ? fw.histogram({ title: "Quality", note: shift(d.quality), from: d.quality.from, to: d.quality.to, unit: "combined score", series: before(d.quality) }) : null),
      el("h2", {}, "Diversity guard"), el("p.muted.text", {}, "Cleaning should remove wrong labels, not kinds of photos. Each plot compares all faces with those that are kept; the difference is half the sum of the absolute differences of the shares (0 % alike, 100 % nothing in common)."),
      el("div.charts", {}, ["yaw", "pitch", "brightness", "eyes"].filter((k) => d[k]).map((k) => fw.histogram({ title: d[k].title, note: shift(d[k]), from: d[k].from, to: d[k].to, unit: d[k].unit, series: before(d[k]), height: 160 }))),
      policies(r),
      el("h2", {}, "Before and after, by identity"), el("p.muted.text", {}, "Those that change most first."),
      paged("Before and after, by identity", ["identity", "images before", "after", "change", "cohesion", "action"], order.length, (k) => identityRow(order[k]))));
    return { close: () => {}, keys: {} };
  };
  /* identities by how many of their images do not stay, then those that gain */
  fw.worst = (n) => {
    const change = (no) => fw.ids.images[no] - fw.ids.kept[no];
    return fw.ids.name.map((_, no) => no).sort((a, b) => change(b) - change(a) || Number(fw.ids.action[b] > 0) - Number(fw.ids.action[a] > 0) || a - b).slice(0, n);
  };

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
