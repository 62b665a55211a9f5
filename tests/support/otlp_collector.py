"""A collector of OTLP on this machine."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(ThreadingHTTPServer):
    """Keeps requests by path."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.received, self.headers, self.status = {}, {}, 200

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers with the collector's status."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received[self.path], self.server.headers[self.path] = body, dict(self.headers)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@contextmanager
def running_collector():
    """Runs a collector in a thread."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def spans_of(collector):
    """The spans by name, and the attributes of the resource."""
    request = ExportTraceServiceRequest.FromString(collector.received["/v1/traces"])
    (resource,) = request.resource_spans
    (scope,) = resource.scope_spans
    attributes = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    return {span.name: span for span in scope.spans}, attributes
