"""An OpenTelemetry collector: takes OTLP over HTTP, decodes it with the published definitions."""
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .processes import free_port

SIGNALS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest,
           "/v1/logs": ExportLogsServiceRequest}


def value_of(value):
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def attributes_of(item) -> dict:
    return {pair.key: value_of(pair.value) for pair in item.attributes}


class Collector:
    def __init__(self):
        self.port = free_port()
        self.requests: list[tuple[str, dict, object]] = []
        # What the next requests are answered with, instead of 200.
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def received(self, path: str) -> list:
        return [message for at, _, message in list(self.requests) if at == path]

    def spans(self, service: str | None = None) -> list:
        """All of them, or those that one service sent."""
        return [span for request in self.received("/v1/traces") for resource in request.resource_spans
                if service in (None, attributes_of(resource.resource).get("service.name"))
                for scope in resource.scope_spans for span in scope.spans]

    def logs(self) -> list:
        return [record for request in self.received("/v1/logs") for resource in request.resource_logs
                for scope in resource.scope_logs for record in scope.log_records]

    def metrics(self) -> dict[str, object]:
        """The families of the last export, by name."""
        requests = self.received("/v1/metrics")
        return {metric.name: metric for resource in (requests[-1].resource_metrics if requests else [])
                for scope in resource.scope_metrics for metric in scope.metrics}

    @contextmanager
    def running(self) -> Iterator["Collector"]:
        server = ThreadingHTTPServer(("127.0.0.1", self.port), handler(self))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = collector.statuses.pop(0) if collector.statuses else 200
            if status == 200:
                assert self.headers["Content-Type"] == "application/x-protobuf"
                message = SIGNALS[self.path]()
                message.ParseFromString(body)
                collector.requests.append((self.path, dict(self.headers), message))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    return Handler
