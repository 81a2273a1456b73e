// What every page does beyond what it does without scripts: it follows changes, listens to keys, copies, and tells on the desktop what waits.
// What is shown anew is taken from the page itself, asked for again and parsed as a document: no text becomes markup here.
"use strict";

const IDLE = 1000;
const asked = { at: 0, kinds: new Set(), timer: 0 };

function pageOf(method, address, body) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    request.responseType = "document";
    if (body) request.setRequestHeader("content-type", "application/x-www-form-urlencoded");
    request.onload = () => (request.response ? done(request.response) : failed(new Error("no page came")));
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

async function refresh(kinds) {
  const elements = [...document.querySelectorAll("[data-live][id]")]
    .filter((one) => kinds.has(one.dataset.live) && !one.contains(document.activeElement));
  if (elements.length === 0) return;
  const page = await pageOf("GET", location.href);
  elements.forEach((one) => renew(one, page));
}

// At most once in a while, and only while somebody looks. What lies further back does not change.
function changed(kind) {
  if (kind === "journal" && new URLSearchParams(location.search).get("before")) return;
  asked.kinds.add(kind);
  if (asked.timer || document.hidden) return;
  asked.timer = setTimeout(async () => {
    const kinds = new Set(asked.kinds);
    asked.kinds.clear();
    await refresh(kinds).catch(() => {});
    asked.timer = 0;
    if (asked.kinds.size) changed([...asked.kinds][0]);
  }, Math.max(0, asked.at + IDLE - Date.now()));
  asked.at = Date.now();
}

function follow() {
  if (!document.querySelector("[data-live]")) return;
  const source = new EventSource("/live");
  source.addEventListener("journal", () => changed("journal"));
  source.addEventListener("inbox", (event) => {
    changed("inbox");
    JSON.parse(event.data).fresh.forEach(tell);
  });
  addEventListener("pagehide", () => source.close());
  document.addEventListener("visibilitychange", () => [...asked.kinds].forEach(changed));
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

addEventListener("keydown", (event) => {
  const writing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j" || event.key === "k") return step(event.key === "j" ? 1 : -1);
  const meant = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key);
  if (meant && !meant.disabled) {
    event.preventDefault();
    meant.click();
  }
});

offerToCopy(document);
offerToTell();
follow();
