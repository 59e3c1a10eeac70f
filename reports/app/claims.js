/* claims: what an answer means, in terms of content hashes and labels alone, so that it stays true after renames, new
 * images and new models. The stage `decide` reads claims and nothing else of a decision.
 *
 *   {face: HASH, label: L, is: true|false}             this face is (not) the person L
 *   {face: HASH, use: true|false}                      keep this image whatever its quality / do not use it
 *   {faces: [HASH, HASH], same_person: true|false}     two faces are (not) one person (also across a benchmark)
 *   {images: [KEPT, OTHER], same_image: true|false}    two images are (not) copies; KEPT is the one to keep
 *   {labels: [L, INTO], same_person: true|false}       two identities are (not) one person
 *
 * L is the label's text, or {hex: "bytes"} where the label is not UTF-8. */
"use strict";
(() => {
  const label = (no) => (fw.ids.hex[no] ? { hex: fw.ids.hex[no] } : fw.ids.name[no]);

  const aboutLabel = (row, answer, to) => {
    const face = fw.face(row.f), mine = { face: face.hash, label: label(row.id), is: answer === "n" };
    if (answer === "n") return [mine];
    if (answer === "r") return [mine, { face: face.hash, label: typeof to === "string" ? to : label(to), is: true }];
    return face.verdict === 2 && face.to >= 0 && face.to !== row.id ? [mine, { face: face.hash, label: label(face.to), is: true }] : [mine];
  };

  /* Of one photo under the names of several people the kept copy says who it is, or the answer would settle nothing
   * where the bytes are the same. Labels that are merged are one person. */
  const person = (no) => (fw.ids.action[no] === 1 && fw.ids.other[no] >= 0 ? fw.ids.other[no] : no);
  const aboutCopies = (row, answer, to) => {
    const kept = fw.face(answer === "r" ? to : row.kept), others = row.members.filter((f) => f !== kept.f).map(fw.face);
    const claims = others.filter((o) => o.hash !== kept.hash).map((o) => ({ images: [kept.hash, o.hash], same_image: answer !== "n" }));
    const elsewhere = answer === "n" || row.people < 2 || kept.id < 0 ? [] : others.filter((o) => o.id >= 0 && person(o.id) !== person(kept.id));
    const is = (face, no, yes) => claims.push({ face: face.hash, label: label(no), is: yes });
    if (elsewhere.length) is(kept, kept.id, true);
    for (const o of elsewhere) { is(o, o.id, false); if (o.hash !== kept.hash) is(o, kept.id, true); }
    return claims;
  };

  const aboutIdentities = (row, answer, to) => {
    const into = answer === "r" ? to : row.b, from = into === row.a ? row.b : row.a;
    return [{ labels: [label(from), label(into)], same_person: answer !== "n" }];
  };

  const aboutGroups = (row, answer) =>
    row.groups.slice(1).map((g) => ({ faces: [fw.face(row.groups[0][0]).hash, fw.face(g[0]).hash], same_person: answer === "n" }));

  const aboutPair = (row, answer) => [{ faces: [fw.face(row.f).hash, fw.face(row.bf).hash], same_person: answer !== "n" }];
  const aboutUse = (row, answer) => [{ face: fw.face(row.f).hash, use: answer === "n" }];

  /* The sample asks the other way round, because nearly all of it is right: y says that the label is right. */
  const aboutSample = (row, answer, to) => {
    const mine = { face: fw.face(row.f).hash, label: label(row.id), is: answer === "y" };
    return answer === "r" ? [mine, { face: mine.face, label: typeof to === "string" ? to : label(to), is: true }] : [mine];
  };

  const meaning = { sample: aboutSample, mislabeled: aboutLabel, outlier: aboutLabel, person: aboutLabel, duplicate: aboutCopies, merge: aboutIdentities, split: aboutGroups, overlap: aboutPair, quality: aboutUse, unreadable: aboutUse };
  fw.claims = (queue, row, answer, to) => (answer === "u" ? [] : meaning[queue](row, answer, to));

  /* The name under which a row's decision is found again after a re-run: what it is about, never its number. */
  fw.itemKey = (queue, row) => {
    const text = (no) => fw.ids.hex[no] || fw.ids.name[no];
    if (queue === "merge") return `merge:${[text(row.a), text(row.b)].sort().join("\u0000")}`;
    if (queue === "split") return `split:${text(row.id)}`;
    if (queue === "duplicate") return `duplicate:${row.key}`;
    if (queue === "sample") return `sample:${row.key}:${row.id < 0 ? "" : text(row.id)}`;
    if (queue === "overlap") return `overlap:${row.key}`;
    return queue === "quality" || queue === "unreadable" ? `use:${row.key}` : `label:${row.key}:${row.id < 0 ? "" : text(row.id)}`;
  };
  fw.answers = { y: "agreed", n: "disagreed", r: "changed", u: "undone" };
})();
