// `facewash review`: who gets in, what it serves, what it keeps; and two curators at work in browsers.
// Needs the program (FACEWASH, default build/facewash) and the demo photos (DEMO_DIR); skipped without them.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const program = process.env.FACEWASH || `${root}/build/facewash`;
const demo = process.env.DEMO_DIR || (existsSync(`${root}/build/deps.mk`) && /^DEMO_DIR := (.*)$/m.exec(readFileSync(`${root}/build/deps.mk`, "utf8"))?.[1]);
const knows = () => { try { execFileSync(program, ["help", "review"], { stdio: "ignore" }); return true; } catch { return false; } };
const missing = !existsSync(program) ? "no program" : !knows() ? "the program has no review command" : !demo || !existsSync(demo) ? "no demo photos" : false;
const need = createRequire(process.env.BROWSER_DEPS + "/"), { chromium } = need("playwright-core");
const work = `${process.env.BROWSER_WORK}/review`, W = `${work}/W`;
let server, url, port, token, base, browser;

const start = () => new Promise((done, fail) => {
  server = spawn(program, ["review", "--work", W, "0"], { stdio: ["ignore", "pipe", "inherit"] });
  server.stdout.once("data", (text) => { url = String(text).trim(); [, port, token] = /127\.0\.0\.1:(\d+)\/([0-9a-f]{32})\//.exec(url); base = `/${token}`; done(); });
  server.once("exit", (code) => fail(new Error(`the server ended with ${code}`)));
});

// Raw bytes out, raw bytes in: no client library tidies the path.
const raw = (bytes) => new Promise((done, fail) => {
  const s = net.connect(port, "127.0.0.1"), got = [];
  s.on("data", (d) => got.push(d)).on("error", (e) => (got.length ? done(Buffer.concat(got)) : fail(e))).on("close", () => done(Buffer.concat(got)));
  s.setTimeout(5000, () => s.destroy());
  s.end(bytes);
});
const ask = async (path, { method = "GET", headers = {}, body = "", host = `127.0.0.1:${port}` } = {}) => {
  const all = { Host: host, Connection: "close", ...(body ? { "Content-Length": Buffer.byteLength(body) } : {}), ...headers };
  const answer = await raw(`${method} ${path} HTTP/1.1\r\n${Object.entries(all).map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n${body}`);
  const cut = answer.indexOf("\r\n\r\n");
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer.subarray(0, 20).toString("latin1"))?.[1]), head: answer.subarray(0, cut).toString("latin1"), body: answer.subarray(cut + 4) };
};
const post = (body, more = {}) => ask(`${base}/decisions`, { method: "POST", body, ...more, headers: { "Content-Type": "application/jsonl", ...more.headers } });
const decision = (id, more = {}) => JSON.stringify({ format: "facewash-decision-1", id, when: "2000-01-01T00:00:00Z", who: "anna", queue: "mislabeled", item: "label:" + id, answer: "y", claims: [{ face: "0".repeat(32), use: false }], ...more }) + "\n";
const logged = () => (existsSync(`${W}/review/decisions`) ? readFileSync(`${W}/review/decisions`, "utf8").trim().split("\n").map(JSON.parse) : []);
const faces = () => { let data; new Function("fw", readFileSync(`${W}/report/data/faces_0000.js`, "utf8"))({ data: (_, value) => (data = value) }); return data; };

before(async () => {
  if (missing) return;
  mkdirSync(work, { recursive: true });
  cpSync(demo, `${work}/photos`, { recursive: true });
  execFileSync(program, ["run", "--input", `dir:${work}/photos`, "--work", W], { stdio: "ignore" });
  await start();
}, { timeout: 300000 });
after(() => { server?.kill(); return browser?.close(); });

test("the report and the log are served to whoever has the address", { skip: missing }, async () => {
  const page = await ask(`${base}/`);
  assert.equal(page.status, 200);
  assert.match(page.head, /X-Content-Type-Options: nosniff/i);
  assert.match(page.head, /default-src 'none'/);
  for (const path of ["index.html", "app/style.css", "data/overview.js", "sheets/0000.jpg", "decisions"]) assert.equal((await ask(`${base}/${path}`)).status, 200, path);
});

test("a wrong token, another host, another site get nothing", { skip: missing }, async () => {
  for (const path of ["/", "/index.html", `/${"0".repeat(32)}/`, `/${token.slice(0, 31)}/`, `/${token}0/`, `/${token.toUpperCase()}x/`, `/${token}`]) assert.equal((await ask(path)).status, 404, path);
  assert.equal((await ask(`${base}/`, { host: "evil.example" })).status, 403);
  assert.equal((await ask(`${base}/`, { host: `evil.example:${port}` })).status, 403);
  assert.equal((await post(decision("o"), { headers: { Origin: "http://evil.example" } })).status, 403);
  assert.equal((await post(decision("o"), { headers: { Origin: "null" } })).status, 403);
  assert.equal((await post(decision("o"), { headers: { "Content-Type": "text/plain" } })).status, 415);
  for (const method of ["PUT", "DELETE", "OPTIONS", "TRACE"]) assert.equal((await ask(`${base}/`, { method })).status, 405, method);
  assert.deepEqual(logged(), []);
});

test("no path leads out of the report", { skip: missing }, async () => {
  symlinkSync("/etc/passwd", `${W}/report/data/link.js`);
  symlinkSync("/etc", `${W}/report/etc`);
  writeFileSync(`${W}/report/data/.hidden.js`, "x");
  const paths = ["../WORKSPACE", "%2e%2e/WORKSPACE", "data/../../WORKSPACE", "data/..%2f..%2fWORKSPACE", "data/%2e%2e/index.html", "./index.html", "data//overview.js", "/etc/passwd", "data/", "data", "data/link.js", "etc/passwd", "data/.hidden.js",
    "data/overview.js%00.jpg", "data\\overview.js", "data/overview.js/", "data/x/y.js", "%", "%zz", "data/" + "a".repeat(5000) + ".js", "photo/", "photo/0/0/", "photo/9/0/" + "0".repeat(32), "photo/-1/0/" + "0".repeat(32), "photo/0/99999999999999999999/" + "0".repeat(32)];
  for (const path of paths) {
    const answer = await ask(`${base}/${path}`);
    assert.ok(answer.status >= 400 && answer.status < 500, `${path}: ${answer.status}`);
    assert.doesNotMatch(answer.body.toString("latin1"), /root:|shard_size/);
  }
});

test("an original is served only as it was ingested", { skip: missing }, async () => {
  const data = faces(), i = data.set.findIndex((s) => s === 0), file = `${work}/photos/${data.path[i]}`, at = `${base}/photo/0/${data.row[i]}/${data.hash[i]}`;
  const answer = await ask(at);
  assert.equal(answer.status, 200);
  assert.ok(answer.body.equals(readFileSync(file)));
  assert.equal((await ask(`${base}/photo/0/${data.row[i]}/${data.hash[i].replace(/^./, (c) => (c === "0" ? "1" : "0"))}`)).status, 404);
  const kept = readFileSync(file);
  appendFileSync(file, "x");
  assert.equal((await ask(at)).status, 404);
  writeFileSync(file, kept);
  assert.equal((await ask(at)).status, 200);
});

test("decisions are kept at once, whole or not at all", { skip: missing }, async () => {
  const from = logged().length;
  assert.equal((await post(decision("a") + decision("b"))).status, 200);
  assert.deepEqual(logged().slice(from).map((d) => d.id), ["a", "b"]);
  assert.notEqual(logged()[from].when, "2000-01-01T00:00:00Z", "the time is the server's");
  for (const bad of ["{", "null", "[]", '{"format":"x"}', decision("c", { answer: "z" }), decision("c", { claims: [{ face: "x" }] }), decision("c", { who: "w".repeat(200) }), decision("c", { item: "" })])
    assert.equal((await post(decision("good") + bad)).status, 400, bad);
  assert.equal((await post("x".repeat(9 << 20))).status, 413);
  assert.equal(logged().length, from + 2);
  const lines = (await ask(`${base}/decisions`)).body.toString().trim().split("\n");
  assert.equal(lines.length, from + 2);
  assert.equal((await ask(`${base}/decisions?after=99999999`)).body.length, 0);
  assert.equal((await ask(`${base}/decisions?after=-1`)).status, 200);
});

test("2,000 malformed requests: it stays up and serves nothing odd", { skip: missing }, async () => {
  let seed = 3;
  const random = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor((seed / 2147483648) * n); };
  const good = `POST ${base}/decisions?after=1 HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/jsonl\r\nConnection: close\r\nContent-Length: 20\r\n\r\n${"{".repeat(20)}`;
  const shapes = [() => { const b = Buffer.from(good); for (let k = 1 + random(6); k; k--) b[random(b.length)] = random(256); return b; }, () => Buffer.from(good).subarray(0, random(good.length)), () => Buffer.from(Array.from({ length: random(400) }, () => random(256)))];
  const many = logged().length;
  for (let k = 0; k < 2000; k += 40)
    await Promise.all(Array.from({ length: 40 }, (_, i) => raw(shapes[i % 3]()).then((answer) => assert.doesNotMatch(answer.subarray(0, 16).toString("latin1"), /^HTTP\/1\.[01] 5/), () => {})));
  assert.equal(server.exitCode, null);
  assert.equal((await ask(`${base}/`)).status, 200);
  assert.equal(logged().length, many);
});

test("two curators in two browsers see each other's decisions, and they last", { skip: missing }, async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"] });
  const outside = [], trouble = [];
  const curator = async (name) => {
    const page = await (await browser.newContext()).newPage();
    page.on("request", (r) => { if (!r.url().startsWith(`http://127.0.0.1:${port}/`) && !r.url().startsWith("data:")) outside.push(r.url()); });
    page.on("pageerror", (e) => trouble.push(String(e)));
    await page.goto(url);
    await page.evaluate((who) => localStorage.setItem("facewash.who", who), name);
    await page.goto(`${url}#/person/0`);
    await page.waitForSelector("html[data-ready]", { state: "attached" });
    await page.waitForSelector(".facecell");
    return page;
  };
  const anna = await curator("anna"), bob = await curator("bob");
  assert.match(await anna.evaluate(() => new Promise((done) => { const img = document.querySelector(".frame img"); if (img.complete) done(`${img.naturalWidth}`); else img.onload = () => done(`${img.naturalWidth}`); })), /^[1-9]/, "the original is shown");
  const many = logged().length;
  await anna.locator(".facecell").nth(0).focus();
  await anna.keyboard.press("y");
  await bob.locator(".facecell").nth(1).focus();
  await bob.keyboard.press("n");
  await anna.waitForFunction(() => document.querySelectorAll(".facecell b").length === 2, null, { timeout: 15000 });
  assert.deepEqual(logged().slice(many).map((d) => `${d.who} ${d.answer}`).sort(), ["anna y", "bob n"]);
  await bob.reload();
  await bob.waitForFunction(() => document.querySelectorAll(".facecell b").length === 2);
  assert.deepEqual(outside, []);
  assert.deepEqual(trouble, []);
});

test("Ctrl-C ends it within a second, with exit code 0", { skip: missing }, async () => {
  const end = new Promise((done) => server.once("exit", (code) => done(code))), from = Date.now();
  server.removeAllListeners("error");
  server.kill("SIGINT");
  assert.equal(await end, 0);
  assert.ok(Date.now() - from < 1500);
  assert.ok(readdirSync(`${W}/review`).includes("decisions"));
});
