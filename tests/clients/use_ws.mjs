// The ws library, as anyone would use it: a server that demands and echoes the credential, and a program that talks to it.
// What the server does with what it hears is the same in use_websockets.py: each program talks to each server.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { once } from "node:events";
import { HttpsProxyAgent } from "https-proxy-agent";
import WebSocket, { WebSocketServer } from "ws";

const PIECE = 3;

function serve(certificate, key) {
  const expected = process.env.EXPECTED;
  const secret = expected.slice("Bearer ".length);
  const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: { threshold: 0 },
    handleProtocols: (offered) => (offered.has("chat.v2") ? "chat.v2" : false),
  });
  server.on("upgrade", (request, socket, head) => {
    if (request.url === "/handshake" && request.headers.authorization !== expected) {
      socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (connection) => talk(connection, request.url));
  });
  const talk = (connection, path) => {
    let greeted = path !== "/gateway";
    connection.on("message", (data, isBinary) => {
      const text = data.toString();
      if (!greeted) {
        greeted = true;
        const token = JSON.parse(text).d.token;
        if (token !== secret) return connection.close(4003, "not the credential");
        return connection.send(JSON.stringify({ hello: token }));
      }
      if (isBinary) return connection.send(Buffer.concat([Buffer.from(expected), data]));
      if (text === "fragments") {
        const told = `your key is ${expected}!`;
        for (let at = 0; at < told.length; at += PIECE) {
          connection.send(told.slice(at, at + PIECE), { fin: at + PIECE >= told.length });
        }
      } else if (text === "extensions") {
        connection.send(Object.keys(connection._extensions).join(","));
      } else if (text === "goodbye") {
        connection.close(4001, expected);
      } else {
        connection.send(`${expected}: ${text}`);
      }
    });
  };
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  process.stdin.resume().on("end", () => process.exit(0));
}

/** A connection whose messages can be awaited one by one. */
class Line {
  constructor(socket) {
    this.socket = socket;
    this.heard = [];
    this.waiting = [];
    socket.on("message", (data, isBinary) => this.take({ data: isBinary ? data : data.toString() }));
    socket.on("close", (code, reason) => this.take({ code, reason: reason.toString() }));
    socket.on("error", () => {});
  }

  take(what) {
    const next = this.waiting.shift();
    if (next) next(what);
    else this.heard.push(what);
  }

  hear() {
    const now = this.heard.shift();
    return now ? Promise.resolve(now) : new Promise((next) => this.waiting.push(next));
  }

  async message() {
    const { data, code } = await this.hear();
    assert.notEqual(data, undefined, `closed with ${code}`);
    return data;
  }

  async ask(question, answer) {
    this.socket.send(question);
    assert.equal(await this.message(), answer);
  }
}

async function call(mode, target) {
  const { PLACEHOLDER, PLACEHOLDER_IN_MESSAGE, WORKLOAD, BROKER, HTTPS_PROXY } = process.env;
  const told = `Bearer ${PLACEHOLDER}`;
  const open = (path, headers) => {
    if (mode === "proxy") {
      const agent = new HttpsProxyAgent(HTTPS_PROXY);
      return new WebSocket(`wss://${target}${path}`, ["chat.v1", "chat.v2"], { agent, headers });
    }
    const more = { "Cloakroom-Workload": WORKLOAD, ...headers };
    return new WebSocket(`${BROKER}/to/${target}${path}`, ["chat.v1", "chat.v2"], { headers: more });
  };
  const opened = async (path, headers) => {
    const socket = open(path, headers);
    const line = new Line(socket);
    await once(socket, "open");
    return line;
  };
  const refused = async (path, headers, code) => {
    const socket = open(path, headers);
    const [, response] = await once(socket, "unexpected-response");
    let body = "";
    for await (const piece of response) body += piece;
    assert.deepEqual([response.statusCode, JSON.parse(body).code], [403, code]);
  };

  const line = await opened("/handshake", { authorization: told });
  assert.equal(line.socket.protocol, "chat.v2");
  assert.equal(line.socket.extensions, "permessage-deflate");
  await line.ask("extensions", "permessage-deflate");
  for (let number = 0; number < 20; number += 1) await line.ask(`number ${number}`, `${told}: number ${number}`);
  line.socket.send("in ", { fin: false });
  await line.ask("pieces", `${told}: in pieces`);
  line.socket.send(Buffer.from([0, 255, 254]));
  assert.deepEqual(await line.message(), Buffer.concat([Buffer.from(told), Buffer.from([0, 255, 254])]));
  const large = "x".repeat(300_000);
  await line.ask(large, `${told}: ${large}`);
  await line.ask("fragments", `your key is ${told}!`);
  line.socket.ping("still there?");
  assert.equal((await once(line.socket, "pong"))[0].toString(), "still there?");
  line.socket.send("goodbye");
  assert.deepEqual(await line.hear(), { code: 4001, reason: told });

  const gateway = await opened("/gateway", {});
  gateway.socket.send(JSON.stringify({ d: { token: PLACEHOLDER_IN_MESSAGE, more: [1, 2] } }));
  assert.deepEqual(JSON.parse(await gateway.message()), { hello: PLACEHOLDER_IN_MESSAGE });
  await gateway.ask("hello", `Bearer ${PLACEHOLDER_IN_MESSAGE}: hello`);
  gateway.socket.close(1000, "done");
  assert.equal((await gateway.hear()).code, 1000);

  // One step wrong.
  const elsewhere = await opened("/gateway", {});
  elsewhere.socket.send(JSON.stringify({ token: PLACEHOLDER_IN_MESSAGE }));
  assert.deepEqual(await elsewhere.hear(), { code: 1008, reason: "place-not-permitted" });
  const again = await opened("/handshake", { authorization: told });
  again.socket.send(`and again ${PLACEHOLDER}`);
  assert.deepEqual(await again.hear(), { code: 1008, reason: "place-not-permitted" });
  await refused("/other", { authorization: told }, "call-not-permitted");
  await refused("/handshake", { authorization: "Bearer sk-nothing" }, "call-not-permitted");
  await refused("/gateway", { authorization: told }, "call-not-permitted");
  console.log(told, "done");
  process.exit(0);
}

const [what, ...rest] = process.argv.slice(2);
if (what === "serve") serve(...rest);
else await call(...rest);
