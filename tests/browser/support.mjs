// What the tests stand on: the server, a second way to it below a sub-path, and pages that report everything that goes wrong.

import { spawn } from "node:child_process";
import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import assert from "node:assert/strict";

const variable = (name) => process.env[name] ?? assert.fail(`${name} is not set: run .ci/browser.sh`);
const require = createRequire(join(variable("BROWSER_MODULES"), "node_modules", "here.cjs"));
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const ARTIFACTS = variable("BROWSER_ARTIFACTS");
mkdirSync(ARTIFACTS, { recursive: true });

export const SUB_PATH = "/deep/er/";

// `ggen-market serve` on a free port.
export function serve(folder) {
  const child = spawn(variable("GGEN_MARKET"), ["serve", folder, "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`ggen-market serve ended with ${code}`)));
    child.stdout.once("data", (line) => resolve({ url: new URL(/http:\/\/\S+/.exec(line)[0]), stop: () => stop(child) }));
  });
}

function stop(child) {
  return new Promise((done) => {
    child.removeAllListeners("exit").once("exit", done);
    child.kill("SIGTERM");
  });
}

// The same files below a sub-path, as a web server in front would have them. Nothing is there outside of it.
export async function below(url) {
  const server = createServer((asked, answer) => {
    if (!asked.url.startsWith(SUB_PATH)) return answer.writeHead(404).end();
    const path = asked.url.slice(SUB_PATH.length - 1);
    const options = { host: url.hostname, port: url.port, path, method: asked.method, headers: asked.headers };
    const onward = request(options, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    asked.pipe(onward);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const stop = () => new Promise((done) => server.close(done).closeAllConnections());
  return { url: new URL(SUB_PATH, `http://127.0.0.1:${server.address().port}`), stop };
}

export function launch() {
  const executablePath = variable("CHROMIUM");
  // Nothing of the browser's own may go to the network.
  const args = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ];
  return chromium.launch({ executablePath, headless: true, args });
}

// A page that remembers what went wrong; `fine()` says whether anything did.
export async function open(browser, site, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const wrong = [];
  const requests = [];
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && wrong.push(`console: ${m.text()}`));
  page.on("pageerror", (e) => wrong.push(`uncaught: ${e.message}`));
  page.on("dialog", (d) => (wrong.push(`dialog: ${d.message()}`), d.dismiss()));
  page.on("request", (r) => {
    requests.push(r.url());
    if (!r.url().startsWith("data:") && new URL(r.url()).origin !== site.origin) wrong.push(`asked another host: ${r.url()}`);
  });
  page.on("response", (r) => r.status() >= 400 && !page.expected?.(r) && wrong.push(`${r.status()}: ${r.url()}`));
  await page.addInitScript(() => {
    self.shifts = [];
    new PerformanceObserver((list) => {
      for (const e of list.getEntries()) if (!e.hadRecentInput) self.shifts.push(e.value);
    }).observe({ type: "layout-shift", buffered: true });
  });
  const fine = async () => {
    assert.deepEqual(wrong, []);
    if (options.javaScriptEnabled === false) return;
    assert.equal(await page.evaluate(() => document.documentElement.dataset.ran), undefined, "a script of a package ran");
    assert.ok((await page.evaluate(() => self.shifts.reduce((a, b) => a + b, 0))) < 0.02, "the layout shifts");
  };
  const go = async (path) => {
    await page.goto(new URL(path, site).href, { waitUntil: "load" });
  };
  return { page, context, requests, go, fine };
}

export async function axe(page) {
  // By way of the debugger: the page's own policy would not let it in, which is right.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const bad = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  return bad.map((v) => `${v.id} (${v.impact}): ${v.nodes.map((n) => n.html.slice(0, 200) + " " + n.failureSummary).join("\n")}`);
}

export function overflow(page) {
  return page.evaluate(() => {
    const wide = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= wide) return [];
    const out = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > wide + 1);
    return [`${document.documentElement.scrollWidth} > ${wide}`, ...out.slice(0, 5).map((e) => e.outerHTML.slice(0, 120))];
  });
}

export async function picture(page, name) {
  await page.screenshot({ path: join(ARTIFACTS, `${name}.png`), fullPage: false });
}
