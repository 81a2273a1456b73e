// Asks the approver's passkey, and hands over what it says. What is signed is computed from the text on the screen.
"use strict";

const DOMAINS = { grant: "cloakroom approval v1\n", deny: "cloakroom denial v1\n" };

const place = document.querySelector("main").dataset;
const said = document.getElementById("said");

function say(words, outcome) {
  said.textContent = words;
  said.dataset.outcome = outcome;
}

function base64url(buffer) {
  const text = btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(""));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function bytes(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

function hexadecimal(buffer) {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function digest(domain) {
  const shown = new TextEncoder().encode(domain + document.getElementById("text").textContent);
  return crypto.subtle.digest("SHA-256", shown);
}

async function signed(challenge, ids) {
  const allowCredentials = ids.map((id) => ({ type: "public-key", id: bytes(id) }));
  const made = await navigator.credentials.get({
    publicKey: { challenge, rpId: place.rpId, allowCredentials, userVerification: "required", timeout: 120000 },
  });
  return {
    passkey: base64url(made.rawId),
    authenticator_data: base64url(made.response.authenticatorData),
    client_data: base64url(made.response.clientDataJSON),
    signature: base64url(made.response.signature),
  };
}

async function decide(act) {
  const challenge = await digest(DOMAINS[act]);
  if (act === "grant" && hexadecimal(challenge) !== document.getElementById("digest").textContent) {
    throw new Error("the text on this page is not the text of its digest");
  }
  return signed(challenge, place.passkeys.split(" ").filter(Boolean));
}

async function login() {
  const asked = await hand("/login/challenge", {});
  return { ticket: asked.ticket, said: await signed(bytes(asked.challenge), asked.passkeys) };
}

async function enrol() {
  const made = await navigator.credentials.create({
    publicKey: {
      challenge: bytes(place.challenge),
      rp: { id: place.rpId, name: "Cloakroom" },
      user: { id: crypto.getRandomValues(new Uint8Array(16)), name: place.name, displayName: place.name },
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
      authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
      attestation: "none",
      timeout: 120000,
    },
  });
  return {
    attestation_object: base64url(made.response.attestationObject),
    client_data: base64url(made.response.clientDataJSON),
  };
}

async function hand(path, document) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(document),
  });
  const told = await answer.json();
  if (!answer.ok) {
    throw new Error(`${told.detail}; ${told.hint}`);
  }
  return told;
}

async function decided(act) {
  const told = await hand(`${place.path ?? location.pathname}/${act}`, await decide(act));
  return [`${told.state}: ${told.signed.length} of ${told.needed} approvers have signed`, told.state];
}

async function enrolled() {
  const told = await hand(location.pathname, await enrol());
  half.keep(told.half);
  const waits = told.id ? `; to approve, it counts once the approvers there are have signed ${told.id}` : "";
  return [(told.member ? "the passkey is made, and you are logged in" : "the passkey is made") + waits, told.state];
}

async function entered() {
  const told = await hand("/login", await login());
  half.keep(told.half);
  location.assign(place.next);
  return ["logged in", told.state];
}

const ACTS = { grant: () => decided("grant"), deny: () => decided("deny"), enrol: enrolled, login: entered };

function buttons() {
  return document.querySelectorAll("button[data-act]");
}

async function act(button) {
  const what = button.dataset.act;
  say("waiting for the passkey", "waiting");
  try {
    say(...await ACTS[what]());
    buttons().forEach((other) => other.remove());
    document.querySelectorAll("[data-after]").forEach((one) => { one.hidden = false; });
  } catch (error) {
    say(`nothing was done: ${error.message}`, "failed");
  }
}

if (place.half) {
  half.keep(place.half);
  location.replace(place.next);
}

if (place.origin && location.origin !== place.origin) {
  say(`open this page at ${place.origin}${location.pathname}: passkeys are good there only`, "elsewhere");
  buttons().forEach((button) => button.remove());
} else {
  buttons().forEach((button) => button.addEventListener("click", () => act(button)));
}
