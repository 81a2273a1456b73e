// An operator's and approver's browser at the console: real Chromium with a virtual authenticator, driven line by line. Each line on standard
// input is a JSON array, a command and its arguments; each line on standard output is what came of it, as JSON.
//
//   ["open", PATH]                     the page's title, status and text
//   ["press", SELECTOR]                clicks, and waits until the page has said or become something
//   ["fill", {SELECTOR: TEXT, …}]      types into fields
//   ["wait", SELECTOR, TEXT]           until an element holds the text; without a reload
//   ["text", SELECTOR]                 what it holds
//   ["attribute", SELECTOR, NAME]      the value of an attribute
//   ["submit", SELECTOR]               clicks, and waits for the page that comes
//   ["click", SELECTOR]                clicks, and waits for nothing
//   ["key", KEY]                       one key
//   ["look", DIRECTORY, NAME]          screenshots: desktop and phone, light and dark; what axe-core finds wrong in each
//   ["weigh", PATH]                    bytes of the page with all that it loads
//   ["kept"]                           what the console's pages keep in the browser
//   ["allow-telling"]                  lets the page tell things on the desktop, and notes what it tells
//   ["told"]                           what it told since: title, body, tag
//   ["press-told"]                     clicks on the last of it, and gives where that leads
//   ["plant"]                          puts an image from elsewhere into the page
//   ["trouble"]                        errors, dialogs and requests to elsewhere, since the last time
import { chromium } from "playwright-core";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [origin, ...trusted] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const profile = mkdtempSync(join(tmpdir(), "console-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  ignoreHTTPSErrors: true,
  viewport: { width: 1280, height: 900 },
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = context.pages()[0] ?? await context.newPage();
let trouble = [];
page.on("console", (message) => message.type() === "error" && trouble.push(`console: ${message.text()}`));
page.on("pageerror", (error) => trouble.push(`error: ${error}`));
page.on("dialog", (dialog) => { trouble.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
page.on("request", (request) => {
  const to = request.url();
  if (![origin, ...trusted].some((own) => to === own || to.startsWith(`${own}/`)) && !to.startsWith("about:")) trouble.push(`request: ${to}`);
});
const cdp = await context.newCDPSession(page);
await cdp.send("WebAuthn.enable");
await cdp.send("WebAuthn.addVirtualAuthenticator", {
  options: {
    protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
    isUserVerified: true, automaticPresenceSimulation: true,
  },
});

async function told() {
  return { url: page.url().replace(origin, ""), title: await page.title(), text: await page.innerText("body") };
}

const commands = {
  async open(path) {
    const answer = await page.goto(path.startsWith("http") ? path : origin + path, { waitUntil: "load" });
    return { status: answer?.status(), headers: answer?.headers(), ...(await told()) };
  },
  async press(selector) {
    const before = page.url();
    await page.locator(selector).first().click();
    // A form brings another page, a script says something.
    await page.waitForFunction((url) => location.href !== url
      || !["", "waiting", undefined].includes(document.getElementById("said")?.dataset.outcome), before, { timeout: 20000 });
    await page.waitForLoadState("load");
    const said = page.locator("#said");
    const outcome = await said.count() ? await said.getAttribute("data-outcome") : null;
    return { outcome, said: await said.count() ? await said.textContent() : null, ...(await told()) };
  },
  async submit(selector) {
    await Promise.all([page.waitForEvent("load", { timeout: 20000 }), page.locator(selector).first().click()]);
    return told();
  },
  async fill(fields) {
    for (const [selector, text] of Object.entries(fields)) {
      const field = page.locator(selector).first();
      if (await field.evaluate((one) => one.tagName) === "SELECT") await field.selectOption(text);
      else await field.fill(text);
    }
    return {};
  },
  async wait(selector, text) {
    await page.waitForFunction(([selector, text]) => [...document.querySelectorAll(selector)]
      .some((one) => one.textContent.includes(text)), [selector, text], { timeout: 20000 });
    return {};
  },
  async text(selector) {
    return { text: await page.locator(selector).first().textContent() };
  },
  async click(selector) {
    await page.locator(selector).first().click();
    return {};
  },
  async key(key) {
    await page.keyboard.press(key);
    return {};
  },
  async attribute(selector, name) {
    return { value: await page.locator(selector).first().getAttribute(name) };
  },
  async look(directory, name) {
    const [wide, violations] = [[], []];
    // Evaluated by the debugger, past the page's policy.
    await page.evaluate(axe);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      for (const [device, width, height] of [["desktop", 1280, 900], ["phone", 390, 844]]) {
        await page.setViewportSize({ width, height });
        await page.screenshot({ path: join(directory, `${name}-${device}-${colorScheme}.png`), fullPage: true, animations: "disabled" });
        if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) wide.push(`${name} on a ${device}`);
        const found = await page.evaluate(() => globalThis.axe.run(document, {
          runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"],
        }));
        violations.push(...found.violations.map((one) => `${device}, ${colorScheme}: ${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(" | ")}`));
      }
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 900 });
    return { wide, violations };
  },
  async weigh(path) {
    const sizes = [];
    const count = (answer) => sizes.push(answer.body().then((body) => body.length, () => 0));
    page.on("response", count);
    await page.goto(path.startsWith("http") ? path : origin + path, { waitUntil: "load" });
    page.off("response", count);
    // Told of changes is an answer without an end.
    const timeout = new Promise((done) => setTimeout(() => done(0), 2000));
    const bytes = await Promise.all(sizes.map((size) => Promise.race([size, timeout])));
    return { bytes: bytes.reduce((sum, one) => sum + one, 0) };
  },
  async kept() {
    return { kept: await page.evaluate(() => ({ ...localStorage })) };
  },
  async "allow-telling"() {
    await context.grantPermissions(["notifications"], { origin });
    // The browser's own notification is made; this notes what it was made of.
    await context.addInitScript(() => {
      const told = [];
      globalThis.Notification = class extends globalThis.Notification {
        constructor(title, options) { super(title, options); told.push(this); }
      };
      globalThis.toldOnDesktop = told;
    });
    return {};
  },
  async told() {
    return { told: await page.evaluate(() => globalThis.toldOnDesktop.map(({ title, body, tag }) => ({ title, body, tag }))) };
  },
  async "press-told"() {
    await Promise.all([page.waitForEvent("load", { timeout: 20000 }), page.evaluate(() => globalThis.toldOnDesktop.at(-1).onclick())]);
    return told();
  },
  // What a page with a hole would have in it: proves that it would be seen.
  async plant() {
    await page.evaluate(() => new Promise((done) => {
      const image = document.createElement("img");
      image.onerror = done;
      image.src = "http://127.0.0.1:9/planted";
      document.body.append(image);
    }));
    return {};
  },
  async trouble() {
    const all = trouble;
    trouble = [];
    return { trouble: all };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...rest] = JSON.parse(line);
  try {
    console.log(JSON.stringify({ ok: true, ...(await commands[command](...rest)) }));
  } catch (error) {
    console.log(JSON.stringify({ ok: false, error: String(error), url: page.url(), page: await page.innerText("body").catch(() => "") }));
  }
}
await context.close();
rmSync(profile, { recursive: true, force: true });
