/* rows: what one row of each queue shows and asks. A queue is a description: title, question, the words for yes and no,
 * how to draw a row, which faces it needs, and what "relabel" offers. */
"use strict";
(() => {
  const { el } = fw;
  const best = (no) => (no < 0 ? [] : fw.ids.best[no] || []);
  const bestOthers = (no, f) => best(no).filter((b) => b !== f);

  /* How sure the machine is, as a number with a bar. It stands above the answers (queue.js). */
  const gauge = (value, what) => {
    const bar = el("span.bar", {}, el("span.fill"));
    bar.firstChild.style.width = Math.round(100 * Math.max(0, Math.min(1, value))) + "%";
    return el("span.gauge", { title: what }, el("span.number", {}, fw.fixed(value)), bar, el("span.what", {}, what));
  };

  const line = (what, no, f, sim) => el("div.line", {},
    el("div.who", {}, el("span.muted", {}, what, sim === null || no < 0 ? null : `, cosine ${fw.fixed(sim)}`), no >= 0 ? fw.name(fw.idName(no)) : el("span", {}, "nobody")),
    no >= 0 ? fw.strip(bestOthers(no, f), 54, 6, `best faces of ${fw.visible(fw.idName(no))}`) : null);

  const labelRow = (row) => {
    const face = fw.face(row.f);
    if (!face) return null;
    const to = face.to >= 0 && face.to !== row.id ? face.to : row.to, sim = to === face.other ? face.otherSim : null;
    return [fw.thumb(row.f, 112, "the face in question"),
      el("div.lines", {}, line("labelled", row.id, row.f, face.sim),
        face.person > 1 ? el("div.line", {}, el("div.who", {}, el("span.muted", {}, "a second person"), fw.name(fw.newName(face))))
          : line(face.verdict === 2 ? "suggested" : "closest other", to, row.f, sim)),
      gauge(row.p, "P(label is wrong)")];
  };
  const labelFaces = (row) => [row.f];
  const labelText = (row) => `labelled ${fw.visible(fw.idName(row.id))}, probability that this is wrong ${fw.fixed(row.p)}` + (row.to >= 0 ? `, looks like ${fw.visible(fw.idName(row.to))}` : "");
  const relabel = async (row) => {
    const face = fw.face(row.f), first = [...new Set([face.to, face.other, row.to])].filter((no) => no >= 0 && no !== row.id);
    return fw.chooseIdentity("Who is this?", first);
  };

  /* Without what the machine thinks of it: who knows that would not judge by the face alone. */
  const sampleRow = (row) => (fw.face(row.f) ? [fw.thumb(row.f, 112, "the face in question"),
    el("div.lines", {}, line("kept as", row.id, row.f, null))] : null);

  /* Why the kept copy is the kept one (enum fw_why). */
  const whyKept = (row, faces) => {
    const others = faces.filter((f) => f.id !== faces[0].id && f.p >= 0).map((f) => f.p);
    return ["", "it is the better photo", others.length && faces[0].p >= 0 ? `its label is likelier right: P(wrong) ${fw.fixed(faces[0].p)} against ${fw.fixed(Math.min(...others))}` : "its label is likelier right",
      "a curator chose it", "all have the same bytes: the first one"][row.why] || "";
  };
  /* One photo under the names of several people: each copy shows its own, and the answer is about the name too. */
  const duplicateRow = (row) => {
    const faces = row.members.map(fw.face), across = row.people > 1;
    if (faces.some((f) => !f)) return null;
    return [el("div.cells", {}, row.members.map((f, k) => el("div.cell", {}, fw.thumb(f, 96, f === row.kept ? "kept copy" : "copy"),
      el("span.small", {}, f === row.kept ? el("b", {}, "kept") : [row.kind[k] === 1 ? "exact" : "near", " ", fw.fixed(row.sim[k])]),
      across && faces[k].id >= 0 ? [el("span.small", {}, fw.name(fw.idName(faces[k].id))), el("span.small.muted", {}, `P(wrong) ${faces[k].p >= 0 ? fw.fixed(faces[k].p) : "–"}`)]
        : [el("span.small.muted", {}, `${faces[k].size[0]} × ${faces[k].size[1]}, q ${fw.fixed(faces[k].quality)}`), faces[k].id !== row.id && faces[k].id >= 0 ? el("span.small", {}, fw.name(fw.idName(faces[k].id))) : null])),
      row.size > row.members.length ? el("span.muted", {}, `and ${row.size - row.members.length} more`) : null),
      el("div.who.end", {}, across ? el("b.across", {}, "one photo, several people") : null, el("span.muted", {}, `${row.size} copies, kept under`), row.id >= 0 ? fw.name(fw.idName(row.id)) : "–", el("span.muted.reason", {}, whyKept(row, faces)))];
  };
  const keepOther = (row) => fw.chooseOne(row.people > 1 ? "Which copy is to be kept, under its label?" : "Which copy is to be kept?",
    row.members.map((f, k) => ({ value: f, node: fw.thumb(f, 112), label: el("span", {}, f === row.kept ? "kept now" : "copy " + (k + 1), row.people > 1 ? [" ", fw.name(fw.idName(fw.face(f).id))] : null) })));

  const side = (no, what) => el("div.line", {}, el("div.who", {}, el("span.muted", {}, `${what}, ${fw.plural(fw.ids.images[no], "image")}`), fw.name(fw.idName(no))),
    fw.strip(best(no), 54, 6, `best faces of ${fw.visible(fw.idName(no))}`));
  const mergeRow = (row) => [el("div.lines.wide", {}, side(row.a, "merge"), side(row.b, "into")), gauge(row.score, "confidence")];
  const mergeInto = (row) => fw.chooseOne("Which name is to stay?", [row.a, row.b].map((no) => ({ value: no, node: fw.thumb(best(no)[0] ?? -1, 112), label: fw.name(fw.idName(no)) })));

  const splitRow = (row) => [el("div.lines.wide", {}, el("div.who.across", {}, el("span.muted", {}, "labelled "), fw.name(fw.idName(row.id)), el("span.muted", {}, ` seems to hold ${row.groups.length} people`)),
    row.groups.slice(0, 2).map((g, k) => el("div.line.low", {}, el("div.who", {}, el("span", {}, k ? `person ${k + 1}` : "main person"), el("span.muted", {}, fw.plural(row.sizes[k], "image"))),
      fw.strip(g, 46, 8, `person ${k + 1}`)))), gauge(row.score, "confidence")];

  const overlapRow = (row) => {
    const mine = fw.face(row.f), theirs = fw.face(row.bf);
    if (!mine || !theirs) return null;
    return [el("div.cells", {}, fw.thumb(row.f, 104, "face of the dataset"), fw.thumb(row.bf, 104, "face of the benchmark")),
      el("div.lines", {}, el("div.who", {}, el("span.muted", {}, "dataset"), fw.name(mine.id >= 0 ? fw.idName(mine.id) : mine.path)),
        el("div.who", {}, el("span.muted", {}, "benchmark ", fw.visible(fw.report.sets[theirs.set].name)), fw.name(row.blabel || theirs.path))),
      el("div.who.end", {}, el("span.muted", {}, `found by ${["face", "name", "image"][row.rule]}`), `similarity ${fw.fixed(row.sim)}`), gauge(row.score, "P(same)")];
  };

  const imageRow = (row) => {
    const face = fw.face(row.f);
    if (!face) return null;
    return [fw.thumb(row.f, 96, "photo"), el("div.lines", {}, el("div.who", {}, el("span.muted", {}, "labelled"), row.id >= 0 ? fw.name(fw.idName(row.id)) : "–"),
      el("div.who", {}, el("span.muted", {}, fw.statuses[face.status] + (face.why ? ": " + fw.visible(face.why) : "")), fw.name(face.path))),
      face.quality === null ? null : el("div.who.end", {}, el("span.muted", {}, "sharpness, brightness, yaw"), `${fw.fixed(face.sharpness, 0)}, ${fw.fixed(face.brightness, 0)}, ${fw.fixed(face.yaw, 0)}°`),
      face.quality === null ? null : gauge(face.quality, "quality")];
  };
  const imageText = (row) => { const face = fw.face(row.f); return face ? `${fw.statuses[face.status]}, ${fw.visible(face.path)}` : "loading"; };

  const byP = { name: "surest first", of: (r) => -r.p }, byWorth = { name: "worth deciding", of: (r) => -r.worth }, byScore = { name: "surest first", of: (r) => -r.score };
  const byLabel = { name: "by label", text: (r) => fw.idName(r.id ?? r.a) };

  fw.queues = {
    mislabeled: { title: "Mislabeled", short: "Faces whose label is probably wrong", yes: "label is wrong", no: "label is right", change: "relabel …", height: 136, render: labelRow, text: labelText, faces: labelFaces, relabel, orders: [byWorth, byP, byLabel] },
    outlier: { title: "Outliers", short: "Faces that fit neither their identity nor any other", yes: "does not belong", no: "belongs here", change: "relabel …", height: 136, render: labelRow, text: labelText, faces: labelFaces, relabel, orders: [byWorth, byP, byLabel] },
    duplicate: { title: "Duplicates", short: "Groups of copies, of which one is kept", yes: "copies", no: "different", change: "keep another …", height: 158, render: duplicateRow, faces: (r) => r.members, relabel: keepOther, orders: [byWorth, { name: "several people first", of: (r) => -r.people - Math.min(r.worth, 0.99) / 2 }, byLabel],
      text: (r) => (r.people > 1 ? "one photo under the names of several people, " : "") + `${r.size} copies, kept under ${fw.visible(fw.idName(r.id))}` },
    merge: { title: "Merge", short: "Two labels that are probably one person", yes: "one person", no: "two people", change: "choose the name …", height: 132, render: mergeRow, faces: () => [], photos: (r) => [r.a, r.b].flatMap((no) => best(no).slice(0, 2)), relabel: mergeInto, orders: [byWorth, byScore, byLabel],
      text: (r) => `merge ${fw.visible(fw.idName(r.a))} into ${fw.visible(fw.idName(r.b))}, confidence ${fw.fixed(r.score)}` },
    split: { title: "Split", short: "One label that probably holds several people", yes: "several people", no: "one person", height: 146, render: splitRow, faces: (r) => r.groups.map((g) => g[0]), photos: (r) => r.groups.flatMap((g) => g.slice(0, 2)), orders: [byWorth, byScore, byLabel],
      text: (r) => `${fw.visible(fw.idName(r.id))}: ${r.groups.length} people, confidence ${fw.fixed(r.score)}` },
    overlap: { title: "Overlap", short: "People or photos that are also in a benchmark", yes: "same", no: "not the same", height: 128, render: overlapRow, faces: (r) => [r.f, r.bf], orders: [byWorth, byScore, byLabel],
      text: (r) => `${fw.visible(fw.idName(r.id))} and benchmark ${fw.visible(r.blabel || "")}, similarity ${fw.fixed(r.sim)}` },
    quality: { title: "Low quality", short: "Crops too poor to train on", yes: "do not use", no: "use it", height: 120, render: imageRow, faces: (r) => [r.f], text: imageText, orders: [{ name: "worst first", of: (r) => r.q }, byLabel] },
    sample: { title: "Sample", short: "A random sample of the kept images, to measure the noise that is left", yes: "label is right", no: "label is wrong", change: "relabel …", height: 136, blind: true, render: sampleRow, faces: labelFaces, relabel,
      text: (r) => `kept as ${fw.visible(fw.idName(r.id))}`, orders: [{ name: "as drawn", of: (r) => -r.worth }, byLabel] },
    unreadable: { title: "Unusable", short: "Photos that cannot be read, or show no face", yes: "cannot be used", no: "can be used", height: 120, render: imageRow, faces: (r) => [r.f], text: imageText, orders: [byWorth, byLabel] },
  };
})();
