/* faces: thumbnails out of the sheets, and the original photo with what the detector saw. */
"use strict";
(() => {
  const { el, svg } = fw;

  /* alt "": decoration that something else already says */
  fw.thumb = (f, size, alt = "") => {
    const node = el("span.face", alt ? { role: "img", "aria-label": alt } : { "aria-hidden": "true" });
    node.style.width = node.style.height = size + "px";
    if (f >= 0) node.dataset.f = f;
    if (f < 0 || f >= fw.report.thumbs) {
      node.classList.add("none");
      return node;
    }
    const columns = fw.report.sheet_columns, cell = f % fw.report.per_sheet;
    node.style.backgroundImage = `url("${fw.sheetUrl(f)}")`;
    node.style.backgroundSize = columns * size + "px auto";
    node.style.backgroundPosition = `${-(cell % columns) * size}px ${-Math.floor(cell / columns) * size}px`;
    return node;
  };

  fw.strip = (list, size, most, alt) =>
    el("span.strip", { role: "img", "aria-label": alt }, list.slice(0, most).map((f) => fw.thumb(f, size)));

  const overlay = (face) => {
    const [w, h] = face.size, thin = Math.max(w, h) / 220;
    const layer = svg("svg", { viewBox: `0 0 ${w} ${h}`, "aria-hidden": "true", class: "overlay" });
    if (!face.box) return layer;
    const [x0, y0, x1, y1] = face.box;
    layer.append(svg("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, "stroke-width": thin, rx: thin }));
    for (let i = 0; i < 10; i += 2)
      layer.append(svg("circle", { cx: face.landmark[i], cy: face.landmark[i + 1], r: thin * 1.2 }));
    return layer;
  };

  /* The original photo; where it cannot be had, the thumbnail and where the photo should be. */
  fw.photo = (face, limit = 320) => {
    const url = fw.photoUrl(face), figure = el("figure.photo");
    const instead = (why) => figure.replaceChildren(fw.thumb(face.f, Math.min(224, limit), "face"), el("figcaption", {}, why));
    if (!url || !face.size || !face.size[0]) {
      instead(face.status >= 2 ? `No picture: ${fw.statuses[face.status]}.` : "The original photo cannot be shown from here.");
      return figure;
    }
    const [w, h] = face.size, frame = el("div.frame");
    frame.style.aspectRatio = `${w} / ${h}`;
    frame.style.maxWidth = `calc(${limit}px * ${Math.min(1, w / h)})`;
    frame.append(el("img", { src: url, alt: "original photo: " + fw.visible(face.path), decoding: "async",
      onerror: () => instead("The original photo is not where it was when the dataset was read.") }), overlay(face));
    figure.append(frame, el("figcaption", {}, el("a", { href: url, target: "_blank", rel: "noopener noreferrer", tabIndex: -1 }, "open the photo")));
    return figure;
  };

  /* Under the mouse: the original of any face on the page, after a moment, beside the pointer. Keyboards have o. */
  const peek = el("div.peek", { hidden: true, "aria-hidden": "true" });
  let over = null, timer = 0;
  const hide = () => { clearTimeout(timer); over = null; peek.hidden = true; peek.replaceChildren(); };
  const showPeek = async (node, x, y) => {
    const face = await fw.faceReady(Number(node.dataset.f));
    if (over !== node || !node.isConnected) return;
    (document.querySelector("dialog[open]") || document.body).append(peek); /* a dialog lies above the page */
    peek.replaceChildren(fw.photo(face, 300), el("div.small", {}, fw.name(face.path)));
    peek.hidden = false;
    const box = peek.getBoundingClientRect();
    peek.style.left = Math.max(8, x + 24 + box.width > innerWidth ? x - 24 - box.width : x + 24) + "px";
    peek.style.top = Math.max(8, Math.min(y - box.height / 3, innerHeight - box.height - 8)) + "px";
  };
  document.addEventListener("mouseover", (event) => {
    const node = event.target.closest?.(".face[data-f]");
    if (node === over) return;
    hide();
    if (!node) return;
    over = node;
    timer = setTimeout(() => showPeek(node, event.clientX, event.clientY).catch(() => {}), 300);
  });
  document.addEventListener("keydown", hide, true);
  document.addEventListener("scroll", hide, { capture: true, passive: true });

  /* blind: without what the machine thinks of it */
  fw.facts = (face, blind) => {
    const rows = blind ? [["file", fw.name(face.path)], face.size && face.size[0] ? ["photo", `${face.size[0]} × ${face.size[1]} px, ${fw.plural(face.faces, "face")}`] : null] : [
      ["file", fw.name(face.path)],
      face.set ? ["benchmark", fw.name(fw.report.sets[face.set].name)] : null,
      face.p >= 0 ? ["P(label is wrong)", fw.fixed(face.p, 3)] : null,
      face.sim !== null ? ["similarity to its identity", fw.fixed(face.sim)] : null,
      face.otherSim !== null && face.other >= 0 ? ["to the best other", [fw.fixed(face.otherSim), " ", fw.idLink(face.other)]] : null,
      face.verdict !== null ? ["verdict", fw.verdict(face)] : null,
      face.also >= 0 ? ["the same photo also under", fw.idLink(face.also)] : null,
      face.flags ? ["flags", fw.flags.filter((_, k) => face.flags >> k & 1).join(", ")] : null,
      face.why ? ["reason", fw.visible(face.why)] : null,
      face.size && face.size[0] ? ["photo", `${face.size[0]} × ${face.size[1]} px, ${fw.plural(face.faces, "face")}`] : null,
      face.quality !== null ? ["quality", `${fw.fixed(face.quality)} (detector ${fw.fixed(face.det)}, sharpness ${fw.fixed(face.sharpness, 0)}, brightness ${fw.fixed(face.brightness, 0)})`] : null,
      face.yaw !== null ? ["pose", `yaw ${fw.fixed(face.yaw, 0)}°, pitch ${fw.fixed(face.pitch, 0)}°, roll ${fw.fixed(face.roll, 0)}°`] : null,
      ["content hash", el("code", {}, face.hash)],
    ];
    return el("dl.facts", {}, rows.filter(Boolean).map(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]));
  };

  fw.newName = (face) => (face.to < 0 ? "" : fw.idName(face.to) + (face.person > 1 ? "#" + face.person : ""));
  fw.verdict = (face) => {
    const text = fw.verdicts[face.verdict];
    return el("span.verdict." + text, {}, text, face.to >= 0 ? [" → ", fw.name(fw.newName(face))] : null);
  };
  fw.idLink = (no) => (no < 0 ? "–" : el("a", { href: `#/person/${no}`, tabIndex: 0 }, fw.name(fw.idName(no))));
})();
