// Search in the page: no server, only the files below search/. What is in them, and why, says src/view/site/search.rs; both cut
// texts into words in the same way. Nothing of what they hold is ever taken for markup: it goes into the page as text.
(() => {
  "use strict";
  // The site may lie anywhere: this script knows where it came from.
  const site = new URL("../", document.currentScript.src);
  const MENU_HITS = 8;
  const PAGE_HITS = 50;
  const DEBOUNCE = 70;
  const LONGEST = 48;
  const STOP = new Set(
    "a an and are as at be by can for from in into is it its no not of on or s that the this to with you your".split(" "),
  );

  // ---- words

  const cut = (text) => text.split(/[^\p{Alphabetic}\p{N}]+/u).filter(Boolean);
  const lower = (text) => clip(text.toLowerCase());
  const squash = (text) => lower(cut(text).join(""));
  const ascii = (c) => c < "\u0080";

  // No word has more bytes than this in UTF-8, and none ends in the middle of a character.
  function clip(word) {
    let bytes = 0;
    let end = 0;
    for (const c of word) {
      const code = c.codePointAt(0);
      bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      if (bytes > LONGEST) return word.slice(0, end);
      end += c.length;
    }
    return word;
  }

  function nameWords(label) {
    const words = new Set();
    for (const chunk of cut(label)) {
      words.add(lower(chunk));
      for (const part of chunk.match(/\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{N}+/gu) ?? []) if (part.length > 1) words.add(lower(part));
    }
    return [...words];
  }

  // The beginning of a word that decides on its shard, and a prefix as it stands in a file's name.
  function top(word, letters) {
    const chars = [...word];
    return chars.slice(0, ascii(chars[0]) ? letters : 1).join("");
  }
  const encode = (prefix) =>
    [...prefix].map((c) => (/[a-z0-9]/.test(c) ? c : `_${c.codePointAt(0).toString(16)}_`)).join("");

  function parse(text) {
    const all = cut(text).map(lower).slice(0, 12);
    const telling = all.filter((w) => !STOP.has(w));
    const words = [...new Set(telling.length ? telling : all)];
    const name = text.trim().toLowerCase().replace(/[_\s]/g, "-");
    return { text, words, name, squashed: squash(text) };
  }

  // ---- files

  const kept = new Map();
  const underway = new Map();
  let listing;

  async function get(path, signal) {
    const answer = await fetch(new URL(`search/${path}.json`, site), { signal });
    // A bucket that nobody may list says 403 of what is not there.
    if (answer.status === 404 || answer.status === 403) return null;
    if (!answer.ok) throw new Error(`${path}: status ${answer.status}`);
    const text = await answer.text();
    return text ? JSON.parse(text) : null;
  }

  // Which shards there are. Without it one asks and sees.
  function shards() {
    listing ??= get("index").then(
      (found) => found && Object.fromEntries(Object.entries(found).map(([kind, all]) => [kind, new Set(all)])),
      (error) => {
        listing = undefined;
        throw error;
      },
    );
    return listing;
  }

  function file(name) {
    let now = underway.get(name);
    if (!now) {
      const controller = new AbortController();
      now = { controller, answer: null };
      now.answer = get(name, controller.signal).then((found) => {
        // What has a space in it is the rest of those that have just this word: only the program reads it.
        const further = Object.keys(found?.further ?? {}).filter((prefix) => !prefix.includes(" "));
        const shard = { rows: (found?.rows ?? []).map(read), further };
        kept.set(name, shard);
        return shard;
      });
      now.answer.catch(() => {}).finally(() => underway.get(name) === now && underway.delete(name));
      underway.set(name, now);
    }
    return now.answer;
  }

  function read([key, label, version, summary, tags, downloads, yanked]) {
    const [kind, name] = String(key).split("/");
    const href = new URL(`p/${encodeURIComponent(kind)}/${encodeURIComponent(name)}.html`, site).href;
    return { key, kind, href, label, version, summary, tags, downloads, yanked: Boolean(yanked) };
  }

  // The rows of the shard of a word and, where that is cut up, of the parts on the way to it. A part is passed over by who has typed
  // no further than what all in it begin with: then the next one is right.
  async function rowsFor(kind, word, letters, there, wanted) {
    const begin = top(word, letters);
    if (there && !there[kind]?.has(encode(begin))) return [];
    const rows = [];
    for (let prefix = begin; prefix !== undefined; ) {
      const name = `${kind}-${encode(prefix)}`;
      wanted.add(name);
      // Without waiting where it is at hand: `wanted` has to be complete before what nobody wants is broken off.
      const part = kept.get(name) ?? (await file(name));
      rows.push(...part.rows);
      const at = prefix;
      prefix = at.length < word.length ? part.further.find((p) => p.length > at.length && (word.startsWith(p) || p.startsWith(word))) : undefined;
    }
    return rows;
  }

  // ---- answers

  const WORTH = { name: 8, namePrefix: 6, tag: 5, tagPrefix: 3.5, text: 3, textPrefix: 1.5 };

  function stems(word) {
    const stem = word.replace(/(?:ings?|ers?|ed|es|s)$/, "");
    return stem.length >= 3 && stem !== word ? stem : null;
  }

  function best(word, row) {
    const grade = (words, exact, prefix, w) => {
      let found = 0;
      for (const have of words) {
        if (have === w) return exact;
        if (have.startsWith(w)) found = prefix;
      }
      return found;
    };
    const all = (w) =>
      Math.max(
        grade(row.nameWords, WORTH.name, WORTH.namePrefix, w),
        grade(row.tagWords, WORTH.tag, WORTH.tagPrefix, w),
        grade(row.textWords, WORTH.text, WORTH.textPrefix, w),
      );
    const direct = all(word);
    const stem = direct ? null : stems(word);
    return direct || (stem ? 0.6 * all(stem) : 0);
  }

  // What a package is worth as an answer; like docs/search.md, with one letter after the other in mind.
  function score(row, query) {
    row.nameWords ??= nameWords(row.label);
    row.tagWords ??= cut(row.tags).map(lower);
    row.textWords ??= cut(row.summary).map(lower);
    row.squashed ??= squash(row.label);
    let sum = 0;
    let matched = 0;
    for (const word of query.words) {
      const worth = best(word, row);
      sum += worth;
      if (worth) matched += 1;
    }
    let whole = 0;
    if (row.label.toLowerCase().replaceAll("_", "-") === query.name) whole = 600;
    else if (row.squashed === query.squashed) whole = 300;
    else if (query.squashed && row.squashed.startsWith(query.squashed)) whole = 10;
    const part = whole ? 1 : matched / query.words.length;
    if (part < 0.5) return null;
    row.answers = part === 1;
    const fit = sum / query.words.length;
    // What stands well counts as far as it is an answer: the word in the name more than somewhere in the text.
    const standing = Math.log2(1 + row.downloads) * part * (0.4 + 0.6 * Math.min(1, fit / WORTH.name));
    return whole + fit * part + (part === 1 ? 3 : 0) + standing + (row.yanked ? -10_000 : 0);
  }

  // Mistakes between two words, at most `limit` of them: a letter too many, too few, another one, or two exchanged.
  function distance(a, b, limit) {
    if (Math.abs(a.length - b.length) > limit) return limit + 1;
    let before = [];
    let last = Array.from({ length: b.length + 1 }, (_, j) => j);
    for (let i = 1; i <= a.length; i += 1) {
      const row = [i];
      for (let j = 1; j <= b.length; j += 1) {
        const same = a[i - 1] === b[j - 1] ? 0 : 1;
        row[j] = Math.min(row[j - 1] + 1, last[j] + 1, last[j - 1] + same);
        if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j], before[j - 2] + 1);
      }
      if (Math.min(...row) > limit) return limit + 1;
      before = last;
      last = row;
    }
    return last[b.length];
  }

  // What a name is worth that the query may have meant: as a whole, or one of its words.
  function misspelt(row, query) {
    const near = (asked, have) => {
      const limit = asked.length >= 8 ? 2 : asked.length >= 4 ? 1 : 0;
      const mistakes = limit ? distance(asked, have, limit) : 1;
      return mistakes > limit ? 0 : 4 - mistakes;
    };
    const whole = 6 * near(query.squashed, row.squashed);
    const word = 4 * Math.max(...query.words.map((w) => Math.max(0, ...row.nameWords.map((have) => near(w, have))))) / query.words.length;
    const worth = Math.max(whole, word);
    return worth ? worth + Math.log2(1 + row.downloads) / 4 + (row.yanked ? -10_000 : 0) : null;
  }

  let newest = 0;

  // The answers to a query; nothing when a newer one was asked meanwhile.
  async function search(text, limit) {
    const turn = (newest += 1);
    const query = parse(text);
    if (!query.words.length) return { query, hits: [], total: 0 };
    const there = await shards();
    if (turn !== newest) return null;
    const wanted = new Set();
    const asked = new Map();
    for (const word of new Set([...query.words, query.squashed])) {
      if (/^[a-z0-9]/.test(word)) asked.set(`n ${word}`, rowsFor("n", word, 2, there, wanted));
      // Of all words written as one, only a name can be meant.
      if (query.words.includes(word)) asked.set(`t ${word}`, rowsFor("t", word, 3, there, wanted));
    }
    // What an older query asked for and this one does not is broken off.
    for (const [name, { controller }] of underway) {
      if (!wanted.has(name)) {
        underway.delete(name);
        controller.abort();
      }
    }
    const found = new Map();
    for (const row of (await Promise.all(asked.values())).flat()) found.set(row.key, row);
    if (turn !== newest) return null;
    const rank = (how) => {
      const all = [];
      for (const row of found.values()) {
        const worth = how(row, query);
        if (worth !== null) all.push({ row, worth });
      }
      return all.sort((a, b) => b.worth - a.worth || a.row.label.length - b.row.label.length || (a.row.key < b.row.key ? -1 : 1));
    };
    let hits = rank(score);
    // Nobody answers the whole of it: perhaps it is a name with a mistake in it.
    if (hits.filter((h) => h.row.answers).length < 3) {
      hits = rank((row) => {
        const [sure, perhaps] = [score(row, query), misspelt(row, query)];
        return sure === null || perhaps === null ? (sure ?? perhaps) : Math.max(sure, perhaps);
      });
    }
    return { query, hits: hits.slice(0, limit).map((h) => h.row), total: hits.length };
  }

  // ---- what one sees

  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // A text with the words of the query marked.
  function marked(tag, name, text, words) {
    const made = element(tag, name);
    for (const piece of String(text).split(/([\p{Alphabetic}\p{N}]+)/u)) {
      const small = piece.toLowerCase();
      const word = words.filter((w) => small.startsWith(w)).sort((a, b) => b.length - a.length)[0];
      if (word) made.append(element("mark", "", piece.slice(0, word.length)), piece.slice(word.length));
      else if (piece) made.append(piece);
    }
    return made;
  }

  function hit(row, query) {
    const link = element("a", `hit${row.yanked ? " is-yanked" : ""}`);
    link.href = row.href;
    const head = element("span", "hit-head");
    head.append(
      marked("span", "hit-name", row.label, [...query.words, query.squashed]),
      element("span", "ver", row.version),
      element("span", `kind kind-${row.kind === "crate" ? "crate" : "pack"}`, row.kind),
    );
    if (row.yanked) head.append(element("span", "badge bad", "yanked"));
    if (row.downloads) {
      const number = element("span", "num", Number(row.downloads).toLocaleString("en"));
      number.append(element("span", "hidden", " downloads"));
      head.append(number);
    }
    link.append(head);
    if (row.summary) {
      const text = marked("span", "hit-text", row.summary, query.words);
      text.dir = "auto";
      link.append(text);
    }
    return link;
  }

  const counted = (answer) => {
    const { total, hits } = answer;
    if (!total) return "No package found";
    if (total > hits.length) return `The best ${hits.length} of ${total} packages found`;
    return total === 1 ? "1 package found" : `${total} packages found`;
  };

  let announcing;
  function announce(text) {
    clearTimeout(announcing);
    // Not at every letter.
    announcing = setTimeout(() => {
      const place = document.querySelector("[data-announce]");
      if (place) place.textContent = text;
    }, 600);
  }

  const FAILED = "The search files could not be read. Try again in a moment.";

  // Runs `show` with the answers as one types; `fail` when there are none to be had.
  function typing(input, limit, show, fail) {
    let timer;
    const run = async () => {
      clearTimeout(timer);
      const text = input.value;
      try {
        const answer = await search(text, limit);
        if (answer && input.value === text) show(answer);
      } catch (error) {
        if (error.name !== "AbortError" && input.value === text) fail(error);
      }
    };
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(run, DEBOUNCE);
    });
    input.addEventListener("focus", () => shards().catch(() => {}), { once: true });
    return run;
  }

  // A list below the field: on every page but the search page.
  function menu(form, input) {
    const box = element("div", "menu");
    box.hidden = true;
    const list = element("div", "menu-list");
    list.id = "hits";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Packages");
    const foot = element("div", "menu-foot");
    const status = element("a", "menu-status");
    const keys = element("span", "menu-keys");
    for (const [key, what] of [["↑", ""], ["↓", " move "], ["Enter", " open "], ["Esc", " close"]]) {
      keys.append(element("kbd", "", key), what);
    }
    keys.setAttribute("aria-hidden", "true");
    foot.append(status, keys);
    box.append(list, foot);
    form.append(box);
    for (const [name, value] of Object.entries({
      role: "combobox",
      "aria-expanded": "false",
      "aria-controls": "hits",
      "aria-autocomplete": "list",
    })) {
      input.setAttribute(name, value);
    }

    let active = -1;
    const open = (yes) => {
      box.hidden = !yes;
      input.setAttribute("aria-expanded", String(yes));
      if (!yes) choose(-1);
    };
    const choose = (at) => {
      list.children[active]?.setAttribute("aria-selected", "false");
      active = at;
      const chosen = list.children[at];
      if (!chosen) return input.removeAttribute("aria-activedescendant");
      chosen.setAttribute("aria-selected", "true");
      chosen.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", chosen.id);
    };
    const show = (answer) => {
      choose(-1);
      const links = answer.hits.map((row, i) => {
        const link = hit(row, answer.query);
        link.id = `hit-${i}`;
        link.tabIndex = -1;
        link.setAttribute("role", "option");
        link.setAttribute("aria-selected", "false");
        return link;
      });
      list.replaceChildren(...links);
      list.hidden = !links.length;
      status.textContent = answer.total > links.length ? `All ${answer.total} found` : counted(answer);
      status.href = new URL(`search.html?q=${encodeURIComponent(answer.query.text)}`, site).href;
      open(answer.query.words.length > 0 && form.contains(document.activeElement));
      if (answer.query.words.length) announce(counted(answer));
    };
    const fail = () => {
      list.replaceChildren();
      list.hidden = true;
      status.removeAttribute("href");
      status.textContent = FAILED;
      open(true);
      announce(FAILED);
    };
    const run = typing(input, MENU_HITS, show, fail);

    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      const count = list.children.length;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (box.hidden) {
          if (input.value.trim()) run();
        } else if (count) {
          const step = event.key === "ArrowDown" ? 1 : -1;
          // One place more than there are hits: the field itself.
          choose(((active + 1 + step + count + 1) % (count + 1)) - 1);
        }
      } else if (event.key === "Enter" && !box.hidden && active >= 0) {
        event.preventDefault();
        location.assign(list.children[active].href);
      } else if (event.key === "Escape" && !box.hidden) {
        event.preventDefault();
        open(false);
      }
    });
    input.addEventListener("focus", () => {
      if (input.value.trim()) run();
    });
    form.addEventListener("focusout", (event) => {
      if (!form.contains(event.relatedTarget)) open(false);
    });
  }

  // The search page: the results stand in the page, and its address says what was asked.
  function page(form, input) {
    const results = document.querySelector("[data-search-results]");
    const note = document.querySelector("[data-search-note]");
    const list = element("ol", "results");
    results.append(list);
    const hint = () => {
      note.textContent = "";
      note.append(element("kbd", "", "/"), " goes to the field, ", element("kbd", "", "↓"), " to the results");
    };
    const show = (answer) => {
      const address = new URL(location.href);
      const text = answer.query.text.trim();
      if (text) address.searchParams.set("q", text);
      else address.searchParams.delete("q");
      if (address.href !== location.href) history.replaceState(null, "", address);
      list.replaceChildren(
        ...answer.hits.map((row) => {
          const item = element("li");
          item.append(hit(row, answer.query));
          return item;
        }),
      );
      if (!answer.query.words.length) return hint();
      note.textContent = counted(answer);
      announce(counted(answer));
    };
    const fail = () => {
      list.replaceChildren();
      note.textContent = FAILED;
      announce(FAILED);
    };
    const run = typing(input, PAGE_HITS, show, fail);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      run();
    });
    document.addEventListener("keydown", (event) => {
      const links = [...list.querySelectorAll("a")];
      const at = links.indexOf(document.activeElement);
      if (event.isComposing || (at < 0 && document.activeElement !== input)) return;
      if (event.key === "ArrowDown" && links.length) {
        event.preventDefault();
        links[Math.min(at + 1, links.length - 1)].focus();
      } else if (event.key === "ArrowUp" && at >= 0) {
        event.preventDefault();
        (links[at - 1] ?? input).focus();
      } else if (event.key === "Escape" && at >= 0) {
        event.preventDefault();
        input.focus();
      }
    });
    input.value = new URLSearchParams(location.search).get("q") ?? "";
    input.focus({ preventScroll: true });
    if (input.value) run();
    else hint();
  }

  const form = document.querySelector("form[data-search]");
  const input = form?.querySelector("input");
  if (!input) return;
  (form.dataset.search === "page" ? page : menu)(form, input);
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
})();
