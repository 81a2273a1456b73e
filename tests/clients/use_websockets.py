"""The websockets library, as anyone would use it: a server that demands and echoes the credential, and a program that talks to it.

What the server does with what it hears is the same in use_ws.mjs: each program talks to each server. The program is the asynchronous one:
the blocking client reads and writes one TLS connection from two threads, and where the server's session tickets come while it writes, its
request is now and then never sent, to any server.
"""

import asyncio
import json
import os
import ssl
import sys
import threading

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response
from websockets.sync.server import serve as serve_websockets

PIECE = 3


def serve(certificate, key):
    """Serves on a port that it prints, until its input ends."""
    expected = os.environ["EXPECTED"]
    secret = expected.removeprefix("Bearer ")

    def check(connection, request):
        if request.path == "/handshake" and request.headers.get("Authorization") != expected:
            return connection.respond(401, "no such key\n")
        return None

    def handler(connection):
        path = connection.request.path
        if path == "/gateway":
            token = json.loads(connection.recv())["d"]["token"]
            if token != secret:
                connection.close(4003, "not the credential")
                return
            connection.send(json.dumps({"hello": token}))
        for message in connection:
            if isinstance(message, bytes):
                connection.send(expected.encode() + message)
            elif message == "fragments":
                told = f"your key is {expected}!"
                connection.send(told[at : at + PIECE] for at in range(0, len(told), PIECE))
            elif message == "extensions":
                connection.send(",".join(extension.name for extension in connection.protocol.extensions))
            elif message == "goodbye":
                connection.close(4001, expected)
            else:
                connection.send(f"{expected}: {message}")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = serve_websockets(
        handler, "127.0.0.1", 0, ssl=context, process_request=check, subprotocols=["chat.v2"]
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.socket.getsockname()[1], flush=True)
    sys.stdin.read()


async def call(mode, target):
    """Talks on both paths. The placeholder has to stand wherever the server told the credential."""
    placeholder, in_message = os.environ["PLACEHOLDER"], os.environ["PLACEHOLDER_IN_MESSAGE"]
    told = f"Bearer {placeholder}"
    if mode == "proxy":
        # What the usual settings say: HTTPS_PROXY and SSL_CERT_FILE.
        base, fields, options = f"wss://{target}", {}, {}
    else:
        base = f"{os.environ['BROKER']}/to/{target}"
        fields, options = {"Cloakroom-Workload": os.environ["WORKLOAD"]}, {"proxy": None}

    def opened(path, **more):
        return connect(base + path, additional_headers=fields | more, subprotocols=["chat.v1", "chat.v2"], **options)

    async with opened("/handshake", Authorization=told) as connection:
        assert connection.subprotocol == "chat.v2"
        names = [extension.name for extension in connection.protocol.extensions]
        assert names == ["permessage-deflate"], names
        await connection.send("extensions")
        assert await heard(connection) == "permessage-deflate"
        for number in range(20):
            await connection.send(f"number {number}")
            assert await heard(connection) == f"{told}: number {number}"
        await connection.send(["in", " ", "pieces"])
        assert await heard(connection) == f"{told}: in pieces"
        await connection.send(b"\x00\xff\xfe")
        assert await heard(connection) == told.encode() + b"\x00\xff\xfe"
        large = "x" * 300_000
        await connection.send(large)
        assert await heard(connection) == f"{told}: {large}"
        await connection.send("fragments")
        assert await heard(connection) == f"your key is {told}!"
        await asyncio.wait_for(await connection.ping(), 60)
        await connection.send("goodbye")
        closed = await ended(connection)
        assert (closed.code, closed.reason) == (4001, told), closed

    async with opened("/gateway") as connection:
        await connection.send(json.dumps({"d": {"token": in_message, "more": [1, 2]}}))
        assert json.loads(await heard(connection)) == {"hello": in_message}
        await connection.send("hello")
        answer = await heard(connection)
        assert answer == f"Bearer {in_message}: hello", answer

    # One step wrong.
    async with opened("/gateway") as connection:
        await connection.send(json.dumps({"token": in_message}))
        closed = await ended(connection)
        assert (closed.code, closed.reason) == (1008, "place-not-permitted"), closed
    async with opened("/handshake", Authorization=told) as connection:
        await connection.send(f"and again {placeholder}")
        closed = await ended(connection)
        assert (closed.code, closed.reason) == (1008, "place-not-permitted"), closed
    for path, field, code in [
        ("/other", told, "call-not-permitted"),
        ("/handshake", "Bearer sk-nothing", "call-not-permitted"),
        ("/gateway", told, "call-not-permitted"),
    ]:
        try:
            await opened(path, Authorization=field)
        except InvalidStatus as no:
            answer: Response = no.response
            assert answer.status_code == 403 and json.loads(answer.body)["code"] == code, answer
        else:
            raise AssertionError(f"{path} was not refused")
    print(told, "done")


async def heard(connection):
    """The next message."""
    return await asyncio.wait_for(connection.recv(), 60)


async def ended(connection):
    """How the other side closed."""
    try:
        while True:
            print("still hears", await heard(connection))
    except ConnectionClosed as closed:
        return closed.rcvd


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        asyncio.run(call(*sys.argv[2:]))
