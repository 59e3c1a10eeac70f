/* queue: the page on which flagged faces are decided: a toolbar, the list, and beside it the original photo. */
"use strict";
(() => {
  const { el } = fw;
  const filters = [["open", "undecided"], ["all", "all"], ["y", "agreed"], ["n", "disagreed"], ["r", "changed"]];

  /* Columns to row objects. */
  const rowsOf = (data) => {
    const columns = Object.keys(data), n = data[columns[0]].length, rows = new Array(n);
    for (let i = 0; i < n; i++) {
      const row = {};
      for (const c of columns) row[c] = data[c][i];
      rows[i] = row;
    }
    return rows;
  };

  const loadRows = async (key) => {
    const rows = rowsOf(await fw.load("queue_" + key));
    if (!rows.length || rows[0].item === undefined) for (const row of rows) row.item = fw.itemKey(key, row);
    return rows;
  };

  const badge = (queue, row) => {
    const d = fw.decisions.of(row.item);
    if (!d) return el("span.badge", {}, "undecided");
    const to = typeof d.to === "number" ? "" : d.to;
    return el("span.badge." + d.answer, { title: `${d.who}, ${d.when}` }, { y: "✓ " + queue.yes, n: "✗ " + queue.no, r: "→ " }[d.answer], d.answer === "r" ? (to ? fw.name(to) : fw.answers.r) : null);
  };

  fw.queuePage = async (key, main) => {
    const queue = fw.queues[key], info = fw.report.queues.find((q) => q.key === key), all = await loadRows(key);
    const state = { rows: all, order: 0, filter: fw.remember("filter") || "all", search: "" };
    const progress = el("span.progress-text"), meter = el("progress", { max: Math.max(1, all.length), "aria-label": "decided in this queue" });
    const search = el("input", { type: "search", placeholder: "Search by label  ( / )", "aria-label": "Search by label", oninput: fw.debounce(120, () => { state.search = search.value; select(); }) });
    const order = el("select", { "aria-label": "Order", onchange: () => { state.order = order.selectedIndex; select(); } }, queue.orders.map((o) => el("option", {}, o.name)));
    const filter = el("select", { "aria-label": "Show", onchange: () => setFilter(filters[filter.selectedIndex][0]) }, filters.map(([value, text]) => el("option", { value, selected: value === state.filter }, text)));
    const aside = el("aside.detail", { "aria-label": "The original photo and what is known of it" });

    const buttons = (i) => {
      const make = (a, text, title) => el("button.answer." + a, { type: "button", tabIndex: list && i === list.current ? 0 : -1, title, onclick: () => { list.go(i, false, false); answer(a); } }, text);
      return el("div.answers", {}, badge(queue, state.rows[i]), el("div.pair", {}, make("y", "Yes", `y: ${queue.yes}`), make("n", "No", `n: ${queue.no}`), queue.relabel ? make("r", "…", `r: ${queue.change}`) : null));
    };
    const render = (i) => {
      const row = state.rows[i], content = queue.render(row);
      if (!content) { fw.withFaces(queue.faces(row), () => list.fill(i)); return [el("span.loading", {}, "…")]; }
      const right = buttons(i), gauge = content.find((c) => c && c.classList.contains("gauge"));
      if (gauge) right.prepend(gauge);
      return [...content.filter((c) => c && c !== gauge), right];
    };
    const label = (i) => {
      const row = state.rows[i], d = fw.decisions.of(row.item);
      return `${queue.text(row)}. ${d ? fw.answers[d.answer] : "undecided"}`;
    };
    let list = null;
    list = new fw.List({ title: queue.title, height: queue.height, count: 0, render, label, move: fw.debounce(90, () => detail()) });

    const detail = () => {
      const row = state.rows[list.current];
      if (!row) return (aside.hidden = true);
      aside.hidden = false;
      const needed = queue.faces(row).slice(0, 2);
      if (!fw.withFaces(needed, detail)) return;
      const ids = [...new Set([row.id, row.a, row.b, queue.blind ? -1 : row.to].filter((no) => no !== undefined && no >= 0))];
      aside.replaceChildren(...needed.map((f) => { const face = fw.face(f); return el("section", {}, fw.photo(face, needed.length > 1 ? 210 : 320), fw.facts(face, queue.blind)); }),
        ...ids.map((no) => el("section.identity", {}, fw.idLink(no), el("div.muted.small", {}, `${fw.plural(fw.ids.images[no], "image")}, cohesion ${fw.fixed(fw.ids.cohesion[no])}`), fw.strip(fw.ids.best[no] || [], 62, needed.length ? 5 : 15, `best faces of ${fw.visible(fw.idName(no))}`))));
    };

    const select = (keep) => {
      const here = state.rows[list.current], o = queue.orders[state.order], want = state.search.trim().toLocaleLowerCase();
      let rows = all;
      if (want) rows = rows.filter((r) => [r.id, r.a, r.b, r.to].some((no) => no !== undefined && no >= 0 && fw.ids.lower[no].includes(want)) || (r.blabel || "").toLocaleLowerCase().includes(want));
      if (state.filter !== "all") rows = rows.filter((r) => { const d = fw.decisions.of(r.item); return state.filter === "open" ? !d : d && d.answer === state.filter; });
      const compare = o.of ? (a, b) => o.of(a) - o.of(b) : (a, b) => (o.text(a) < o.text(b) ? -1 : o.text(a) > o.text(b) ? 1 : 0);
      state.rows = rows.map((r, k) => [r, k]).sort((a, b) => compare(a[0], b[0]) || a[1] - b[1]).map((x) => x[0]);
      list.setCount(state.rows.length);
      empty.hidden = state.rows.length > 0;
      list.go(keep ? Math.max(0, state.rows.indexOf(here)) : 0, false, false);
      detail();
      count();
    };
    const setFilter = (value) => { state.filter = fw.remember("filter", value); filter.value = value; select(); };
    const count = () => {
      const done = all.reduce((n, row) => n + (fw.decisions.of(row.item) ? 1 : 0), 0);
      meter.value = done;
      progress.textContent = `${fw.count(done)} of ${fw.count(all.length)} decided` + (state.rows.length === all.length ? "" : ` · ${fw.count(state.rows.length)} shown`);
    };

    /* Decide rows first..last; the row itself stays where it is, so that nothing moves under the eye. */
    const decide = async (rows, a, to) => {
      if (!fw.withFaces(rows.flatMap(queue.faces), () => {})) await Promise.all(rows.flatMap(queue.faces).map(fw.faceReady));
      const entries = rows.map((row) => {
        const entry = { queue: key, item: row.item, answer: a, claims: fw.claims(key, row, a, to) };
        if (a === "r") entry.to = typeof to === "string" ? to : key === "duplicate" ? fw.face(to).hash : fw.idName(to);
        return entry;
      });
      if (entries.length) fw.decisions.add(entries);
    };
    const next = (from) => {
      for (let i = from; i < state.rows.length; i++) if (!fw.decisions.of(state.rows[i].item)) return i;
      return Math.min(from, state.rows.length - 1);
    };
    const answer = async (a) => {
      if (!state.rows.length) return;
      const [first, last] = list.selected(), rows = state.rows.slice(first, last + 1);
      let to;
      if (a === "r") {
        if (!queue.relabel) return fw.say("There is nothing to choose here: y or n.");
        await Promise.all(queue.faces(rows[0]).map(fw.faceReady));
        to = await queue.relabel(rows[0]);
        if (to === null) return;
      }
      await decide(rows, a, to);
      list.go(next(last + 1), false);
      fw.say(rows.length > 1 ? `${fw.plural(rows.length, "row")} ${fw.answers[a]}` : fw.answers[a]);
    };
    const undo = () => {
      const [first, last] = list.selected();
      const rows = state.rows.slice(first, last + 1).filter((row) => fw.decisions.of(row.item));
      const previous = rows.length ? null : fw.decisions.lastOf(fw.remember("who") || "curator");
      if (!rows.length && !previous) return fw.say("nothing to undo");
      fw.decisions.add(rows.length ? rows.map((row) => ({ queue: key, item: row.item, answer: "u", claims: [] })) : [{ queue: previous.queue, item: previous.item, answer: "u", claims: [] }]);
      const back = previous ? state.rows.findIndex((row) => row.item === previous.item) : -1;
      if (back >= 0) list.go(back, false);
      fw.say("undone");
    };
    const wholePage = async () => {
      const [first, last] = list.visible(), rows = state.rows.slice(first, last + 1).filter((row) => !fw.decisions.of(row.item));
      await decide(rows, "y");
      list.go(Math.min(last + 1, state.rows.length - 1), false);
      list.node.scrollTop = list.current * queue.height;
      fw.say(`agreed with ${fw.plural(rows.length, "row")} of this screen`);
    };
    const big = () => {
      const row = state.rows[list.current];
      const wanted = row ? [...new Set((queue.photos || queue.faces)(row))].slice(0, 8) : [];
      if (wanted.length && fw.withFaces(wanted, big)) fw.bigPhoto(wanted.map(fw.face), queue.blind);
    };
    const move = (step) => (event) => list.go(list.current + step(), event.shiftKey);
    const screen = () => Math.max(1, Math.floor(list.node.clientHeight / queue.height) - 1);
    const cycle = (select_, set) => { select_.selectedIndex = (select_.selectedIndex + 1) % select_.options.length; set(); };

    const empty = el("p.empty", { hidden: true }, all.length ? "Nothing to show here with this filter." : "This queue is empty: the run found nothing of this kind.");
    main.replaceChildren(el("header.page", {}, el("div", {}, el("h1", { tabIndex: -1 }, queue.title), el("p.muted", {}, queue.short, info.total > info.shown ? `; the ${fw.count(info.shown)} most valuable of ${fw.count(info.total)} are in this report` : "", ".")),
      el("div.progress", {}, progress, meter)),
      el("div.toolbar", {}, search, filter, order, el("span.hint", {}, el("kbd", {}, "y"), ` ${queue.yes}  `, el("kbd", {}, "n"), ` ${queue.no}  `, queue.relabel ? [el("kbd", {}, "r"), ` ${queue.change}  `] : null, el("kbd", {}, "u"), " undo"),
        el("button", { type: "button", onclick: wholePage, title: "p: agree with every undecided row on the screen" }, "This page is right ", el("kbd", {}, "p"))),
      el("div.work", {}, el("div.column", {}, empty, list.node), aside));
    select();
    const stop = fw.decisions.listen((records) => {
      const changed = new Set(records.map((d) => d.item));
      for (const i of list.rows.keys()) if (changed.has(state.rows[i].item)) list.fill(i);
      count();
    });
    if (document.activeElement === document.body || main.contains(document.activeElement)) list.rows.get(0)?.focus({ preventScroll: true });
    return {
      close: () => { stop(); list.close(); },
      keys: {
        j: move(() => 1), ArrowDown: move(() => 1), k: move(() => -1), ArrowUp: move(() => -1),
        PageDown: move(screen), PageUp: move(() => -screen()), Home: move(() => -list.count), End: move(() => list.count),
        y: () => answer("y"), n: () => answer("n"), r: () => answer("r"), u: undo, p: wholePage, o: big, " ": big,
        i: () => { const row = state.rows[list.current], no = row ? row.id ?? row.b : -1; if (no >= 0) location.hash = `#/person/${no}`; },
        "/": () => search.focus(), f: () => cycle(filter, () => setFilter(filter.value)), s: () => cycle(order, () => { state.order = order.selectedIndex; select(); }),
        Escape: () => { search.value = state.search = ""; select(true); list.go(list.current, false); },
      },
    };
  };
})();
