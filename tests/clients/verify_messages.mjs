// Verifies HTTP message signatures (RFC 9421) with an implementation that is not ours. Reads requests as a destination got them, and keys.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import signatures from "http-message-signatures";

const { httpbis, createVerifier } = signatures;
const { calls, keys } = JSON.parse(readFileSync(0, "utf8"));

const keyLookup = async ({ keyid }) => {
  const { alg, pem, base64 } = keys[keyid];
  const key = pem ?? Buffer.from(base64, "base64");
  return { id: keyid, algs: [alg], verify: createVerifier(key, alg) };
};

async function verifies(call) {
  try {
    return (await httpbis.verifyMessage({ keyLookup, all: true }, call)) === true;
  } catch (error) {
    return error.constructor.name;
  }
}

let good = 0;
let changed = 0;
for (const { body, ...call } of calls) {
  const verified = await verifies(call);
  const digest = createHash("sha256").update(Buffer.from(body, "base64")).digest("base64");
  const named = call.headers["content-digest"];
  if (verified === true && named === `sha-256=:${digest}:`) good += 1;
  else console.log("not verified", verified, JSON.stringify(call), digest);
  const others = [
    { ...call, method: call.method === "PUT" ? "POST" : "PUT" },
    { ...call, url: call.url + (call.url.includes("?") ? "&" : "?") + "x=1" },
    { ...call, headers: { ...call.headers, "content-digest": named.replace("sha-256=:", "sha-256=:x") } },
  ];
  for (const other of others) {
    if ((await verifies(other)) !== true) changed += 1;
  }
}
console.log(`${good} of ${calls.length} verified, ${changed} of ${3 * calls.length} changed ones refused`);
