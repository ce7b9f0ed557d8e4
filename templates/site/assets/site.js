// What the pages do besides search: colours, copying.
(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const say = (text) => {
    const place = document.querySelector("[data-announce]");
    if (place) place.textContent = text;
  };

  const toggle = document.querySelector("[data-theme-toggle]");
  toggle?.addEventListener("click", () => {
    const system = dark.matches ? "dark" : "light";
    const now = root.dataset.theme ?? system;
    const next = now === "dark" ? "light" : "dark";
    try {
      // What the system says anyway is not remembered: the page follows it again.
      if (next === system) localStorage.removeItem("theme");
      else localStorage.setItem("theme", next);
    } catch {
      // Not remembered, then.
    }
    if (next === system) delete root.dataset.theme;
    else root.dataset.theme = next;
    say(next === "dark" ? "Dark colours" : "Light colours");
  });

  // What scrolls by itself can be reached with the keyboard.
  for (const wide of document.querySelectorAll(".readme pre, .readme table")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }

  const copy = async (code) => {
    try {
      await navigator.clipboard.writeText(code.textContent.trim());
      return true;
    } catch {
      // No permission, or a page without TLS: marked, so that the reader's own copy command takes it.
      getSelection()?.selectAllChildren(code);
      return false;
    }
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    let timer;
    button.addEventListener("click", async () => {
      const done = await copy(button.parentElement.querySelector("code"));
      say(done ? "Copied" : "Selected; copy it with the keyboard");
      button.classList.toggle("is-done", done);
      clearTimeout(timer);
      timer = setTimeout(() => button.classList.remove("is-done"), 2000);
    });
  }
})();
