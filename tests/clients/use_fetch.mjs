import * as undici from "undici";
import { base, check, headers, mode, placeholder } from "./common.mjs";

const get = async (fetch, options) => {
  const answer = await fetch(`${base}/v1/whoami`, {
    headers: { authorization: `Bearer ${placeholder}`, ...headers },
    ...options,
  });
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  check(await answer.text());
};

if (mode === "proxy") {
  await get(undici.fetch, { dispatcher: new undici.EnvHttpProxyAgent() });
  await get(undici.fetch, { dispatcher: new undici.ProxyAgent(process.env.HTTPS_PROXY) });
} else {
  await get(undici.fetch, {});
  await get(globalThis.fetch, {});
}
process.exit(0);
