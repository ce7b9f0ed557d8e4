// The web site as readers meet it, in Debian's Chromium. Run by .ci/browser.sh, which makes the registry.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { HOSTILE, LONGEST, RAN, RTL, WORD } from "./sources.mjs";
import { axe, below, launch, open, overflow, picture, serve } from "./support.mjs";

let server, proxy, browser;
before(async () => {
  server = await serve(process.env.SITE_FOLDER);
  proxy = await below(server.url);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await proxy?.stop();
  await server?.stop();
});

const PAGES = {
  home: "index.html",
  search: "search.html?q=order",
  package: "p/pack/order-workflow-pack.html",
  crate: "p/crate/tide-tables.html",
  hostile: `p/pack/${HOSTILE.name}.html`,
  long: `p/pack/${LONGEST}.html`,
  rtl: `p/pack/${RTL.name}.html`,
  yanked: "p/pack/gone-already.html",
  removed: "p/pack/withdrawn.html",
  list: "c/web.html",
  categories: "categories.html",
  keywords: "keywords.html",
};

const names = (page, of = ".menu .hit-name") => page.locator(of).allTextContents();

// Types as a person does, and waits for the answer to all of it.
async function ask(page, text) {
  await page.locator("#q").fill("");
  await page.locator("#q").pressSequentially(text, { delay: 25 });
  await page.locator(".menu").waitFor();
  await settled(page, text);
}

// The last answer is that to this text.
async function settled(page, text) {
  await page.waitForFunction((q) => {
    const status = document.querySelector(".menu-status");
    return status?.href && new URL(status.href).searchParams.get("q") === q;
  }, text);
}

for (const where of ["at the root", "below a sub-path"]) {
  describe(`the site ${where}`, () => {
    const site = () => (where === "at the root" ? server.url : proxy.url);

    it("finds and opens a package as one types", async () => {
      const { page, go, fine } = await open(browser, site());
      await go("index.html");
      assert.match(await page.locator("h1").textContent(), /\S/);
      await ask(page, "order work");
      assert.equal((await names(page))[0], "order-workflow-pack");
      assert.equal(await page.locator("#q").getAttribute("aria-expanded"), "true");
      await page.locator(".menu .hit").first().click();
      await page.waitForURL(/p\/pack\/order-workflow-pack\.html$/);
      assert.match(await page.locator("h1").textContent(), /order-workflow-pack/);
      await fine();
      await page.context().close();
    });

    it("cuts long words where the program does, after so many bytes", async () => {
      const { page, go, fine } = await open(browser, site());
      await go("index.html");
      await ask(page, `${WORD.same}一二三四五`);
      assert.deepEqual(await names(page), [WORD.name]);
      // Some letters less, and what follows does tell.
      await ask(page, `${WORD.same.slice(5)}一二三四五`);
      assert.deepEqual(await names(page), []);
      // A name of more than that, as a whole.
      await ask(page, LONGEST);
      assert.equal((await names(page))[0], LONGEST);
      await fine();
      await page.context().close();
    });

    it("can be used with the keyboard alone", async () => {
      const { page, go, fine } = await open(browser, site());
      await go("c/web.html");
      await page.keyboard.press("Tab");
      assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
      await page.keyboard.press("Enter");
      assert.equal(await page.evaluate(() => document.activeElement.id), "main");
      await page.keyboard.press("/");
      assert.equal(await page.evaluate(() => document.activeElement.id), "q");
      await page.keyboard.type("tide");
      await settled(page, "tide");
      assert.deepEqual(await names(page), ["tide_tables", "sea-level"]);
      const active = () => page.locator("#q").getAttribute("aria-activedescendant");
      assert.equal(await active(), null);
      await page.keyboard.press("ArrowDown");
      assert.equal(await active(), "hit-0");
      await page.keyboard.press("ArrowDown");
      assert.equal(await active(), "hit-1");
      assert.equal(await page.locator('[aria-selected="true"] .hit-name').textContent(), "sea-level");
      await page.keyboard.press("ArrowDown");
      assert.equal(await active(), null);
      await page.keyboard.press("ArrowUp");
      assert.equal(await active(), "hit-1");
      await page.keyboard.press("Escape");
      assert.equal(await page.locator(".menu").isVisible(), false);
      await page.keyboard.press("ArrowDown");
      await page.locator(".menu").waitFor();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await page.waitForURL(/p\/crate\/tide-tables\.html$/);
      // On the search page the arrows go through the results themselves.
      await go("search.html");
      await page.keyboard.type("tide");
      await page.locator(".results .hit").first().waitFor();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      assert.match(await page.evaluate(() => document.activeElement.href), /sea-level\.html$/);
      await page.keyboard.press("ArrowUp");
      await page.keyboard.press("ArrowUp");
      assert.equal(await page.evaluate(() => document.activeElement.id), "q");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await page.waitForURL(/p\/crate\/tide-tables\.html$/);
      await fine();
      await page.context().close();
    });

    it("leads from every page to pages that are there", async () => {
      const { page, go, fine } = await open(browser, site());
      await go("index.html");
      const seen = new Map();
      const queue = [page.url()];
      while (queue.length && seen.size < 300) {
        const url = queue.shift();
        if (seen.has(url)) continue;
        const answer = await page.request.get(url);
        const text = answer.status() === 200 ? await answer.text() : "";
        seen.set(url, answer.status());
        if (!/html/.test(answer.headers()["content-type"] ?? "")) continue;
        const links = await page.evaluate(([html, base]) => {
          const parsed = new DOMParser().parseFromString(html, "text/html");
          const found = parsed.querySelectorAll("main a[href], header a[href], footer a[href], link[href]:not([rel=canonical]), script[src]");
          const bad = [...parsed.querySelectorAll("[href^='#']")].filter((a) => !parsed.getElementById(a.getAttribute("href").slice(1)));
          if (bad.length) return [`about:no-anchor-${bad[0].getAttribute("href")}-in-${base}`];
          return [...found].map((e) => new URL(e.getAttribute("href") ?? e.getAttribute("src"), base).href.split("#")[0]);
        }, [text, url]);
        for (const link of links) {
          assert.ok(!link.startsWith("about:"), link);
          if (!/^https?:/.test(link)) assert.fail(`${url} links ${link}`);
          if (link.startsWith(site().origin) && !seen.has(link)) queue.push(link);
        }
      }
      const broken = [...seen].filter(([, status]) => status !== 200);
      assert.deepEqual(broken, []);
      assert.ok(seen.size > 40, `only ${seen.size} addresses`);
      await fine();
      await page.context().close();
    });
  });
}

describe("searching", () => {
  it("ranks the name itself, then beginnings, names, keywords and texts; yanked last", async () => {
    const { page, go, fine } = await open(browser, server.url);
    await go("search.html");
    const results = async (text) => {
      await page.locator("#q").fill(text);
      await page.waitForFunction((q) => new URL(location.href).searchParams.get("q") === q, text);
      return names(page, ".results .hit-name");
    };
    // Whatever stands better: many packages have these words and more downloads.
    assert.equal((await results("order-api"))[0], "order-api");
    assert.equal((await results("Order API"))[0], "order-api");
    assert.equal((await results("orderapi"))[0], "order-api");
    assert.equal((await results("tide-tables"))[0], "tide_tables");
    assert.equal((await results("search"))[0], "search");
    assert.deepEqual((await results("report")).slice(0, 2), ["report", "report-dashboard"], "before much loved ones");
    assert.equal((await results("invioce-api"))[0], "invoice-api", "two letters exchanged");
    assert.deepEqual(await results("harbours"), ["tide_tables"], "another ending");
    assert.deepEqual(await results("qqqzzz"), []);
    assert.equal(await page.locator("[data-search-note]").textContent(), "No package found");
    const many = await results("shop");
    assert.equal(many.length, 50);
    assert.match(await page.locator("[data-search-note]").textContent(), /^The best 50 of \d+ packages found$/);
    const yanked = await results("gone");
    assert.deepEqual(yanked, ["gone-soon", "gone-already"]);
    assert.equal(await page.locator(".results .hit").nth(1).locator(".badge").textContent(), "yanked");
    await fine();
    await page.context().close();
  });

  it("shows nothing of an older question, and asks for no file twice", async () => {
    const { page, go, fine, requests } = await open(browser, server.url);
    await go("index.html");
    let release;
    const held = new Promise((done) => (release = done));
    await page.route(/search\/n-in\.json/, async (route) => {
      await held;
      await route.continue().catch(() => {});
    });
    await page.locator("#q").fill("invoice");
    await page.waitForRequest(/search\/n-in\.json/);
    const broken = page.waitForEvent("requestfailed");
    await ask(page, "ledger");
    assert.match((await broken).url(), /n-in\.json$/);
    release();
    await page.waitForTimeout(300);
    assert.ok((await names(page)).every((n) => n.startsWith("ledger")), (await names(page)).join());
    const before = requests.length;
    await ask(page, "ledge");
    await ask(page, "ledger");
    assert.deepEqual(requests.slice(before), []);
    await fine();
    await page.context().close();
  });

  it("says so when its files cannot be had, and goes on when they can", async () => {
    const { page, go } = await open(browser, server.url);
    await go("index.html");
    await page.route(/\/search\/n-.*\.json/, (route) => route.abort());
    await page.locator("#q").fill("ledger");
    await page.locator(".menu-status", { hasText: "could not be read" }).waitFor();
    await page.unroute(/\/search\/n-.*\.json/);
    await ask(page, "ledger");
    assert.equal((await names(page)).length, 8);
    await page.context().close();
  });
});

describe("a page", () => {
  it("says what was yanked or removed, and why", async () => {
    const { page, context, go, fine } = await open(browser, server.url);
    await go(PAGES.yanked);
    assert.match(await page.locator(".banner").textContent(), /^Yanked on \d{4}-\d\d-\d\d\. <script>.*"no longer" & <b>kept<\/b>/);
    await go(PAGES.removed);
    assert.match(await page.locator(".banner").textContent(), /^Removed on \d{4}-\d\d-\d\d\. /);
    assert.equal(await page.locator(".install-line, a[download]").count(), 0);
    assert.equal(await page.locator(".version .badge").textContent(), "removed");
    await go(PAGES.crate);
    const row = page.locator(".version", { hasText: "leap years" });
    assert.match(await row.textContent(), /1\.0\.0.*yanked.*the tides of leap years are an hour late/s);
    await fine();
    await context.close();
  });

  it("copies an install line", async () => {
    const { page, context, go, fine } = await open(browser, server.url, { permissions: ["clipboard-read", "clipboard-write"] });
    await go(PAGES.crate);
    const lines = page.locator(".install-line");
    assert.ok((await lines.count()) >= 2);
    for (const line of await lines.all()) {
      await line.locator("button").click();
      await line.locator("button.is-done").waitFor();
      const shown = (await line.locator("code").textContent()).trim();
      assert.match(shown, /tide[-_]tables/);
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), shown);
    }
    assert.equal(await page.locator("[data-announce]").textContent(), "Copied");
    await fine();
    await context.close();
  });

  it("follows the system's colours, and remembers other ones", async () => {
    const paper = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const { page, context, go, fine } = await open(browser, server.url, { colorScheme: "dark" });
    await go(PAGES.home);
    const dark = await paper(page);
    await page.emulateMedia({ colorScheme: "light" });
    const light = await paper(page);
    assert.notEqual(dark, light);
    await page.locator("[data-theme-toggle]").click();
    assert.equal(await paper(page), dark);
    await go(PAGES.package);
    assert.equal(await paper(page), dark, "remembered");
    await page.locator("[data-theme-toggle]").click();
    assert.equal(await paper(page), light);
    await page.emulateMedia({ colorScheme: "dark" });
    assert.equal(await paper(page), dark, "back to the system's");
    await fine();
    await context.close();
  });

  it("fits a phone and a wide screen, and weighs little", async () => {
    for (const [shape, viewport] of [["phone", { width: 320, height: 640 }], ["wide", { width: 2200, height: 1200 }]]) {
      const { page, context, go, fine } = await open(browser, server.url, { viewport });
      let bytes = 0;
      page.on("response", async (r) => (bytes += (await r.body().catch(() => "")).length));
      for (const [name, path] of Object.entries(PAGES)) {
        bytes = 0;
        await go(path);
        await page.waitForLoadState("networkidle");
        if (name === "search") await page.locator(".results .hit").first().waitFor();
        assert.deepEqual(await overflow(page), [], `${name}, ${shape}`);
        if (name !== "search") assert.ok(bytes < 100_000, `${name}: ${bytes} bytes`);
      }
      await fine();
      await context.close();
    }
  });

  it("runs nothing that a package brings, and shows it as text", async () => {
    const { page, context, go, fine } = await open(browser, server.url);
    for (const path of [PAGES.hostile, PAGES.home, PAGES.list, PAGES.categories, PAGES.keywords, PAGES.rtl, PAGES.long]) {
      await go(path);
      await page.waitForLoadState("networkidle");
      for (const link of await page.locator("a").all()) assert.match(await link.evaluate((a) => a.href), /^(https?:|$)/);
      assert.equal(await page.locator("main :is(iframe, object, embed, form:not(.search), style, base, meta, link, [onerror], [onload], [onclick], [style])").count(), 0);
      assert.equal(await page.locator("main script:not([type='application/ld+json'])").count(), 0);
    }
    await go(PAGES.hostile);
    assert.ok((await page.locator(".package-head .lead").textContent()).includes("<script>"), "the summary stands there as it is");
    assert.ok((await page.locator(".package-head .lead").textContent()).includes("{{ 7*7 }}"));
    assert.equal(await page.locator("#main").evaluate((e) => e.tagName), "MAIN");
    await page.locator("#q").fill("hostile");
    await page.locator(".menu .hit").first().waitFor();
    assert.ok((await page.locator(".menu .hit-text").first().textContent()).includes("<script>"));
    await go(`search.html?q=${encodeURIComponent(`"><script>${RAN}</script><img src=x onerror=${RAN}>`)}`);
    await page.waitForLoadState("networkidle");
    await go("search.html?q=hostile");
    await page.locator(".results .hit").first().waitFor();
    assert.equal((await names(page, ".results .hit-name"))[0], HOSTILE.name);
    await fine();
    await context.close();
  });

  it("has a policy that stops a script even if one got in", async () => {
    const { page, context, go } = await open(browser, server.url);
    await go(PAGES.package);
    const ran = await page.evaluate(async () => {
      const refused = [];
      document.addEventListener("securitypolicyviolation", (e) => refused.push(e.effectiveDirective));
      const main = document.querySelector("main");
      const script = document.createElement("script");
      script.textContent = "document.documentElement.dataset.ran = 1";
      const image = document.createElement("img");
      image.src = "https://outside.invalid/picture.png";
      const styled = document.createElement("p");
      styled.setAttribute("style", "color: red");
      main.append(script, image, styled);
      await new Promise((done) => setTimeout(done, 300));
      return { ran: document.documentElement.dataset.ran, refused: refused.sort() };
    });
    assert.deepEqual(ran, { ran: undefined, refused: ["img-src", "script-src-elem", "style-src-attr"] });
    await context.close();
  });

  it("reads without JavaScript, all but search", async () => {
    const { page, context, go, fine } = await open(browser, server.url, { javaScriptEnabled: false });
    await go(PAGES.home);
    assert.equal(await page.locator("[data-theme-toggle]").isVisible(), false);
    // A click does not wait for the page it leads to; half of that page, or none of its styles yet, says nothing.
    await page.locator("main a[href='p/crate/tide-tables.html']").first().click();
    await page.waitForURL(/p\/crate\/tide-tables\.html$/);
    assert.match(await page.locator("h1").textContent(), /tide_tables\s+1\.1\.0/);
    assert.equal(await page.locator(".copy").first().isVisible(), false);
    assert.match(await page.locator(".install-line").first().textContent(), /tide_tables/);
    assert.equal(await page.locator(".version").count(), 4);
    assert.match(await page.locator(".readme").textContent(), /Tides as tables/);
    await page.locator(".crumbs a", { hasText: "science" }).click();
    await page.waitForURL(/c\/science\.html$/);
    assert.deepEqual((await names(page, ".card-name")).sort(), ["sea-level", "tide_tables"]);
    await page.locator("#q").fill("tide");
    await page.keyboard.press("Enter");
    await page.waitForURL(/search\.html\?q=tide$/);
    assert.match(await page.locator("main").textContent(), /needs JavaScript/);
    await fine();
    await context.close();
  });
});

describe("accessibility and looks", () => {
  for (const colorScheme of ["light", "dark"]) {
    it(`axe finds nothing serious (${colorScheme})`, async () => {
      const { page, context, go } = await open(browser, server.url, { colorScheme });
      for (const [name, path] of Object.entries(PAGES)) {
        await go(path);
        if (name === "search") await page.locator(".results .hit").first().waitFor();
        assert.deepEqual(await axe(page), [], name);
      }
      await go(PAGES.home);
      await ask(page, "order");
      await page.keyboard.press("ArrowDown");
      assert.deepEqual(await axe(page), [], "the list below the field");
      await context.close();
    });
  }

  it("is kept as pictures, for people to look at", async () => {
    const shapes = {
      light: { colorScheme: "light" },
      dark: { colorScheme: "dark" },
      phone: { colorScheme: "light", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
    };
    for (const [shape, options] of Object.entries(shapes)) {
      const { page, context, go, fine } = await open(browser, server.url, options);
      for (const [name, path] of Object.entries(PAGES)) {
        await go(path);
        if (name === "search") await page.locator(".results .hit").first().waitFor();
        await picture(page, `${name}-${shape}`);
      }
      await go(PAGES.home);
      await ask(page, "order");
      await page.keyboard.press("ArrowDown");
      await picture(page, `menu-${shape}`);
      await fine();
      await context.close();
    }
  });
});
