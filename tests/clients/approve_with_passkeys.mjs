// An approver's browser: real Chromium with a virtual authenticator, driven line by line. Each line on standard input is a
// command, each line on standard output what came of it, as JSON.
//
//   enrol URL            makes a passkey by the link
//   grant URL, deny URL  presses the button of an approval's page
//   text URL             what the page shows as the text that is signed, and its digest
//   raw URL              signs what the page asks for, and hands it out instead of in
//   unverified URL       the same, without asking who the person is
//   no URL               signs the no that the page would hand in, and hands it out
//   verify true|false    whether the authenticator recognises the person from now on
//   count N              sets the authenticator's counter
//   probe URL            how the page is fenced
import { chromium } from "playwright-core";
import { createInterface } from "node:readline";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const profile = mkdtempSync(join(tmpdir(), "approver-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await context.newPage();
const trouble = [];
page.on("console", (message) => message.type() === "error" && trouble.push(message.text()));
page.on("pageerror", (error) => trouble.push(String(error)));
const cdp = await context.newCDPSession(page);
await cdp.send("WebAuthn.enable");
const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", {
  options: {
    protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
    isUserVerified: true, automaticPresenceSimulation: true,
  },
});

async function press(act, url) {
  await page.goto(url);
  const button = page.locator(`button[data-act="${act}"]`);
  if (await button.count() === 0) {
    return { outcome: "no-button", said: await page.textContent("main") };
  }
  await button.click();
  await page.waitForFunction(() => !["", "waiting", undefined].includes(document.getElementById("said").dataset.outcome));
  const said = page.locator("#said");
  return { outcome: await said.getAttribute("data-outcome"), said: await said.textContent() };
}

const commands = {
  enrol: (url) => press("enrol", url),
  grant: (url) => press("grant", url),
  deny: (url) => press("deny", url),
  async text(url) {
    await page.goto(url);
    return { text: await page.textContent("#text"), digest: await page.textContent("#digest") };
  },
  async raw(url) {
    await page.goto(url);
    return page.evaluate(() => decide("grant"));
  },
  async no(url) {
    await page.goto(url);
    return page.evaluate(() => decide("deny"));
  },
  async unverified(url) {
    await page.goto(url);
    return page.evaluate(async () => {
      const get = navigator.credentials.get.bind(navigator.credentials);
      navigator.credentials.get = ({ publicKey }) => get({ publicKey: { ...publicKey, userVerification: "discouraged" } });
      return decide("grant");
    });
  },
  async verify(word) {
    await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: word === "true" });
    return {};
  },
  async count(number) {
    const { credentials } = await cdp.send("WebAuthn.getCredentials", { authenticatorId });
    for (const credential of credentials) {
      await cdp.send("WebAuthn.removeCredential", { authenticatorId, credentialId: credential.credentialId });
      await cdp.send("WebAuthn.addCredential", { authenticatorId, credential: { ...credential, signCount: Number(number) } });
    }
    return { before: credentials.map((credential) => credential.signCount) };
  },
  async probe(url) {
    const answer = await page.goto(url);
    const before = trouble.length;
    const ran = await page.evaluate(() => new Promise((done) => {
      window.ran = "not";
      const script = document.createElement("script");
      try { script.textContent = "window.ran = 'inline'"; document.head.append(script); } catch { /* refused before the policy */ }
      const image = document.createElement("img");
      image.src = "http://127.0.0.1:9/x";
      image.onerror = () => done(window.ran);
      document.body.append(image);
    }));
    return { headers: answer.headers(), ran, refused: trouble.slice(before) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument] = line.split(" ");
  try {
    console.log(JSON.stringify({ ok: true, ...(await commands[command](argument)) }));
  } catch (error) {
    console.log(JSON.stringify({ ok: false, error: String(error) }));
  }
}
await context.close();
rmSync(profile, { recursive: true, force: true });
