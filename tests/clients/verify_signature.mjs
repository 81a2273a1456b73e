// Verifies what a destination got, with what its vendor gives to those who verify. Reads one request as JSON: headers, body, key.

import { readFileSync } from "node:fs";
import { verify } from "@octokit/webhooks-methods";

const call = JSON.parse(readFileSync(0, "utf8"));
const body = Buffer.from(call.body, "base64").toString();
const signature = call.headers["x-hub-signature-256"];
const good = await verify(call.key, body, signature);
const changed = await verify(call.key, body + " ", signature);
console.log(good && !changed ? "verified" : "wrong");
