// The packages of the tests' registry: node sources.mjs FOLDER. Ordinary ones, and those of somebody who means harm.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Whatever runs of a package says so here; the tests look whether anything did.
export const RAN = "document.documentElement.dataset.ran=1";
const SCRIPT = `<script>${RAN}</script>`;
const IMAGE = `<img src=x onerror="${RAN}">`;

export const HOSTILE = {
  name: "com.example.hostile",
  summary: `"'><${"script"}>${RAN}</${"script"}> ${IMAGE} {{ 7*7 }} \u202eevil\u202c`,
};
export const LONGEST = "com.example." + "very-long-name-".repeat(7) + "indeed-yes";
export const RTL = { name: "mirror-text", summary: "حزمة قوالب للتقارير 📦🚀 with 日本語 in it" };
// Of 48 bytes in UTF-8, as long as a word is at most: what comes after that tells no two words apart.
export const WORD = { name: "one-long-word", same: "語".repeat(16) };

const HOSTILE_README = `# Hostile ${SCRIPT}

${SCRIPT}

${IMAGE}
<svg onload="${RAN}"><script>${RAN}</script></svg>
<iframe src="https://outside.invalid/frame"></iframe>
<object data="https://outside.invalid/object"></object>
<link rel="stylesheet" href="https://outside.invalid/style.css">
<style>body { display: none } @import "https://outside.invalid/style.css";</style>
<form action="https://outside.invalid/"><input name="q" autofocus onfocus="${RAN}"><button>send</button></form>
<meta http-equiv="refresh" content="0;url=https://outside.invalid/">
<base href="https://outside.invalid/">
<p id="main" class="top" style="position:fixed;inset:0;background:url(https://outside.invalid/style.png)" onclick="${RAN}">A paragraph</p>

![a picture](https://outside.invalid/picture.png) and <img alt="another" src="//outside.invalid/picture.png">

[a link](javascript:${RAN}) and [another](JaVaScRiPt&colon;${RAN}) and [data](data:text/html,${SCRIPT}) and [mine](https://example.com/fine)

| table | ${SCRIPT} |
|---|---|
| ${"wide".repeat(60)} | \`${"code".repeat(80)}\` |

\`\`\`
${"a long line of code, ".repeat(30)}
\`\`\`
`;

function write(folder, files) {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
  }
}

const quoted = (text) => JSON.stringify(text).replaceAll("\u202e", "\\u202e").replaceAll("\u202c", "\\u202c");

function pack(folder, { name, version = "1.0.0", summary, keywords = [], categories = [], homepage }, readme) {
  const manifest = [
    "[pack]",
    `name = ${quoted(name)}`,
    `version = ${quoted(version)}`,
    `description = ${quoted(summary)}`,
    `license = "MIT"`,
    `keywords = [${keywords.map(quoted).join(", ")}]`,
    `categories = [${categories.map(quoted).join(", ")}]`,
    ...(homepage ? [`homepage = ${quoted(homepage)}`, `repository = ${quoted(homepage)}`] : []),
  ].join("\n");
  const files = { "pack.toml": `${manifest}\n`, "ontology.ttl": "@prefix ex: <http://example.com/> .\n", "templates/a.tera": "a\n" };
  if (readme) files["README.md"] = readme;
  write(join(folder, name), files);
}

function crate(folder, name, version, rest, readme) {
  const top = `${name}-${version}`;
  const work = join(folder, ".work");
  const manifest = `[package]\nname = "${name}"\nversion = "${version}"\nedition = "2021"\n${rest}`;
  write(join(work, top), { "Cargo.toml": manifest, "src/lib.rs": "", "README.md": readme });
  execFileSync("tar", ["--create", "--gzip", "--format=ustar", "--file", join(folder, `${top}.crate`), "--directory", work, top]);
  rmSync(work, { recursive: true });
}

const THINGS = ["invoice", "order", "ledger", "basket", "shipment", "ticket", "report", "survey", "roster", "catalogue", "payment", "inventory"];
const FORMS = ["forms", "pages", "state-machine", "events", "charts", "tables", "api", "schema", "mailer", "importer", "tests", "dashboard"];

// A hundred and forty-four records of packages hosted elsewhere, so that lists have pages.
export function records() {
  const out = [];
  for (const [i, thing] of THINGS.entries()) {
    for (const [j, form] of FORMS.entries()) {
      const name = `${thing}-${form}`;
      const day = String(1 + ((i * 5 + j * 3) % 28)).padStart(2, "0");
      out.push({
        name,
        version: `${i % 4}.${j}.0`,
        download_url: `https://example.com/packs/${name}.tar.gz`,
        sha256: createHash("sha256").update(name).digest("hex"),
        size: 1000 * (i + 1) + j,
        description: `${form[0].toUpperCase()}${form.slice(1)} for every ${thing} that a shop keeps, generated from one ontology`,
        license: "MIT",
        keywords: [thing, form],
        categories: [j % 6 === 5 ? "commerce" : "web"],
        published: `2026-0${1 + (i % 9)}-${day}T12:00:00Z`,
        downloads: (i * 7919 + j * 104729) % 50021,
      });
    }
  }
  return out;
}

function write_sources(folder) {
  mkdirSync(folder, { recursive: true });
  const keywords = ["safe", `<img src=x onerror=${RAN}>`, "a&b"];
  const categories = ["web", `"><script>${RAN}</script>`];
  pack(folder, { ...HOSTILE, keywords, categories, homepage: `javascript:${RAN}` }, HOSTILE_README);
  pack(folder, { name: LONGEST, summary: `Unbroken${"unbroken".repeat(25)}`, keywords: ["k".repeat(90)], categories: ["web"] }, "# Long");
  pack(folder, { ...RTL, categories: ["web"] }, "# مرحبا\n\nهذه الحزمة تنشئ التقارير.\n\n日本語の説明。 🎉\n");
  pack(folder, { name: WORD.name, summary: `${WORD.same}甲乙丙丁戊` });
  pack(folder, { name: "gone-already", summary: "Gone, whatever it was" });
  pack(folder, { name: "gone-soon", summary: "Still there" });
  pack(folder, { name: "withdrawn", summary: "Published by mistake", categories: ["science"] }, "# withdrawn");
  pack(folder, { name: "report", summary: "Nobody downloads it" });
  pack(folder, { name: "assets", summary: "Named like a folder of the site" }, "# assets");
  pack(folder, { name: "search", summary: "Named like a page of the site" });
  const read = "# tide-tables\n\nTides as **tables**. See [the guide](https://example.com/guide).\n\n```rust\nlet tide = tide_tables::next();\n```\n";
  const facts = `license = "MIT OR Apache-2.0"\ndescription = "Tides of every harbour as tables"\nkeywords = ["tide", "harbour"]\ncategories = ["science"]\nrepository = "https://example.com/tides"\nrust-version = "1.70"\nreadme = "README.md"\n`;
  for (const version of ["0.9.0", "1.0.0", "1.1.0", "1.2.0-beta.1"]) {
    const more = `\n[features]\ndefault = ["std"]\nstd = []\nplot = ["std"]\n\n[dependencies]\nsea-level = "1.0"\n`;
    crate(folder, "tide_tables", version, facts + (version === "0.9.0" ? "" : more), read);
  }
  crate(folder, "sea-level", "1.0.3", `license = "MIT"\ndescription = "How high the sea stands"\nkeywords = ["tide"]\ncategories = ["science"]\n`, "# sea-level\n");
  writeFileSync(join(folder, "elsewhere.jsonl"), records().map((r) => `${JSON.stringify(r)}\n`).join(""));
  writeFileSync(join(folder, "..", "downloads.tsv"), "crate:tide_tables\t48211\ncrate:sea-level\t120455\npack:order-workflow-pack\t9120\npack:gone-already\t999999\n");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) write_sources(process.argv[2]);
