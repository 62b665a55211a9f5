"""What the tests of object stores share: a real S3 server on loopback, with a log, that can be made to err."""

from __future__ import annotations

import threading
import urllib.request
from contextlib import contextmanager
from functools import cache

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

BUCKET = "a-bucket"
ACCESS_KEY = "AKIAOFTHETESTSALONE1"
SECRET_KEY = "a/secret+key/that/only/the/tests/know0001"


class _Silent(MotoRequestHandler):
    def log_request(self, code="-", size="-"):
        """Nothing: the store has a log of its own."""


class Store:
    """Moto's S3 server.

    Attributes:
        url: its endpoint.
        log: method, path and query of each request.
        fault: what answers in the place of moto: given the environment of a request, (status, code) or None.
    """

    def __init__(self):
        self.log = []
        self.fault = lambda _request: None
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, request, start_response):
        """Answers a request, as WSGI wants it."""
        method, path, query = request["REQUEST_METHOD"], request["PATH_INFO"], request.get("QUERY_STRING", "")
        self.log.append((method, path, query))
        fault = self.fault(request)
        if fault is None:
            return self._moto(request, start_response)
        status, code = fault
        request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
        body = f"<Error><Code>{code}</Code><Message>{code} with {SECRET_KEY}</Message></Error>" if code else ""
        return Response(body, status, content_type="application/xml")(request, start_response)

    def writes(self):
        """What changed but the claims, in its order, by the last part of each name: + complete, - removed."""
        signs = {"DELETE": "-", "POST": "+"}
        return [
            signs[method] + path.rsplit("/", 1)[-1]
            for method, path, query in self.log
            if (method == "DELETE" or (method == "POST" and query.startswith("uploadId=")))
            and ".inventory-claim-" not in path
        ]

    def environment(self):
        """What makes a client use this server, by s3:// and by obs://."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.url,
            "HW_ACCESS_KEY": ACCESS_KEY,
            "HW_SECRET_KEY": SECRET_KEY,
            "HW_REGION_NAME": "cn-north-4",
            "OBS_ENDPOINT": self.url.replace("127.0.0.1", "localhost"),
        }

    @cache  # noqa: B019 - one store a session, and a client takes a while to make
    def client(self):
        """Another client of the same server."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def reset(self):
        """Makes an empty bucket of all that is there, and forgets fault and log."""
        self.fault = lambda _request: None
        urllib.request.urlopen(f"{self.url}/moto-api/reset", data=b"").close()
        self.client().create_bucket(Bucket=BUCKET)
        self.log.clear()

    @contextmanager
    def refusing_strangers(self):
        """Moto checks keys meanwhile."""
        self._ask_for_keys_after("0")
        yield
        self._ask_for_keys_after("inf")

    def _ask_for_keys_after(self, requests):
        plain = {"Content-Type": "text/plain"}
        asked = urllib.request.Request(f"{self.url}/moto-api/reset-auth", data=requests.encode(), headers=plain)
        urllib.request.urlopen(asked).close()

    def objects(self, prefix=""):
        """What the bucket holds: contents by key, but the marks of folders."""
        listed = self.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {
            one["Key"]: self.client().get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
            for one in listed
            if not one["Key"].endswith("/")
        }


@contextmanager
def running_store():
    """A store that listens, with no bucket yet."""
    store = Store()
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=_Silent)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
