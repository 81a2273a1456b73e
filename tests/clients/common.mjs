// What the Node clients share: where to call and what to check.
export const mode = process.argv[2];
export const placeholder = process.env.PLACEHOLDER;
export const base = mode === "proxy" ? process.env.DESTINATION : process.env.BASE;
// In base-URL mode no proxy setting says who calls, so a header does.
export const headers = mode === "proxy" ? {} : { "cloakroom-workload": process.env.WORKLOAD };

export function check(text) {
  if (!text.includes(placeholder)) throw new Error(`no placeholder in ${text}`);
  console.log(text);
}
