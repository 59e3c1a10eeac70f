/* main: navigation, keys, theme, and which page is shown. */
"use strict";
(async () => {
  const { el } = fw;
  const main = document.getElementById("main"), nav = document.getElementById("nav");
  let page = null, route = "", meters = {};

  /* Under `facewash review` the address ends in the token: http://127.0.0.1:PORT/TOKEN/ */
  if (location.protocol.startsWith("http") && /^\/[0-9a-f]{32}\//.test(location.pathname)) fw.server = { base: location.pathname.slice(0, 33) };

  const theme = (value) => {
    if (value === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = value;
    requestAnimationFrame(fw.redrawPlots);
  };
  const themes = ["auto", "light", "dark"];
  theme(fw.remember("theme") || "auto");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => requestAnimationFrame(fw.redrawPlots));

  const drawNav = () => {
    const item = (href, text, count) => el("li", {}, el("a", { href, id: "nav" + href.replace(/\W+/g, "-") }, el("span", {}, text), count));
    meters = {};
    const queueItem = (q) => {
      meters[q.key] = el("progress", { max: Math.max(1, q.shown), value: 0, "aria-label": `decided: ${fw.queues[q.key].title}` });
      const li = item(`#/${q.key}`, fw.queues[q.key].title, el("span.number", {}, fw.count(q.total)));
      li.append(meters[q.key]);
      return li;
    };
    const themeButton = el("button.quiet", { type: "button", onclick: () => { const now = themes[(themes.indexOf(fw.remember("theme") || "auto") + 1) % 3]; fw.remember("theme", now); theme(now); themeButton.textContent = "Theme: " + now; } }, "Theme: " + (fw.remember("theme") || "auto"));
    const saved = el("button", { type: "button", id: "decisions", onclick: fw.about });
    const drawSaved = () => { const n = fw.decisions.unsaved(); saved.textContent = `Decisions: ${fw.count(fw.decisions.total())}` + (n ? ` (${fw.count(n)} unsaved)` : ""); };
    fw.decisions.listen(drawSaved);
    drawSaved();
    nav.replaceChildren(el("div.brand", {}, el("a", { href: "#/" }, "facewash")), el("ul", {}, item("#/", "Overview"), fw.report.queues.map(queueItem), item("#/people", "Identities", el("span.number", {}, fw.count(fw.report.identities.total))), item("#/run", "The run")),
      el("div.foot", {}, saved, fw.server ? null : el("button.quiet", { type: "button", onclick: fw.decisions.save }, "Save decisions"), el("button.quiet", { type: "button", onclick: fw.help }, "Keys ", el("kbd", {}, "?")), themeButton));
  };

  const drawMeters = () => {
    for (const [key, meter] of Object.entries(meters)) meter.value = Math.min(meter.max, fw.decisions.count(key));
  };

  const show = async () => {
    const [, name = "", argument] = location.hash.split("/");
    const here = route = location.hash;
    page?.close();
    page = null;
    nav.querySelectorAll("a[aria-current]").forEach((a) => a.removeAttribute("aria-current"));
    document.getElementById(name ? `nav-${name === "person" ? "people" : name}` : "nav-")?.setAttribute("aria-current", "page");
    try {
      const made = await (name === "" ? fw.overviewPage(main) : name === "run" ? fw.runPage(main) : name === "people" ? fw.peoplePage(main) : name === "person" ? fw.personPage(main, Number(argument))
        : fw.queues[name] ? fw.queuePage(name, main) : Promise.reject(new Error("there is no such page")));
      if (route !== here) return made.close(); /* another page was asked for meanwhile */
      page = made;
      document.title = `${main.querySelector("h1")?.textContent || "report"} – facewash`;
      if (document.activeElement === document.body) main.querySelector("h1")?.focus({ preventScroll: true });
    } catch (error) {
      main.replaceChildren(el("div.sheet", {}, el("h1", { tabIndex: -1 }, "Not shown"), el("p", {}, fw.visible(error.message))));
    }
  };

  const goQueue = (step) => {
    const keys = fw.report.queues.map((q) => q.key), at = keys.indexOf(location.hash.slice(2));
    location.hash = `#/${keys[(at + step + keys.length + (at < 0 && step < 0 ? 1 : 0)) % keys.length]}`;
  };
  const everywhere = { "?": fw.help, "]": () => goQueue(1), "[": () => goQueue(-1), 0: () => { location.hash = "#/"; } };

  /* Keys act one after the other: an answer whose faces are still being loaded must not be overtaken by the next. */
  const waiting = [];
  let working = false;
  const work = async () => {
    working = true;
    while (waiting.length) {
      try {
        const going = waiting.shift()();
        if (going && going.then) await going;
      } catch (error) { fw.say(error.message); }
    }
    working = false;
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (typing && event.key === "Escape" && !fw.dialogOpen()) { typing.blur(); page?.keys.Escape?.(event); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || fw.dialogOpen()) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if ((key === " " || key === "Enter") && event.target.closest("button, a, summary") && !event.target.closest(".facecell")) return;
    if (key.length === 1 && key !== "?" && fw.remember("keys") === "off") return;
    const queue = /^[1-9]$/.test(key) ? fw.report.queues[key - 1] : null;
    const action = queue ? () => { location.hash = `#/${queue.key}`; } : page?.keys[key] || everywhere[key];
    if (!action) return;
    event.preventDefault();
    waiting.push(() => action(event));
    if (!working) work();
  });

  try {
    [fw.report, fw.ids] = await Promise.all([fw.load("overview"), fw.load("identities")]);
  } catch (error) {
    main.replaceChildren(el("div.sheet", {}, el("h1", {}, "This report is incomplete"), el("p", {}, fw.visible(error.message))));
    return;
  }
  fw.ids.lower = fw.ids.name.map((n) => n.toLocaleLowerCase());
  await fw.decisions.open();
  drawNav();
  fw.decisions.listen(drawMeters);
  drawMeters();
  window.addEventListener("hashchange", show);
  await show();
  document.documentElement.dataset.ready = "1";
})();
