// A report with made-up content for the browser tests: reports/ as it is, data files as reports/DATA.md describes them.
// makeReport(dir, {rows: flagged faces per queue, photos: [paths], base: URL of their folder, sheet: Buffer of a JPEG})
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const reports = fileURLToPath(new URL("../../reports", import.meta.url));

// Names that have broken such pages before; each must show as itself.
export const hostile = [
  "<script>window.hacked=1</script>", `"><img src=x onerror="window.hacked=2">`, "O'Brien \"Bob\" & <b>Co</b>", "line\nbreak\ttab",
  "\u202Eevil\u202C", "محمد علي", "עברית שם", "</script><script>window.hacked=3</script>", "${window.hacked=4}", "caf\\xE9", "javascript:window.hacked=5", "a/b/../c", "\u2028line", "name with   spaces", "𝕌𝕟𝕚 👩‍🚀", "constructor", "__proto__", "x".repeat(300),
];

const write = (dir, name, value) =>
  writeFileSync(`${dir}/data/${name}.js`, `fw.data(${JSON.stringify(name)}, ${JSON.stringify(value).replace(/<\//g, "<\\/").replace(/\u2028/g, "\\u2028").replace(/\u2029/g, "\\u2029")});\n`);
const pad = (n) => String(n).padStart(4, "0");

// 8 x 1 pixels of JPEG stretch over any sheet: enough where nobody looks at the faces.
const smallest = Buffer.from("/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AVN//2Q==", "base64");

export function makeReport(dir, { rows = 300, identities = 400, photos = null, base = null, sheet = smallest, sheets = null } = {}) {
  rmSync(dir, { recursive: true, force: true });
  for (const part of ["index.html", "app", "vendor"]) cpSync(`${reports}/${part}`, `${dir}/${part}`, { recursive: true });
  mkdirSync(`${dir}/data`);
  mkdirSync(`${dir}/sheets`);
  let seed = 1;
  const random = () => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed / 2147483648; };
  const pick = (n) => Math.floor(random() * n);
  const names = Array.from({ length: identities }, (_, i) => (i < hostile.length ? hostile[i] : `Person ${pad(i)}`));
  const faces = Math.max(rows, 600), per = 8;
  const idOf = (f) => f % identities, hash = (f) => f.toString(16).padStart(32, "0");
  const all = (make, n = faces) => Array.from({ length: n }, (_, f) => make(f));
  const p = all(() => Math.round(1000 * random() ** 0.3) / 1000);

  for (let c = 0; c * 500 < faces; c++) {
    const at = (make) => all(make).slice(c * 500, c * 500 + 500);
    write(dir, "faces_" + pad(c), {
      path: at((f) => (photos ? photos[f % photos.length] : `${names[idOf(f)]}/img_${f}.jpg`)), hex: {}, set: at((f) => (f % 97 === 3 ? 1 : 0)), row: at((f) => f), id: at((f) => idOf(f)), hash: at(hash), status: at((f) => (f % 53 === 7 ? 2 : f % 53 === 8 ? 1 : 0)),
      why: Object.fromEntries(at((f) => f).map((f, i) => [i, f]).filter(([, f]) => f % 53 === 7).map(([i]) => [i, "premature end of <JPEG> data"])),
      p: at((f) => p[f]), sim: at(() => random() * 0.5), other: at((f) => (f * 7 + 1) % identities), other_sim: at(() => 0.4 + random() * 0.4), verdict: at((f) => pick(4)), flags: at((f) => 1 << pick(10)),
      to: at((f) => (f % 3 ? (f * 7 + 1) % identities : -1)), person: at((f) => (f % 41 ? 1 : 2)), also: at((f) => (f % 29 ? -1 : (f + 9) % identities)), faces: at(() => 1 + pick(3)), det: at(() => 0.9), quality: at(() => random()), brightness: at(() => 60 + pick(120)), sharpness: at(() => pick(40)),
      yaw: at(() => pick(60) - 30), pitch: at(() => pick(30) - 15), roll: at(() => pick(20) - 10), size: at(() => [250, 250]), box: at(() => [70, 65, 180, 190]), landmark: at(() => [105, 112, 145, 112, 125, 138, 108, 158, 142, 158]),
    });
  }
  const some = (no) => all((k) => (no * 3 + k * identities) % faces, 6);
  write(dir, "identities", { name: names, hex: { 9: "636166e9" }, images: all(() => 5 + pick(40), identities), kept: all(() => 3 + pick(3), identities), cohesion: all(() => 0.3 + random() * 0.5, identities), action: all((i) => (i % 9 ? 0 : pick(5)), identities),
    other: all((i) => (i % 9 ? -1 : (i + 5) % identities), identities), score: all(() => random(), identities), flagged: all(() => pick(6), identities), best: all(some, identities), page: all((i) => (i < 128 ? 1 : 0), identities) });
  for (let c = 0; c < 2; c++)
    write(dir, "people_" + pad(c), all((i) => { const n = 24, list = all((k) => ((c * 64 + i) * 5 + k * 3) % faces, n); return { faces: list, total: n, map_n: n, map: Buffer.from(all(() => 128 + pick(110), (n * (n - 1)) / 2)).toString("base64") }; }, 64));

  const base_ = { f: all((f) => f, rows), id: all(idOf, rows), p: all((f) => p[f], rows), to: all((f) => (f % 3 ? (f * 7 + 1) % identities : -1), rows), worth: all((f) => 1 - Math.abs(2 * p[f] - 1), rows), key: all(hash, rows) };
  const few = Math.min(rows, 120);
  write(dir, "queue_mislabeled", base_);
  write(dir, "queue_outlier", { ...Object.fromEntries(Object.entries(base_).map(([k, v]) => [k, v.slice(0, few)])), f: all((i) => (i + 300) % faces, few), id: all((i) => idOf((i + 300) % faces), few), key: all((i) => hash((i + 300) % faces), few), to: all(() => -1, few) });
  write(dir, "queue_duplicate", { kept: all((i) => i * 3, few), members: all((i) => [i * 3, i * 3 + 1, i * 3 + 2], few), kind: all(() => [0, 1, 2], few), sim: all(() => [1, 1, 0.93], few), size: all((i) => (i % 10 ? 3 : 7), few), people: all((i) => (i % 2 ? 1 : 2), few), why: all((i) => (i % 2 ? [1, 4, 3][i % 3] : i % 4 ? 3 : 2), few), id: all((i) => idOf(i * 3), few), worth: all(() => random(), few), key: all((i) => `${hash(i * 3)}+${hash(i * 3 + 1)}`, few) });
  write(dir, "queue_merge", { a: all((i) => i, few), b: all((i) => (i + 31) % identities, few), score: all(() => random(), few), worth: all(() => random(), few) });
  write(dir, "queue_split", { id: all((i) => i, few), groups: all((i) => [some(i), some(i + 3)], few), sizes: all(() => [14, 5], few), score: all(() => random(), few), worth: all(() => random(), few) });
  write(dir, "queue_overlap", { f: all((i) => i, few), bf: all((i) => (i * 97 + 3) % faces, few), blabel: all((i) => names[(i * 3) % identities], few), sim: all(() => 0.5 + random() / 2, few), score: all(() => random(), few), rule: all(() => pick(3), few), id: all(idOf, few), worth: all(() => random(), few), key: all((i) => `${hash(i)}+${hash(i + 1)}`, few) });
  write(dir, "queue_quality", { f: all((i) => (i + 420) % faces, few), id: all((i) => idOf((i + 420) % faces), few), q: all(() => random() / 10, few), worth: all(() => random(), few), key: all((i) => hash((i + 420) % faces), few) });
  write(dir, "queue_unreadable", { f: all((i) => i * 53 + 7, 8).filter((f) => f < faces), id: all((i) => idOf(i * 53 + 7), 8), status: all(() => 2, 8), worth: all(() => 0.1, 8), key: all((i) => hash(i * 53 + 7), 8) });

  write(dir, "queue_sample", { f: all((i) => (i * 11 + 2) % faces, 60), id: all((i) => idOf((i * 11 + 2) % faces), 60), p: all(() => 0.1, 60), to: all(() => -1, 60), worth: all((i) => 1 - i / 60, 60), key: all((i) => hash((i * 11 + 2) % faces), 60) });

  const bins = (n, f) => all((i) => Math.round(f((i + 0.5) / n)), n), bell = (x, m, s) => Math.exp(-((x - m) ** 2) / (2 * s * s));
  const pair = (key, title, unit, from, to, m, s) => ({ key, title, unit, from, to, before: bins(30, (x) => 900 * bell(x, m, s)), after: bins(30, (x) => 760 * bell(x, m, s * 0.95)), shift: 0.021 });
  write(dir, "overview", {
    format: 1, workspace: "fixture", version: "0.1.0", made: "2026-01-02T03:04:05Z", chunk: 500, per_sheet: 64, cell: 112, sheet_columns: 8, people_chunk: 64, thumbs: faces, faces,
    sets: [{ name: "", source: "dir:/data/faces <b>", base, images: 13233 }, { name: "lfw", source: "dir:/data/lfw", base, images: 600 }],
    counts: { images: 13233, with_face: 13102, no_face: 96, unreadable: 30, unsupported: 5, multi_face: 900, identities: 5749, kept: 10911, removed: 1600, relabel: 612, review: 110, identities_kept: 5540 },
    policy: "balanced", policies: [["conservative", 1500, 1495.2, 700.4], ["balanced", 2210, 2150.7, 80], ["aggressive", 2600, 2195, 31.2]].map(([policy, flagged, expected_wrong, expected_missed]) => ({ policy, flagged, expected_wrong, expected_missed })),
    decisions: { decisions: 214, applied: 212, unmatched: 2, without_claims: 0, damaged_lines: 0, images: 230, curators: ["anna"], shifts: { outlier: { answers: 40, agreed: 31, shift: -0.9, sd: 0.4, threshold: { machine: 0.5, now: 0.71 }, changed: 12 } } },
    assess: { sample: { images: 60, population: 11523, seed: 1, judged: 40, wrong: 1, rate: 0.025, interval95: [0.0006, 0.1316] }, precision: { flags: 2210, reviewed: 200, confirmed: 191, estimate: 0.955, interval95: [0.916, 0.979] }, recall: { estimate: 0.88, interval95: [0.57, 0.99] } },
    noise: { rate: 0.172, low: 0.161, high: 0.184, how: "mean of P(label is wrong)" }, identities: { total: 5749, shown: identities },
    thresholds: [{ name: "same person", value: 0.3812, how: "impostor pairs at a false-alarm rate of 0.001" }, { name: "near duplicate", value: 0.92, how: "fixed" }],
    similarity: { from: -0.4, to: 1, genuine: bins(70, (x) => 4000 * bell(x, 0.7, 0.11)), impostor: bins(70, (x) => 40000 * bell(x, 0.33, 0.07)), marks: [{ name: "same person", value: 0.3812 }] },
    distributions: [{ key: "p", title: "P", unit: "", from: 0, to: 1, before: bins(40, (x) => 20 + 900 * (x < 0.05) + 300 * (x > 0.93)), after: bins(40, () => 0), shift: 0 }, { key: "sizes", title: "Images per identity", names: ["1", "2", "3–4", "5–8", "9–16", "17–32", "33–64", "65+"], before: [4069, 779, 440, 260, 120, 50, 20, 11], after: [3900, 760, 430, 250, 115, 50, 20, 10], shift: 0.01 },
      pair("quality", "Quality", "", 0, 1, 0.6, 0.15), pair("yaw", "Yaw", "degrees", -60, 60, 0.5, 0.15), pair("pitch", "Pitch", "degrees", -40, 40, 0.5, 0.12), pair("brightness", "Brightness", "mean luma", 0, 255, 0.5, 0.15), pair("eyes", "Eye distance", "pixels", 0, 80, 0.5, 0.1)],
    queues: [["mislabeled", rows], ["outlier", few], ["duplicate", few], ["merge", few], ["split", few], ["overlap", few], ["quality", few], ["unreadable", 8], ["sample", 60]].map(([key, n]) => ({ key, ...(key === "duplicate" ? { across: 60 } : {}), total: key === "mislabeled" ? n + 700 : n, shown: n })),
    run: { stages: [["detect", 91.2], ["audit", 3.4]].map(([name, seconds]) => ({ name, version: 1, seconds, summary: "what it does" })), models: [{ name: "mobilefacenet", task: "embed", licence: "MIT", sha256: "ab".repeat(32) }], settings: [["audit.policy", "balanced", false], ["knn.k", "32", true]] },
  });
  for (let s = 0; s * 64 < faces; s++) if (!sheets) writeFileSync(`${dir}/sheets/${pad(s)}.jpg`, sheet);
}
if (process.argv[1] === fileURLToPath(import.meta.url)) makeReport(process.argv[2], JSON.parse(process.argv[3] || "{}"));
