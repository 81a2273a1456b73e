"""A collector of spans on a loopback port: each message is read by the official protocol buffers, strictly. A line of JSON for each span on stdout."""

import base64
import http.server
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def in_base64(value):
    """OTLP writes ids in hexadecimal where the JSON of protocol buffers has base64."""
    if isinstance(value, list):
        return [in_base64(one) for one in value]
    if isinstance(value, dict):
        ids = ("traceId", "spanId", "parentSpanId")
        return {
            name: base64.b64encode(bytes.fromhex(one)).decode() if name in ids else in_base64(one)
            for name, one in value.items()
        }
    return value


def plain(value):
    return getattr(value, value.WhichOneof("value"))


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/json")
        message = json_format.ParseDict(in_base64(json.loads(body)), ExportTraceServiceRequest())
        for resource in message.resource_spans:
            service = {one.key: plain(one.value) for one in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    assert (len(span.trace_id), len(span.span_id)) == (16, 8)
                    assert span.end_time_unix_nano >= span.start_time_unix_nano > 0
                    line = {
                        "service": service,
                        "trace": span.trace_id.hex(),
                        "span": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(),
                        "name": span.name,
                        "kind": span.kind,
                        "attributes": {one.key: plain(one.value) for one in span.attributes},
                    }
                    print(json.dumps(line), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print(server.server_port, flush=True)
sys.stderr.write("collecting\n")
server.serve_forever()
