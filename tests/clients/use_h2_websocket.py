"""A WebSocket over HTTP/2 (RFC 8441), by the h2 library and the frames of websockets: through CONNECT, inside TLS."""

import base64
import os
import socket
import ssl
import sys
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader


class Line:
    """One connection, and what came of its streams."""

    def __init__(self, target):
        proxy = urlsplit(os.environ["HTTPS_PROXY"])
        plain = socket.create_connection((proxy.hostname, proxy.port), timeout=60)
        key = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        plain.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic {key}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += plain.recv(1)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(plain, server_hostname=target.rsplit(":", 1)[0])
        assert self.socket.selected_alpn_protocol() == "h2"
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.target, self.offered, self.status, self.ended = target, False, {}, set()
        self.readers = {}
        self.flush()
        self.until(lambda: self.offered)

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def until(self, done):
        while not done():
            for event in self.h2.receive_data(self.socket.recv(65536)):
                if isinstance(event, RemoteSettingsChanged):
                    self.offered |= SettingCodes.ENABLE_CONNECT_PROTOCOL in event.changed_settings
                elif isinstance(event, ResponseReceived):
                    self.status[event.stream_id] = dict(event.headers)[":status"]
                elif isinstance(event, DataReceived):
                    self.readers[event.stream_id].feed_data(event.data)
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, (StreamEnded, StreamReset)):
                    self.ended.add(event.stream_id)
            self.flush()

    def open(self, path, authorization):
        stream = self.h2.get_next_available_stream_id()
        self.readers[stream] = StreamReader()
        fields = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", path),
            (":authority", self.target),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat.v2"),
            ("authorization", authorization),
        ]
        self.h2.send_headers(stream, fields)
        self.flush()
        self.until(lambda: stream in self.status)
        return stream

    def say(self, stream, opcode, payload):
        self.h2.send_data(stream, Frame(opcode, payload).serialize(mask=True))
        self.flush()

    def hear(self, stream):
        frame = Frame.parse(self.readers[stream].read_exact, mask=False)
        while True:
            try:
                next(frame)
            except StopIteration as whole:
                return whole.value
            had = len(self.readers[stream].buffer)
            self.until(lambda: len(self.readers[stream].buffer) > had or stream in self.ended)


def main(target):
    placeholder = os.environ["PLACEHOLDER"]
    told = f"Bearer {placeholder}"
    line = Line(target)
    stream, other = line.open("/handshake", told), line.open("/handshake", told)
    assert (line.status[stream], line.status[other]) == ("200", "200"), line.status
    for number in range(10):
        for each in (stream, other):
            line.say(each, Opcode.TEXT, f"number {number}".encode())
        for each in (stream, other):
            assert line.hear(each).data.decode() == f"{told}: number {number}"
    # One step wrong: each stream is refused for itself.
    assert line.status[line.open("/elsewhere", told)] == "403"
    line.say(other, Opcode.TEXT, f"and again {placeholder}".encode())
    closed = line.hear(other)
    assert closed.opcode == Opcode.CLOSE and closed.data[2:] == b"place-not-permitted", closed
    line.say(stream, Opcode.CLOSE, (1000).to_bytes(2, "big"))
    closed = line.hear(stream)
    assert closed.opcode == Opcode.CLOSE and closed.data[:2] == (1000).to_bytes(2, "big"), closed
    print(told, "done")


if __name__ == "__main__":
    main(sys.argv[1])
