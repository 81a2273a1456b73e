// Seals what is pasted to the key that only custody holds, before it leaves this browser: HPKE (RFC 9180), base mode, X25519, HKDF-SHA256,
// AES-256-GCM. The credential's name is authenticated.
"use strict";

const place = document.querySelector("main").dataset;
const said = document.getElementById("said");
const text = new TextEncoder();
const INFO = text.encode("cloakroom intake v1");
const KEM = Uint8Array.of(...text.encode("KEM"), 0x00, 0x20);
const SUITE = Uint8Array.of(...text.encode("HPKE"), 0x00, 0x20, 0x00, 0x01, 0x00, 0x02);

const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
const decode = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const encode = (bytes) => btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""));

async function hmac(key, data) {
  // An empty key and one of zeros are the same to HMAC, and only the latter can be imported.
  const raw = key.length ? key : new Uint8Array(32);
  const imported = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data));
}

const extract = (suite, salt, label, secret) => hmac(salt, join(text.encode("HPKE-v1"), suite, text.encode(label), secret));

// No more than 32 bytes are ever wanted: one block of HKDF.
async function expand(suite, key, label, info, length) {
  const block = await hmac(key, join([0, length], text.encode("HPKE-v1"), suite, text.encode(label), info, [1]));
  return block.slice(0, length);
}

async function seal(plain, name) {
  const recipient = decode(place.intake);
  const theirs = await crypto.subtle.importKey("raw", recipient, { name: "X25519" }, false, []);
  const own = await crypto.subtle.generateKey({ name: "X25519" }, true, ["deriveBits"]);
  const encapsulated = new Uint8Array(await crypto.subtle.exportKey("raw", own.publicKey));
  const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: theirs }, own.privateKey, 256));
  const both = join(encapsulated, recipient);
  const secret = await expand(KEM, await extract(KEM, [], "eae_prk", shared), "shared_secret", both, 32);
  const context = join([0], await extract(SUITE, [], "psk_id_hash", []), await extract(SUITE, [], "info_hash", INFO));
  const scheduled = await extract(SUITE, secret, "secret", []);
  const key = await expand(SUITE, scheduled, "key", context, 32);
  const iv = await expand(SUITE, scheduled, "base_nonce", context, 12);
  const aead = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: text.encode(name) }, aead, plain);
  return { encapsulated: encode(encapsulated), ciphertext: encode(sealed) };
}

async function hand(path, document) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "cloakroom-csrf": half.text },
    body: JSON.stringify(document),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(`${told.detail}; ${told.hint}`);
  return told;
}

const lines = (value) => value.split("\n").map((line) => line.trim()).filter(Boolean);

async function paste(fields) {
  const secret = await seal(text.encode(fields.get("secret")), fields.get("name"));
  const added = await hand("/api/v1/credentials", {
    name: fields.get("name"), kind: fields.get("kind"), destinations: lines(fields.get("to")), secret,
  });
  return `/credentials/${encodeURIComponent(added.name)}`;
}

async function login(fields) {
  const value = (name) => fields.get(name)?.trim() || undefined;
  const issuer = value("issuer");
  const described = {
    flow: "browser",
    issuer,
    token_endpoint: issuer ? undefined : value("token_endpoint"),
    authorization_endpoint: issuer ? undefined : value("authorization_endpoint"),
    revocation_endpoint: issuer ? undefined : value("revocation_endpoint"),
    client: { id: value("client_id"), secret: value("client_secret") },
    scope: value("scope"),
    resource: [],
    parameters: Object.fromEntries(lines(fields.get("parameters") ?? "").map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    })),
    bound: false,
  };
  const document = await seal(text.encode(JSON.stringify(described)), value("name"));
  const begun = await hand("/api/v1/logins", { name: value("name"), destinations: lines(fields.get("to")), document });
  const url = new URL(begun.url);
  if (!["https:", "http:"].includes(url.protocol)) throw new Error("the authorization server's address is no web page");
  return url.href;
}

function say(words, outcome) {
  said.textContent = words;
  said.dataset.outcome = outcome;
}

document.querySelectorAll("form[data-connect]").forEach((form) => {
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = new FormData(form);
    say("sealing and handing over", "waiting");
    try {
      const next = await (form.dataset.connect === "paste" ? paste(fields) : login(fields));
      form.reset();
      location.assign(next);
    } catch (error) {
      say(`nothing was done: ${error.message}`, "failed");
    }
  });
});
