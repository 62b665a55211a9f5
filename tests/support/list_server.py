"""A server of lists that shares no code with the product: any items, any page, any delay."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PROJECT = "0123456789abcdef0123456789abcdef"
BASE = f"urn:fss:cn-north-4:{PROJECT}:function:default:"


class ListServer:
    """Answers the list operations from dictionaries, and each async-invoke config with 404.

    Attributes:
        functions: items of ListFunctions.
        versions: items of ListFunctionVersions by function URN.
        aliases: items of ListVersionAliases by function URN.
        page_fields: further fields of each answer.
        before_page: called with the offset of a page before it is answered.
        paths: of all requests.
        is_open: while not set, calls for configs wait.
    """

    def __init__(self, functions, versions=(), aliases=(), page_fields=()):
        self.functions = list(functions)
        self.versions, self.aliases, self.page_fields = dict(versions), dict(aliases), dict(page_fields)
        self.before_page = lambda _offset: None
        self.paths = []
        self.is_open = threading.Event()
        self.is_open.set()

    def answer(self, target):
        """Status and JSON value for the target of a request."""
        url = urlsplit(target)
        self.paths.append(url.path)
        parts = [unquote(part) for part in url.path.split("/")]
        if parts[-1] == "functions":
            query = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
            offset = query["marker"]
            self.before_page(offset)
            page = self.functions[offset : offset + query["maxitems"]]
            end = offset + len(page)
            count = len({item["func_urn"] for item in self.functions})
            return 200, {"functions": page, "next_marker": end, "count": count, **self.page_fields}
        if parts[-1] == "versions":
            items = self.versions.get(parts[-2], [])
            return 200, {"versions": items, "next_marker": len(items), "count": len(items), **self.page_fields}
        if parts[-1] == "aliases":
            return 200, self.aliases.get(parts[-2], [])
        self.is_open.wait()
        return 404, {"error_code": "FSS.0404", "error_msg": "async invoke config not found"}

    @contextlib.contextmanager
    def serving(self):
        """Yields the base URL."""
        lists = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status, value = lists.answer(self.path)
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                with contextlib.suppress(ConnectionError):  # the client was killed
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            self.is_open.set()
            server.shutdown()
            thread.join()
            server.server_close()
