// What the reference implementation of GraphQL reads: for each document on stdin (a JSON array) the kinds of its operations in order,
// or null where it does not parse.

import { readFileSync } from "node:fs";
import { parse } from "graphql";

const kinds = (text) => {
  try {
    const operations = parse(text).definitions.filter((one) => one.kind === "OperationDefinition");
    return operations.map((one) => one.operation);
  } catch {
    return null;
  }
};

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(kinds)));
