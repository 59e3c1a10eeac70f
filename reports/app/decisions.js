/* decisions: an append-only log of answers, shared by all tabs, and what it says now.
 *
 * From disk the log lives in the browser (IndexedDB, one log per workspace) until it is saved as a file; under
 * `facewash review` it lives in the workspace and several curators write to it. The latest record of an item counts, by
 * its time to the second, whatever order files come in. */
"use strict";
(() => {
  const state = { items: new Map(), log: [], listeners: new Set(), saved: 0, backend: null };
  const known = new Set();

  const counts = {}; /* standing decisions by queue */
  const latest = new Map(); /* item -> its latest record, also one that took a decision back */
  const second = (record) => String(record.when || "").slice(0, 19); /* the server writes no milliseconds */
  const take = (record) => {
    if (!record || record.format !== "facewash-decision-1" || typeof record.item !== "string" || known.has(record.id)) return false;
    known.add(record.id);
    state.log.push(record);
    const last = latest.get(record.item);
    if (last && second(last) > second(record)) return true; /* of a file that was loaded late: kept, but it does not stand */
    latest.set(record.item, record);
    const old = state.items.get(record.item);
    if (old) counts[old.queue]--;
    state.items.delete(record.item);
    if (record.answer !== "u") {
      state.items.set(record.item, record);
      counts[record.queue] = (counts[record.queue] || 0) + 1;
    }
    return true;
  };
  /* listeners hear which records are new */
  const tell = (records) => state.listeners.forEach((f) => f(records));
  const takeAll = (records) => { const fresh = records.filter(take); if (fresh.length) tell(fresh); return fresh; };

  /* ---- in this browser ---- */
  const wait = (request) => new Promise((done, fail) => { request.onsuccess = () => done(request.result); request.onerror = () => fail(request.error); });

  const browserLog = async (workspace) => {
    const open = indexedDB.open("facewash", 1);
    open.onupgradeneeded = () => {
      const store = open.result.createObjectStore("decisions", { autoIncrement: true });
      store.createIndex("workspace", "workspace");
    };
    const db = await wait(open);
    const store = (mode) => db.transaction("decisions", mode).objectStore("decisions");
    const read = async () => (await wait(store("readonly").index("workspace").getAll(workspace))).map((r) => r.record);
    window.addEventListener("storage", async (event) => {
      if (event.key === "facewash.changed") takeAll(await read());
    });
    return {
      where: "in this browser",
      read,
      append: async (records) => {
        const into = store("readwrite");
        records.forEach((record) => into.add({ workspace, record }));
        await new Promise((done, fail) => { into.transaction.oncomplete = done; into.transaction.onabort = () => fail(into.transaction.error); });
        fw.remember("changed", `${Date.now()}.${Math.random()}`); /* other tabs hear of it */
      },
    };
  };

  /* ---- in the workspace, through `facewash review` ---- */
  const serverLog = async () => {
    let offset = 0;
    const url = `${fw.server.base}/decisions`;
    const read = async () => {
      const answer = await fetch(`${url}?after=${offset}`);
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const text = await answer.text();
      offset += new TextEncoder().encode(text).length;
      return parseLines(text).records;
    };
    const poll = async () => {
      try { takeAll(await read()); } catch { /* tried again in a moment */ }
      setTimeout(poll, 2500);
    };
    setTimeout(poll, 2500);
    return {
      where: "in the workspace",
      read,
      append: async (records) => {
        const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/jsonl" }, body: records.map((r) => JSON.stringify(r) + "\n").join("") });
        if (!answer.ok) throw new Error(`not saved: the server answered ${answer.status}`);
      },
    };
  };

  const parseLines = (text) => {
    const records = [];
    let bad = 0;
    for (const line of text.split("\n")) {
      if (!line.trim()) continue;
      try { records.push(JSON.parse(line)); } catch { bad++; }
    }
    return { records, bad };
  };

  const newId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");

  fw.decisions = {
    open: async () => {
      try {
        state.backend = await (fw.server ? serverLog() : browserLog(fw.report.workspace));
        takeAll(await state.backend.read());
      } catch (error) {
        state.backend = { where: "nowhere: this browser keeps nothing, save the file before you leave", append: async () => {} };
        console.warn("facewash: no lasting storage", error);
      }
      state.saved = Number(fw.remember("saved." + fw.report.workspace) || 0);
    },
    /* entries: [{queue, item, answer, to, claims}] */
    add: async (entries) => {
      const when = new Date().toISOString(), who = fw.remember("who") || "curator";
      const records = entries.map((e) => ({ format: "facewash-decision-1", id: newId(), when, who, ...e }));
      takeAll(records);
      try { await state.backend.append(records); } catch (error) { fw.say(`Decision not kept: ${error.message}`); }
    },
    of: (item) => state.items.get(item),
    lastOf: (who) => state.log.findLast((r) => r.answer !== "u" && state.items.get(r.item) === r && (!who || r.who === who)),
    total: () => state.items.size,
    count: (queue) => counts[queue] || 0,
    unsaved: () => (fw.server ? 0 : Math.max(0, state.log.length - state.saved)),
    where: () => state.backend?.where || "",
    listen: (f) => { state.listeners.add(f); return () => state.listeners.delete(f); },
    text: () => state.log.map((r) => JSON.stringify(r) + "\n").join(""),
    save: () => {
      const url = URL.createObjectURL(new Blob([fw.decisions.text()], { type: "application/jsonl" }));
      const link = fw.el("a", { href: url, download: "decisions.jsonl" });
      document.body.append(link);
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
      state.saved = state.log.length;
      fw.remember("saved." + fw.report.workspace, String(state.saved));
      tell([]);
      fw.say(`Saved ${fw.plural(state.items.size, "decision")} as decisions.jsonl. facewash apply --work W --decisions decisions.jsonl lets them take effect.`);
    },
    load: async (file) => {
      const { records, bad } = parseLines(await file.text());
      const fresh = takeAll(records);
      await state.backend.append(fresh);
      fw.say(`${fw.plural(fresh.length, "new decision")} from ${fw.visible(file.name)}` + (bad ? `, ${fw.plural(bad, "damaged line")} passed over` : ""));
    },
  };
})();
