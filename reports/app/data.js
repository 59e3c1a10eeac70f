/* data: the report's own data files, loaded as scripts so that a page opened from a folder may read them.
 * What is in them: reports/DATA.md. */
"use strict";
(() => {
  const waiting = new Map(), loaded = new Map();

  /* called by the data files */
  fw.data = (name, value) => {
    loaded.set(name, value);
    waiting.get(name)?.done(value);
  };

  fw.load = (name) => {
    if (loaded.has(name)) return Promise.resolve(loaded.get(name));
    const known = waiting.get(name);
    if (known) return known.promise;
    const entry = {};
    entry.promise = new Promise((done, fail) => { entry.done = done; entry.fail = fail; });
    waiting.set(name, entry);
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onerror = () => { waiting.delete(name); entry.fail(new Error(`cannot read data/${name}.js`)); };
    script.onload = () => { script.remove(); if (!loaded.has(name)) entry.fail(new Error(`data/${name}.js is damaged`)); };
    document.head.append(script);
    return entry.promise;
  };
  fw.loaded = (name) => loaded.get(name);

  const number = (n) => String(n).padStart(4, "0");

  /* A face as an object, or null while its chunk is still on its way (which this call starts). */
  fw.face = (f) => {
    const size = fw.report.chunk, name = "faces_" + number(Math.floor(f / size)), c = loaded.get(name);
    if (!c) { fw.load(name).catch((e) => fw.say(e.message)); return null; }
    const i = f % size;
    return {
      f, path: c.path[i], hex: c.hex[i], set: c.set[i], row: c.row[i], id: c.id[i], hash: c.hash[i], status: c.status[i], why: c.why[i],
      p: c.p[i], sim: c.sim[i], other: c.other[i], otherSim: c.other_sim[i], verdict: c.verdict[i], flags: c.flags[i],
      to: c.to[i], person: c.person[i], also: c.also[i], faces: c.faces[i], det: c.det[i], quality: c.quality[i], brightness: c.brightness[i],
      sharpness: c.sharpness[i], yaw: c.yaw[i], pitch: c.pitch[i], roll: c.roll[i], size: c.size[i], box: c.box[i], landmark: c.landmark[i],
    };
  };
  fw.faceReady = (f) => fw.load("faces_" + number(Math.floor(f / fw.report.chunk))).then(() => fw.face(f));
  /* Load what a row needs, then call `then` once; true when all of it is there already. */
  fw.withFaces = (list, then) => {
    const missing = [...new Set(list.filter((f) => f >= 0).map((f) => "faces_" + number(Math.floor(f / fw.report.chunk))))].filter((n) => !loaded.has(n));
    if (!missing.length) return true;
    Promise.all(missing.map(fw.load)).then(then, (e) => fw.say(e.message));
    return false;
  };

  /* identities: columns, by number */
  fw.idName = (no) => (no < 0 ? "" : fw.ids.name[no]);
  fw.personData = async (no) => {
    const per = fw.report.people_chunk, chunk = await fw.load("people_" + number(Math.floor(no / per)));
    return chunk[no % per];
  };

  /* The original photo as a URL: from the server when there is one, else from the disk when the source is a folder. */
  fw.photoUrl = (face) => {
    if (fw.server) return `${fw.server.base}/photo/${face.set}/${face.row}/${face.hash}`;
    let base = fw.report.sets[face.set].base;
    if (!base) return null;
    if (face.path.startsWith("/")) base = "file://"; /* a list may name photos anywhere */
    if (face.hex) return base + face.hex.replace(/../g, "%$&").replace(/%2f/gi, "/");
    return base + face.path.split("/").map(encodeURIComponent).join("/");
  };
  fw.sheetUrl = (f) => `sheets/${number(Math.floor(f / fw.report.per_sheet))}.jpg`;
})();
