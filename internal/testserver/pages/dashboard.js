// Keeps a page of the dashboard up to date, and copies what it shows. Without
// it the pages say and do the same; they are only not new by themselves.
"use strict";
(() => {
  const main = document.getElementById("main");
  const note = document.getElementById("live");
  const pause = 200; // milliseconds between two looks, at the least
  let looking = false;
  let again = false;

  // busy says that somebody is at work in a part of the page: it has the focus
  // or selected text, and must not change under their hands.
  function busy(part) {
    const selection = getSelection();
    return part.contains(document.activeElement) || (!selection.isCollapsed && selection.containsNode(part, true));
  }

  function replace(part, fresh) {
    const before = Array.from(part.querySelectorAll(".scroll"), (box) => box.scrollLeft);
    part.replaceChildren(...fresh.childNodes);
    part.querySelectorAll(".scroll").forEach((box, i) => { box.scrollLeft = before[i] || 0; });
  }

  async function look() {
    if (looking || document.hidden) {
      again = true;
      return;
    }
    looking = true;
    again = false;
    try {
      const answer = await fetch(main.dataset.page, { cache: "no-store" });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-live]")) {
          const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
          if (next && !busy(part)) replace(part, next);
        }
      }
    } catch {
      // The stream of events ends, too, and says so.
    }
    setTimeout(() => {
      looking = false;
      if (again) look();
    }, pause);
  }

  if (note) {
    const events = new EventSource(main.dataset.events);
    events.onopen = () => { note.textContent = "Live: what happens shows here at once."; };
    events.onmessage = look;
    events.onerror = () => { note.textContent = "The server cannot be reached. This page goes on as soon as it can."; };
    document.addEventListener("visibilitychange", () => { if (again) look(); });
  }

  for (const button of document.querySelectorAll("button[data-copies]")) {
    const text = document.getElementById(button.dataset.copies);
    button.hidden = false;
    button.addEventListener("click", async () => {
      getSelection().selectAllChildren(text);
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Selected"; // the clipboard is for pages over TLS or from this machine
      }
    });
  }
})();
