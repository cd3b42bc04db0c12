#!/usr/bin/python3
"""Serves the repositories of a folder over HTTP the ways real servers do: git http-backend (smart), the same without
protocol v2 (v0), plain files (dumb), behind a password (auth), redirected (moved), and broken in some ways. Prints its port."""
import base64
import http.server
import os
import subprocess
import sys
import time
import urllib.parse

ROOT = sys.argv[1]
PASSWORD = "Basic " + base64.b64encode(b"ann:s3cret").decode()
requests_seen = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while True:
            size = int(self.rfile.readline(), 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

    def smart(self, path, query, with_protocol=True):
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_PROJECT_ROOT": ROOT, "GIT_HTTP_EXPORT_ALL": "1",
               "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command, "GIT_CONFIG_NOSYSTEM": "1",
               "CONTENT_TYPE": self.headers.get("Content-Type", ""),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", "")}
        if with_protocol:
            env["GIT_PROTOCOL"] = self.headers.get("Git-Protocol", "")
        out = subprocess.run(["git", "http-backend"], env=env, input=self.read_body(), stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, check=False).stdout
        head, _, body = out.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self.answer(status, body, [h for h in headers if h[0] != "Status"])

    def v0(self, path, query):
        self.smart(path, query, with_protocol=False)

    def dumb(self, path, _query):
        file = ROOT + path
        if ".." in path or not os.path.isfile(file):
            return self.answer(404)
        with open(file, "rb") as opened:
            return self.answer(200, opened.read(), [("Content-Type", "text/plain")])

    def auth(self, path, query):
        if self.headers.get("Authorization") != PASSWORD:
            return self.answer(401, b"who?", [("WWW-Authenticate", 'Basic realm="git"')])
        return self.smart(path, query)

    def moved(self, path, query):
        where = f"http://127.0.0.1:{self.server.server_port}/smart{path}?{query}"
        self.answer(302, b"", [("Location", where)])

    def denied(self, _path, _query):
        self.answer(403, b"no")

    def away(self, _path, _query):
        self.answer(503, b"later")

    def page(self, _path, _query):
        self.answer(200, b"<html>hello</html>", [("Content-Type", "text/html")])

    def hang(self, _path, _query):
        time.sleep(60)

    def cut(self, _path, _query):
        body = b"001e# service=git-upload-pack\n0000009f" + b"a" * 30
        self.answer(200, body, [("Content-Type", "application/x-git-upload-pack-advertisement")])

    def seen(self, _path, _query):
        self.answer(200, "\n".join(requests_seen).encode())

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        way, _, path = url.path[1:].partition("/")
        if way != "seen":
            requests_seen.append(f"{self.command} {self.path} {self.headers.get('Git-Protocol', '-')}")
        getattr(self, way)("/" + path, url.query)

    do_POST = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False


def start():
    for port in range(21200, 21300):
        try:
            return Server(("127.0.0.1", port), Handler)
        except OSError:
            continue
    sys.exit("no port is free")


server = start()
print(server.server_port, flush=True)
server.serve_forever()
