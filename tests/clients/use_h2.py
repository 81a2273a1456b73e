"""The h2 library, an implementation of HTTP/2 and HPACK that shares no code with the broker: a server that tells how each field came."""

import asyncio
import json
import ssl
import sys

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from hpack.struct import NeverIndexedHeaderTuple


class Peer(asyncio.Protocol):
    """One connection. Each answer holds the fields of its request, whether each must never be indexed, and what is in the table."""

    def connection_made(self, transport):
        self.transport = transport
        self.requests = {}
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.initiate_connection()
        transport.write(self.h2.data_to_send())

    def data_received(self, data):
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self.requests[event.stream_id] = [
                    [name.decode(), value.decode(), isinstance(field, NeverIndexedHeaderTuple)]
                    for field in event.headers
                    for name, value in [field]
                ]
            elif isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.answer(event.stream_id)
        self.transport.write(self.h2.data_to_send())

    def answer(self, stream):
        table = [value.decode() for _, value in self.h2.decoder.header_table.dynamic_entries]
        body = json.dumps({"fields": self.requests.pop(stream), "table": table}).encode()
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
        self.h2.send_data(stream, body)
        self.h2.send_headers(stream, [("x-requests-open", str(len(self.requests)))], end_stream=True)


async def serve(certificate, key):
    """Serves on a port that it prints, until its input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Peer, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
