/* dialogs: choose an identity, choose a face, the big photo, help, about decisions. All are <dialog> elements: the
 * browser keeps the focus inside and gives it back afterwards. */
"use strict";
(() => {
  const { el } = fw;

  const show = (dialog) => {
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
  };
  const head = (title, dialog) => el("header", {}, el("h2", { id: "dialog-title" }, title),
    el("button.quiet", { type: "button", "aria-label": "Close", onclick: () => dialog().close() }, "✕"));
  fw.dialogOpen = () => document.querySelector("dialog[open]") !== null;

  const matches = (text, first) => {
    const want = text.trim().toLocaleLowerCase(), found = [];
    if (!want) return first;
    const score = (name) => { const at = name.indexOf(want); return at < 0 ? -1 : at === 0 ? 0 : 1; };
    for (const rank of [0, 1])
      for (let no = 0; no < fw.ids.name.length && found.length < 12; no++)
        if (score(fw.ids.lower[no]) === rank) found.push(no);
    return found;
  };

  /* -> identity number, a new name as a string, or null. `first`: identities offered before anything is typed. */
  fw.chooseIdentity = (title, first) => new Promise((done) => {
    let options = [], at = 0, answer = null;
    const input = el("input", { type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "options", "aria-autocomplete": "list", "aria-label": "Identity", autocomplete: "off", placeholder: "Type a name" });
    const list = el("ul.options", { id: "options", role: "listbox", "aria-label": "Identities" });
    const draw = () => {
      const typed = input.value.trim();
      options = matches(typed, first);
      if (typed && !options.some((no) => fw.idName(no) === typed)) options = [...options, typed];
      at = Math.min(at, Math.max(0, options.length - 1));
      list.replaceChildren(...options.map((option, k) => el("li", { role: "option", id: "option-" + k, "aria-selected": String(k === at), onclick: () => { at = k; accept(); } },
        typeof option === "string" ? ["New identity: ", fw.name(option)]
          : [fw.strip(fw.ids.best[option] || [], 40, 4, ""), fw.name(fw.idName(option)), el("span.muted", {}, fw.plural(fw.ids.images[option], "image"))])));
      list.querySelectorAll(".strip").forEach((s) => { s.removeAttribute("role"); s.removeAttribute("aria-label"); });
      input.setAttribute("aria-activedescendant", options.length ? "option-" + at : "");
    };
    const accept = () => { answer = options.length ? options[at] : null; dialog.close(); };
    const key = (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && options.length) at = (at + step + options.length) % options.length;
      else if (event.key === "Enter") return event.preventDefault(), event.stopPropagation(), accept();
      else return;
      event.preventDefault();
      draw();
    };
    input.addEventListener("input", () => { at = 0; draw(); });
    input.addEventListener("keydown", key);
    const dialog = show(el("dialog.choose", { "aria-labelledby": "dialog-title", onclose: () => done(answer) }, head(title, () => dialog), input, list));
    draw();
    input.focus();
  });

  /* options: [{value, node, label}] -> value or null; 1..9 choose */
  fw.chooseOne = (title, options) => new Promise((done) => {
    let answer = null;
    const pick = (k) => { answer = options[k].value; dialog.close(); };
    const dialog = show(el("dialog.choose", { "aria-labelledby": "dialog-title", onclose: () => done(answer), onkeydown: (event) => {
      const k = Number(event.key) - 1;
      if (k >= 0 && k < options.length) { event.stopPropagation(); pick(k); }
    } }, head(title, () => dialog), el("div.picks", {}, options.map((option, k) =>
      el("button.pick", { type: "button", onclick: () => pick(k) }, option.node, el("span", {}, el("kbd", {}, String(k + 1)), " ", option.label))))));
  });

  fw.bigPhoto = (list, blind) => {
    const dialog = show(el("dialog.big", { "aria-labelledby": "dialog-title", onkeydown: (event) => { if (event.key === "o" || event.key === " ") { event.preventDefault(); event.stopPropagation(); dialog.close(); } } },
      head(list.length > 1 ? "Original photos" : "Original photo", () => dialog), el(list.length > 2 ? "div.side.many" : "div.side", {}, list.map((face) => el("div", {}, fw.photo(face, list.length > 2 ? 300 : list.length > 1 ? 460 : 640), fw.facts(face, blind))))));
  };

  const keys = [
    ["j  ↓ / k  ↑", "next, previous"], ["Shift + j / k", "select a range: answers go to all of it"],
    ["y / n", "agree, disagree with the machine"], ["r", "relabel: choose another identity (or the image to keep, the name to keep)"],
    ["u", "undo the answer of the row, or the last one"], ["p", "all rows on the screen are right: agree with each undecided one, go on"],
    ["o or Space", "original photos, large, with box and landmarks (the mouse over a face shows its one)"], ["i", "all faces of the identity"],
    ["/", "search by label"], ["f / s", "next filter, next order"], ["[ / ]", "previous, next queue"], ["1 … 9", "go to a queue; 0 overview"],
    ["PgUp PgDn Home End", "move by screens, to the ends"], ["?", "this list"],
  ];
  fw.help = () => {
    const off = fw.remember("keys") === "off";
    const dialog = show(el("dialog.help", { "aria-labelledby": "dialog-title" }, head("Keys", () => dialog),
      el("dl", {}, keys.map(([k, what]) => [el("dt", {}, k.split("  ").map((part) => el("kbd", {}, part))), el("dd", {}, what)])),
      el("label", {}, el("input", { type: "checkbox", checked: !off, onchange: (event) => fw.remember("keys", event.target.checked ? "on" : "off") }), " Single-key shortcuts")));
  };

  fw.about = () => {
    const who = el("input", { type: "text", id: "who", value: fw.remember("who") || "", placeholder: "curator", maxLength: 80, oninput: (event) => fw.remember("who", event.target.value.trim()) });
    const file = el("input", { type: "file", id: "load", accept: ".jsonl,.json,.txt", onchange: () => file.files[0] && fw.decisions.load(file.files[0]) });
    const dialog = show(el("dialog.help", { "aria-labelledby": "dialog-title" }, head("Decisions", () => dialog),
      el("p", {}, `${fw.plural(fw.decisions.total(), "decision")}, kept ${fw.decisions.where()}.`),
      fw.server ? el("p", {}, "Each is written to the workspace at once; the next run honours it.")
        : el("p", {}, "To let them take effect, save them and run ", el("code", {}, "facewash apply --work W --decisions decisions.jsonl"), "."),
      el("p", {}, el("label", { htmlFor: "who" }, "Your name, written with each decision "), who),
      el("p.buttons", {}, el("button", { type: "button", onclick: fw.decisions.save }, "Save as a file")),
      el("p", {}, el("label", { htmlFor: "load" }, "Add the decisions of a file "), file)));
  };
})();
