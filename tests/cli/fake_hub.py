"""A model hub on loopback that speaks the protocol of huggingface.co, counts what it sends, and misbehaves on request."""
import hashlib
import json
import re
import socket
import socketserver
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_secret"


class Content:
    """A file of a repository: large ones are LFS files, known by their sha256; others by what git calls them."""

    def __init__(self, data, lfs=True):
        self.data, self.lfs = data, lfs
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.etag = self.sha256 if lfs else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class FakeHub:
    """`repositories`: {"OWNER/NAME": {file: Content}}. Everything else is what a test sets to make it misbehave."""

    def __init__(self):
        self.repositories, self.commits = {}, {}  # commits: of revisions other than main, {(repository, revision): commit}
        self.gated = set()
        self.requests = []  # (method, path, headers)
        self.body_bytes = 0  # of answers to GET of a file
        self.piece, self.pause = 1 << 16, 0.0  # bytes at a time, seconds between
        self.override = None  # override(handler) -> True when it has answered
        self.cdn = None  # the URL that LFS files are redirected to; None = the hub itself serves them
        self.lock = threading.Lock()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.hub = self
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def add(self, repository, name, data, lfs=True):
        content = Content(data, lfs)
        self.repositories.setdefault(repository, {})[name] = content
        return content

    def methods(self, method, part=""):
        return [request for request in self.requests if request[0] == method and part in request[1]]


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def handle_error(self, request, address):
        """A client that goes away is what many tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        # What is counted as sent should not sit in a buffer.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *arguments):
        pass

    @property
    def hub(self):
        return self.server.hub

    def do_HEAD(self):
        self.serve()

    def do_GET(self):
        self.serve()

    def serve(self):
        if self.path.startswith("http://"):  # we are somebody's proxy
            parts = urllib.parse.urlsplit(self.path)
            self.path = parts.path + ("?" + parts.query if parts.query else "")
        with self.hub.lock:
            self.hub.requests.append((self.command, self.path, dict(self.headers.items())))
        if self.hub.override and self.hub.override(self):
            return
        path = self.path.split("?")[0]
        listing = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if listing:
            self.list(listing[1], urllib.parse.unquote(listing[2]))
        elif file:
            self.resolve(file[1], urllib.parse.unquote(file[2]), urllib.parse.unquote(file[3]))
        elif path.startswith("/cdn/"):
            self.blob(path[5:])
        else:
            self.answer(404)

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        if "Content-Length" not in dict(headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def commit(self, repository, revision):
        if revision in ("main", COMMIT):
            return COMMIT
        if revision in self.hub.commits.values():
            return revision
        return self.hub.commits.get((repository, revision))

    def refused(self, repository, revision, file=None):
        """Answers as huggingface.co does what may not or cannot be had; False when all is well."""
        if repository not in self.hub.repositories:
            self.answer(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif repository in self.hub.gated and self.headers.get("Authorization") != "Bearer " + TOKEN:
            self.answer(403 if "Authorization" in self.headers else 401, {"X-Error-Code": "GatedRepo"})
        elif self.commit(repository, revision) is None:
            self.answer(404, {"X-Error-Code": "RevisionNotFound"})
        elif file is not None and file not in self.hub.repositories[repository]:
            self.answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            return False
        return True

    def list(self, repository, revision):
        if self.refused(repository, revision):
            return
        files = self.hub.repositories[repository]
        body = {"id": repository, "sha": self.commit(repository, revision), "cardData": {"license": "mit"},
                "siblings": [{"rfilename": name} for name in files]}
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def resolve(self, repository, revision, file):
        if self.refused(repository, revision, file):
            return
        content = self.hub.repositories[repository][file]
        facts = {"X-Repo-Commit": self.commit(repository, revision), "ETag": f'"{content.etag}"'}
        if content.lfs:
            facts |= {"X-Linked-Etag": f'"{content.etag}"', "X-Linked-Size": str(len(content.data))}
        if content.lfs and self.hub.cdn:
            self.answer(302, facts | {"Location": f"{self.hub.cdn}/cdn/{content.sha256}"})
        else:
            self.send_content(content, facts)

    def blob(self, sha256):
        for files in self.hub.repositories.values():
            for content in files.values():
                if content.sha256 == sha256:
                    return self.send_content(content, {"ETag": '"cdn-%s"' % sha256[:8]})
        return self.answer(404)

    def send_content(self, content, headers):
        data, start = content.data, 0
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
        if wanted and same and self.command == "GET":
            start, end = int(wanted[1]), int(wanted[2] or len(data) - 1)
            if start >= len(data):
                return self.answer(416, {"Content-Range": f"bytes */{len(data)}"})
            headers = headers | {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
            data = data[start:end + 1]
            self.send_response(206)
        else:
            self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.send_slowly(data)

    def send_slowly(self, data):
        for at in range(0, len(data), self.hub.piece):
            piece = data[at:at + self.hub.piece]
            self.wfile.write(piece)
            with self.hub.lock:
                self.hub.body_bytes += len(piece)
            if self.hub.pause:
                time.sleep(self.hub.pause)  # a slow network
