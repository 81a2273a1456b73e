// What every page does beyond what it does without scripts: it follows changes, listens to keys, copies, and tells on the desktop what waits.
// What is shown anew is taken from the page itself, asked for again and parsed as a document: no text becomes markup here.
"use strict";

const IDLE = 1000;
const asked = { at: 0, again: false, timer: 0, tag: null };

// The page as a document; nothing where it is the one of this tag.
function pageOf(method, address, { body, tag } = {}) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    request.responseType = "document";
    if (body) request.setRequestHeader("content-type", "application/x-www-form-urlencoded");
    if (tag) request.setRequestHeader("if-none-match", tag);
    request.onload = () => {
      if (request.status === 304) done(null);
      else if (request.response) done({ page: request.response, tag: request.getResponseHeader("etag") });
      else failed(new Error("no page came"));
    };
    request.onerror = () => failed(new Error("the broker was not reached"));
    request.send(body ?? null);
  });
}

// Puts the children of the same element of another document in place of an element's own.
function renew(element, from) {
  const fresh = from.getElementById(element.id);
  if (!fresh || fresh.isEqualNode(element)) return;
  const open = [...element.querySelectorAll("details")].map((one) => one.open);
  element.replaceChildren(...[...fresh.childNodes].map((node) => document.adoptNode(node)));
  element.hidden = fresh.hidden;
  element.querySelectorAll("details").forEach((one, at) => { if (at in open) one.open = open[at]; });
  element.dispatchEvent(new Event("renewed", { bubbles: true }));
}

// What lies further back in the journal does not change.
const looksBack = () => Boolean(new URLSearchParams(location.search).get("before"));

async function refresh() {
  const all = [...document.querySelectorAll("[data-live][id]")].filter((one) => one.dataset.live !== "journal" || !looksBack());
  // Nobody's field is taken from under their fingers.
  const elements = all.filter((one) => !one.contains(document.activeElement));
  if (elements.length === 0) return;
  const told = await pageOf("GET", location.href, { tag: asked.tag });
  if (!told) return;
  asked.tag = elements.length === all.length ? told.tag : null;
  elements.forEach((one) => renew(one, told.page));
}

// At most once in a while, and only while somebody looks.
function changed(kind) {
  if (kind === "journal" && looksBack()) return;
  asked.again = true;
  if (asked.timer || document.hidden) return;
  asked.timer = setTimeout(async () => {
    asked.again = false;
    await refresh().catch(() => {});
    asked.timer = 0;
    if (asked.again) changed();
  }, Math.max(0, asked.at + IDLE - Date.now()));
  asked.at = Date.now();
}

function follow() {
  if (!document.querySelector("[data-live]")) return;
  const source = new EventSource(`/live?age=${Math.ceil(performance.now())}`);
  // What changed between the page and this stream, or while there was none, is not told by it.
  source.addEventListener("hello", () => changed());
  source.addEventListener("journal", () => changed("journal"));
  source.addEventListener("inbox", (event) => {
    changed("inbox");
    JSON.parse(event.data).fresh.forEach(tell);
  });
  addEventListener("pagehide", () => source.close());
  document.addEventListener("visibilitychange", () => { if (asked.again) changed(); });
}

// The title has names that operators chose, and nothing that a workload wrote.
function tell({ id, title }) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const told = new Notification("Cloakroom", { body: title, tag: id });
  told.onclick = () => { window.focus(); location.assign(`/inbox/${encodeURIComponent(id)}`); };
}

function offerToTell() {
  const button = document.querySelector("[data-notify]");
  if (!button || !("Notification" in window) || Notification.permission !== "default") return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await Notification.requestPermission();
    button.hidden = Notification.permission !== "default";
  });
}

function offerToCopy(root) {
  if (!navigator.clipboard) return;
  root.querySelectorAll("[data-copy]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    });
  });
}

function step(by) {
  const items = [...document.querySelectorAll(".items a[data-item]")];
  const at = items.findIndex((one) => one.getAttribute("aria-current") === "true");
  items[at + by]?.click();
}

// Leaves of a list what holds what is typed.
function narrow(field) {
  const items = document.getElementById(field.dataset.narrow).children;
  field.addEventListener("input", () => {
    const sought = field.value.trim().toLowerCase();
    [...items].forEach((one) => { one.hidden = !one.textContent.toLowerCase().includes(sought); });
  });
}

addEventListener("keydown", (event) => {
  const writing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j" || event.key === "k") return step(event.key === "j" ? 1 : -1);
  // What is not to be seen is not decided.
  const meant = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key && one.checkVisibility());
  if (meant && !meant.disabled) {
    event.preventDefault();
    meant.click();
  }
});

document.querySelectorAll("[data-narrow]").forEach(narrow);
offerToCopy(document);
offerToTell();
follow();
