/* core: the namespace, building the page out of nodes, and text that came from the dataset.
 *
 * Every string of the dataset (paths, labels, reasons) reaches the page as a text node and nothing else: there is no
 * innerHTML in this program, and the page's policy forbids inline scripts. */
"use strict";
const fw = {};

/* el("div.card", {id: "x", onclick: f}, child, "text", [more]) */
fw.el = (what, props, ...children) => {
  const [tag, ...classes] = what.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && key !== "list" && key !== "role") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((c) => c !== undefined && c !== null && c !== false));
  return node;
};

fw.svg = (tag, attributes, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

/* Control characters have no shape of their own, and directional marks change how the rest looks: both are shown by
 * number, so that a name that contains them cannot look like another. */
fw.visible = (text) =>
  text.replace(/[\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]/g,
    (c) => `\u27e8U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`);

/* A name of the dataset, isolated from the direction of the text around it. */
fw.name = (text, more) => fw.el("bdi.name", { title: fw.visible(text), ...more }, fw.visible(text) || "\u2205");

fw.count = (n) => Number(n).toLocaleString("en-US");
fw.percent = (x, digits = 1) => (100 * x).toFixed(digits) + " %";
fw.plural = (n, one, many = one + "s") => `${fw.count(n)} ${n === 1 ? one : many}`;
fw.fixed = (x, digits = 2) => (x === null || x === undefined || !Number.isFinite(x) ? "–" : x.toFixed(digits));

/* Spoken by screen readers and shown for a moment at the foot of the page. */
let sayTimer = 0;
fw.say = (text) => {
  const box = document.getElementById("say");
  box.textContent = text;
  box.classList.add("shown");
  clearTimeout(sayTimer);
  sayTimer = setTimeout(() => box.classList.remove("shown"), 4000);
};

/* Small settings of this browser; a browser that forbids storage simply forgets them. */
fw.remember = (key, value) => {
  try {
    if (value === undefined) return localStorage.getItem("facewash." + key);
    localStorage.setItem("facewash." + key, value);
  } catch { /* private mode */ }
  return value === undefined ? null : value;
};

fw.debounce = (ms, f) => {
  let timer = 0;
  return (...a) => { clearTimeout(timer); timer = setTimeout(() => f(...a), ms); };
};

fw.flags = ["mislabeled", "outlier", "exact duplicate", "near duplicate", "low quality", "no face", "several faces", "unreadable", "overlap", "small identity"];
fw.verdicts = ["keep", "remove", "relabel", "review"];
fw.actions = ["keep", "merge", "split", "drop", "review"];
fw.statuses = ["ok", "no face", "unreadable", "unsupported"];
