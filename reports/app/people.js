/* people: the list of identities, and the page of one: all its faces by P(wrong), and how alike they are. */
"use strict";
(() => {
  const { el } = fw;

  fw.peoplePage = async (main) => {
    const orders = [["most changed", (a, b) => fw.ids.images[b] - fw.ids.kept[b] - (fw.ids.images[a] - fw.ids.kept[a])], ["least coherent", (a, b) => (fw.ids.cohesion[a] ?? 9) - (fw.ids.cohesion[b] ?? 9)],
      ["most images", (a, b) => fw.ids.images[b] - fw.ids.images[a]], ["by name", (a, b) => (fw.ids.lower[a] < fw.ids.lower[b] ? -1 : 1)]];
    let shown = [], text = "", order = 0;
    const render = (i) => { const no = shown[i]; return [fw.strip(fw.ids.best[no] || [], 54, 6, "best faces"), el("div.lines", {}, el("div.who.across", {}, fw.idLink(no)), el("div.muted", {}, `${fw.plural(fw.ids.images[no], "image")}, ${fw.count(fw.ids.kept[no])} after cleaning, cohesion ${fw.fixed(fw.ids.cohesion[no])}`)),
      el("div.who.end", {}, fw.ids.action[no] ? el("span.verdict." + fw.actions[fw.ids.action[no]], {}, fw.actions[fw.ids.action[no]]) : null, fw.ids.flagged[no] ? el("span.muted", {}, `${fw.count(fw.ids.flagged[no])} flagged`) : null)]; };
    const list = new fw.List({ title: "Identities", height: 72, count: 0, render, label: (i) => `${fw.visible(fw.idName(shown[i]))}, ${fw.plural(fw.ids.images[shown[i]], "image")}`, move: () => {} });
    const search = el("input", { type: "search", placeholder: "Search  ( / )", "aria-label": "Search by name", oninput: fw.debounce(120, () => { text = search.value.trim().toLocaleLowerCase(); select(); }) });
    const by = el("select", { "aria-label": "Order", onchange: () => { order = by.selectedIndex; select(); } }, orders.map(([name]) => el("option", {}, name)));
    const empty = el("p.empty", { hidden: true }, "No identity has this in its name.");
    const select = () => {
      shown = fw.ids.name.map((_, no) => no).filter((no) => !text || fw.ids.lower[no].includes(text)).sort((a, b) => orders[order][1](a, b) || a - b);
      empty.hidden = shown.length > 0;
      list.setCount(shown.length);
      list.go(0, false, false);
    };
    const open = () => { if (shown.length) location.hash = `#/person/${shown[list.current]}`; };
    main.replaceChildren(el("header.page", {}, el("div", {}, el("h1", { tabIndex: -1 }, "Identities"), el("p.muted", {}, `${fw.count(fw.ids.name.length)} of ${fw.count(fw.report.identities.total)} are in this report.`))),
      el("div.toolbar", {}, search, by), el("div.work", {}, el("div.column", {}, empty, list.node)));
    select();
    const move = (step) => () => list.go(list.current + step(), false);
    const screen = () => Math.max(1, Math.floor(list.node.clientHeight / 72) - 1);
    return { close: () => list.close(), keys: { j: move(() => 1), k: move(() => -1), ArrowDown: move(() => 1), ArrowUp: move(() => -1), PageDown: move(screen), PageUp: move(() => -screen()), Home: move(() => -list.count), End: move(() => list.count), Enter: open, i: open, "/": () => search.focus(), s: () => { by.selectedIndex = order = (order + 1) % orders.length; select(); } } };
  };

  /* Similarity of the first n faces to each other as a picture: dark is alike. */
  const similarityMap = (person, faces, hover) => {
    const n = person.map_n;
    if (!n || n < 2) return null;
    const bytes = Uint8Array.from(atob(person.map), (c) => c.charCodeAt(0)), cell = Math.max(4, Math.min(22, Math.floor(360 / n)));
    const value = (i, j) => { if (i === j) return 1; const [a, b] = i < j ? [i, j] : [j, i]; return bytes[a * n - (a * (a + 1)) / 2 + (b - a - 1)] / 127.5 - 1; };
    const canvas = el("canvas", { width: n * cell, height: n * cell, role: "img", "aria-label": `Similarity of ${n} faces to each other, in the order of the list` }), read = el("p.muted", {}, "Move over the map to compare two faces.");
    const paint = () => {
      const style = getComputedStyle(document.documentElement), from = style.getPropertyValue("--map-low").trim().split(" ").map(Number), to = style.getPropertyValue("--map-high").trim().split(" ").map(Number), draw = canvas.getContext("2d");
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
        const t = Math.max(0, Math.min(1, value(i, j) / 0.8));
        draw.fillStyle = `rgb(${from.map((v, k) => Math.round(v + t * (to[k] - v))).join(" ")})`;
        draw.fillRect(j * cell, i * cell, cell, cell);
      }
    };
    canvas.addEventListener("mousemove", (event) => {
      const box = canvas.getBoundingClientRect(), j = Math.floor(((event.clientX - box.left) / box.width) * n), i = Math.floor(((event.clientY - box.top) / box.height) * n);
      if (i < 0 || j < 0 || i >= n || j >= n) return;
      read.replaceChildren(fw.thumb(faces[i], 44), " ", fw.thumb(faces[j], 44), ` similarity ${fw.fixed(value(i, j))}`);
      hover(i);
    });
    paint();
    return el("section.map", {}, el("h2", {}, "Similarity map"), canvas, read);
  };

  fw.personPage = async (main, no) => {
    if (!(no >= 0 && no < fw.ids.name.length)) throw new Error("there is no such identity in this report");
    const person = fw.ids.page[no] ? await fw.personData(no) : null, faces = person ? person.faces : fw.ids.best[no] || [];
    await Promise.all(faces.map(fw.faceReady));
    let current = 0;
    const grid = el("ul.grid", { "aria-label": "Faces, most doubtful first" }), aside = el("aside.detail", { "aria-label": "The original photo and what is known of it" });
    const rows = faces.map((f) => { const face = fw.face(f), row = { f, id: face.id, p: face.p, key: face.hash }; row.item = fw.itemKey("person", row); return row; });
    const answers = { y: "✓ wrong", n: "✗ right", r: "→ " };
    const cell = (k) => {
      const face = fw.face(faces[k]), d = fw.decisions.of(rows[k].item);
      return el("button.facecell", { type: "button", tabIndex: k === current ? 0 : -1, title: "P(label is wrong), verdict", onclick: () => go(k), onfocus: () => { if (k !== current) go(k, false); } },
        fw.thumb(faces[k], 104, `face ${k + 1}`), el("span.small", {}, el("span.verdict." + fw.verdicts[face.verdict], {}, face.p >= 0 ? fw.fixed(face.p) : "–"), " ", d ? el("b", {}, answers[d.answer]) : fw.verdicts[face.verdict]));
    };
    const draw = () => { const focus = grid.contains(document.activeElement); grid.replaceChildren(...faces.map((_, k) => el("li", {}, cell(k)))); if (focus) grid.children[current]?.firstChild.focus({ preventScroll: true }); mark(); };
    const mark = () => [...grid.children].forEach((li, k) => { li.firstChild.classList.toggle("current", k === current); li.firstChild.tabIndex = k === current ? 0 : -1; });
    const detail = fw.debounce(60, () => { if (faces.length) { const face = fw.face(faces[current]); aside.replaceChildren(el("section", {}, fw.photo(face), fw.facts(face))); } });
    const go = (k, focus = true) => { if (!faces.length) return; current = Math.max(0, Math.min(k, faces.length - 1)); mark(); const node = grid.children[current].firstChild; node.scrollIntoView({ block: "nearest" }); if (focus) node.focus({ preventScroll: true }); detail(); };
    const perRow = () => { const tops = [...grid.children].map((li) => li.offsetTop), n = tops.findIndex((t) => t !== tops[0]); return n < 1 ? tops.length : n; };
    const answer = async (a) => {
      if (!faces.length) return;
      let to;
      if (a === "r" && (to = await fw.chooseIdentity("Who is this?", [fw.face(faces[current]).to, fw.face(faces[current]).other].filter((x, k, all) => x >= 0 && x !== no && all.indexOf(x) === k))) === null) return;
      if (a === "u" && !fw.decisions.of(rows[current].item)) return fw.say("nothing to undo here");
      const entry = { queue: "person", item: rows[current].item, answer: a, claims: fw.claims("person", rows[current], a, to) };
      if (a === "r") entry.to = typeof to === "string" ? to : fw.idName(to);
      fw.decisions.add([entry]);
      if (a !== "u") go(current + 1);
      fw.say(fw.answers[a]);
    };
    const action = fw.ids.action[no], other = fw.ids.other[no];
    main.replaceChildren(el("header.page", {}, el("div", {}, el("h1", { tabIndex: -1 }, fw.name(fw.idName(no))), el("p.muted", {}, `${fw.plural(fw.ids.images[no], "image")}, ${fw.count(fw.ids.kept[no])} after cleaning, cohesion ${fw.fixed(fw.ids.cohesion[no])}. `,
      action ? [`Suggested: ${fw.actions[action]}`, other >= 0 ? [" with ", fw.idLink(other)] : null, `, confidence ${fw.fixed(fw.ids.score[no])}.`] : null, person && person.total > faces.length ? ` The ${fw.count(faces.length)} most doubtful are shown.` : person ? null : " Only its best faces are in this report.")),
      el("span.hint", {}, el("kbd", {}, "y"), " wrong  ", el("kbd", {}, "n"), " right  ", el("kbd", {}, "r"), " relabel  ", el("kbd", {}, "u"), " undo")),
      el("div.work", {}, el("div.column.padded", { tabIndex: -1 }, grid, person ? similarityMap(person, faces, (i) => { if (i < faces.length) { current = i; mark(); } }) : null), aside));
    draw();
    go(0, document.activeElement === document.body);
    const stop = fw.decisions.listen(draw);
    const move = (step) => () => go(current + step());
    return { close: stop, keys: { j: move(() => 1), k: move(() => -1), ArrowRight: move(() => 1), ArrowLeft: move(() => -1), ArrowDown: move(perRow), ArrowUp: move(() => -perRow()), Home: move(() => -faces.length), End: move(() => faces.length),
      y: () => answer("y"), n: () => answer("n"), r: () => answer("r"), u: () => answer("u"), o: () => faces.length && fw.bigPhoto([fw.face(faces[current])]), " ": () => faces.length && fw.bigPhoto([fw.face(faces[current])]) } };
  };
})();
