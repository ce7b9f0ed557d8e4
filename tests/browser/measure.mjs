// What the search in the page costs, measured in the browser. docs/views.md has the figures and how they are made.
//
//   node measure.mjs records npm.tsv.gz 10000 >records.jsonl     every n-th of real packages: name, version, downloads, summary
//   node measure.mjs ask FOLDER                                  serves a registry and types queries into its search

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { createGunzip } from "node:zlib";

// Names that mean a folder of the store.
const RESERVED = new Set(["blobs", "cargo", "checkpoint", "gc", "index", "log", "packages", "root", "trash"]);
const LEGAL = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$/;

async function records(file, count) {
  const lines = createInterface({ input: createReadStream(file).pipe(createGunzip()) });
  const all = [];
  const seen = new Set();
  for await (const line of lines) {
    const [name, version, downloads, description] = line.split("\t");
    const same = name.toLowerCase().replaceAll("_", "-");
    if (LEGAL.test(name) && !/\.\.|\.$/.test(name) && /^\d+\.\d+\.\d+$/.test(version) && !seen.has(same) && !RESERVED.has(same)) {
      seen.add(same);
      all.push({ name, version, downloads: Number(downloads), description });
    }
  }
  if (all.length < count) throw new Error(`only ${all.length} packages`);
  for (let i = 0; i < count; i += 1) {
    const one = all[Math.floor((i * all.length) / count)];
    const sha256 = createHash("sha256").update(one.name).digest("hex");
    const rest = { download_url: `https://example.com/${one.name}.tar.gz`, sha256, size: 10_000, published: "2026-01-01T00:00:00Z" };
    process.stdout.write(`${JSON.stringify({ ...one, ...rest })}\n`);
  }
}

const QUERIES = ["react", "http client", "parse json", "date picker", "markdown to html", "eslint plugin", "recat", "zzqx"];

async function ask(folder) {
  const { launch, open, serve } = await import("./support.mjs");
  const server = await serve(folder);
  const browser = await launch();
  try {
    const { page, context, go } = await open(browser, server.url);
    const network = await context.newCDPSession(page);
    await network.send("Network.enable");
    let requests = 0;
    let bytes = 0;
    let raw = 0;
    network.on("Network.loadingFinished", ({ encodedDataLength }) => ((requests += 1), (bytes += encodedDataLength)));
    network.on("Network.dataReceived", ({ dataLength }) => (raw += dataLength));
    const report = (what, extra = "") => {
      console.log(`${what.padEnd(22)} ${String(requests).padStart(3)} requests ${(bytes / 1000).toFixed(1).padStart(7)} kB compressed ${(raw / 1000).toFixed(1).padStart(7)} kB plain ${extra}`);
      [requests, bytes, raw] = [0, 0, 0];
    };
    await go("index.html");
    await page.waitForLoadState("networkidle");
    report("home, before search");
    const sum = [0, 0, 0];
    for (const query of QUERIES) {
      const input = page.locator("#q");
      await input.fill("");
      const started = Date.now();
      await input.pressSequentially(query, { delay: 120 });
      await page.waitForFunction((q) => {
        const status = document.querySelector(".menu-status");
        return status?.href && new URL(status.href).searchParams.get("q") === q;
      }, query);
      const took = Date.now() - started - 120 * query.length;
      await page.waitForLoadState("networkidle");
      const found = await page.locator(".menu .hit-name").allTextContents();
      [requests, bytes, raw].forEach((n, i) => (sum[i] += n));
      report(JSON.stringify(query), `${took} ms after the last letter: ${found.slice(0, 4).join(", ")}`);
    }
    [requests, bytes, raw] = sum;
    report("the session");
  } finally {
    await browser.close();
    await server.stop();
  }
}

const [what, file, count] = process.argv.slice(2);
if (what === "records") await records(file, Number(count));
else if (what === "ask") await ask(file);
else throw new Error("see the head of this file");
