/* list: a list of any length of which only the visible rows exist. Rows have one height, so where row i lies is known
 * without measuring; 20,000 rows cost what 20 cost. For screen readers it is a feed of articles that know their place.
 *
 * o: {height, count, render(i) -> nodes, label(i) -> text, move(i): the current row changed} */
"use strict";
fw.List = class {
  constructor(o) {
    Object.assign(this, o);
    this.current = 0;
    this.anchor = 0; /* the other end of the selection */
    this.rows = new Map();
    this.room = fw.el("div.room", { role: "feed", "aria-label": o.title });
    this.node = fw.el("div.list", {}, this.room);
    this.node.addEventListener("scroll", () => this.draw(), { passive: true });
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.node);
    this.setCount(o.count);
  }

  close() {
    this.resized.disconnect();
  }

  setCount(count) {
    this.count = count;
    this.room.style.height = count * this.height + "px";
    this.room.setAttribute("role", count ? "feed" : "group");
    this.current = this.anchor = Math.max(0, Math.min(this.current, count - 1));
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.draw();
  }

  selected() {
    return [Math.min(this.current, this.anchor), Math.max(this.current, this.anchor)];
  }

  visible() {
    const top = this.node.scrollTop, size = this.node.clientHeight;
    return [Math.max(0, Math.ceil(top / this.height - 0.35)), Math.min(this.count, Math.floor((top + size) / this.height + 0.35)) - 1];
  }

  draw() {
    const first = Math.max(0, Math.floor(this.node.scrollTop / this.height) - 3);
    const last = Math.min(this.count, Math.ceil((this.node.scrollTop + this.node.clientHeight) / this.height) + 3);
    for (const [i, row] of this.rows)
      if ((i < first || i >= last) && i !== this.current) {
        row.remove();
        this.rows.delete(i);
      }
    for (let i = first; i < last; i++) if (!this.rows.has(i)) this.make(i);
    if (this.count && !this.rows.has(this.current)) this.make(this.current);
  }

  make(i) {
    const row = fw.el("article.row", { "aria-posinset": String(i + 1), "aria-setsize": String(this.count), onmousedown: (event) => this.click(event, i),
      onfocus: () => { if (i !== this.current) this.go(i, false, false); } });
    row.style.top = i * this.height + "px";
    row.style.height = this.height + "px";
    this.rows.set(i, row);
    this.fill(i);
    /* DOM order is reading order */
    let next = null;
    for (const [k, other] of this.rows) if (k > i && other.parentNode && (next === null || k < next[0])) next = [k, other];
    this.room.insertBefore(row, next ? next[1] : null);
  }

  fill(i) {
    const row = this.rows.get(i);
    if (!row) return;
    row.replaceChildren(...[this.render(i)].flat());
    row.setAttribute("aria-label", this.label(i));
    this.mark(i);
  }

  mark(i) {
    const row = this.rows.get(i), [a, b] = this.selected();
    if (!row) return;
    row.tabIndex = i === this.current ? 0 : -1;
    row.classList.toggle("current", i === this.current);
    row.classList.toggle("selected", a !== b && i >= a && i <= b);
    if (i === this.current) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }

  click(event, i) {
    if (event.target.closest("button, a, input")) return this.go(i, false, false);
    event.preventDefault();
    this.go(i, event.shiftKey, true);
  }

  /* Make row i the current one; `extend` keeps the other end of the selection. */
  go(i, extend, focus = true) {
    if (!this.count) return;
    i = Math.max(0, Math.min(i, this.count - 1));
    this.current = i;
    if (!extend) this.anchor = i;
    const top = i * this.height, view = this.node;
    if (top < view.scrollTop) view.scrollTop = Math.max(0, top - this.height * 0.4);
    else if (top + this.height > view.scrollTop + view.clientHeight) view.scrollTop = top + this.height * 1.4 - view.clientHeight;
    this.draw();
    for (const k of this.rows.keys()) this.mark(k);
    if (focus) this.rows.get(i).focus({ preventScroll: true });
    this.move(i);
  }
};
