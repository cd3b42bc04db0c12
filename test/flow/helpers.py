"""What the tests of deploys share: apps made from a few files, load on them, a git server outside of Evenkeel."""
import base64
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from conftest import Evenkeel, start_time, wait_for

FLOW = Path(__file__).resolve().parent
DOCKERFILE = """FROM evenkeel/busybox
COPY www /www
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""


def page_app(page, name="app", replicas=1, check="path: /healthz", more=""):
    """The files of an app that serves one page."""
    return {
        "Dockerfile": DOCKERFILE,
        "www/index.html": page + "\n",
        "www/healthz": "ok\n",
        "evenkeel.yaml": f"app: {name}\nbuild: {{method: dockerfile}}\n"
                         f"processes: {{web: {{port: 8080, replicas: {replicas}, check: {{{check}}}}}}}\n{more}",
    }


class App:
    """An app of the installation with a hosted repository, and the clone from which it is pushed."""

    @classmethod
    def of(cls, evenkeel, name):
        """One that is there already."""
        app = cls.__new__(cls)
        app.evenkeel, app.name, app.path = evenkeel, name, f"/projects/default/apps/{name}"
        return app

    def __init__(self, evenkeel: Evenkeel, name, files=None, *create):
        self.evenkeel, self.name, self.path = evenkeel, name, f"/projects/default/apps/{name}"
        evenkeel.cli("apps", "create", name, *create)
        if files:
            self.folder = evenkeel.repository(files, name)
            evenkeel.git("remote", "add", "origin", evenkeel.git_url(name), cwd=self.folder)

    def clone(self):
        """A second clone, of what is hosted."""
        folder = self.evenkeel.home / f"{self.name}-clone"
        self.evenkeel.git("clone", "-q", self.evenkeel.git_url(self.name), folder)
        return folder

    def commit(self, files, **kw):
        return self.evenkeel.commit(self.folder, files, **kw)

    def push(self, what="HEAD:main", *args, check=True, folder=None):
        done = self.evenkeel.git("push", *args, "origin", what, cwd=folder or self.folder, check=check)
        done.remote = "\n".join(line[8:].rstrip() for line in done.stderr.splitlines() if line.startswith("remote: "))
        return done

    def refused(self, *args):
        """A push that fails; what the remote says."""
        done = self.push(*args, check=False)
        assert done.returncode != 0, done.stderr
        return done.remote + "\n" + "\n".join(x for x in done.stderr.splitlines() if not x.startswith("remote: "))

    def get(self, path="/"):
        return self.evenkeel.get(self.name, path)

    def page(self):
        answer = self.get()
        assert answer.status == 200, f"{answer.status}: {answer.text}"
        return answer.text.strip()

    def api(self, method="GET", path="", body=None):
        return self.evenkeel.api(method, self.path + path, body)

    def json(self, path=""):
        answer = self.api(path=path)
        assert answer.status == 200, answer.text
        return answer.json

    def builds(self):
        return self.json("/builds")["items"]

    def attempts(self):
        return sum(len(build["attempts"]) for build in self.builds())

    def live(self):
        """The number of the live release, or None."""
        return (self.json()["live"] or {}).get("release")

    def explain(self):
        return self.json("/explain")

    def first(self):
        """(type, reason) of the first link that does not hold."""
        first = self.explain()["first"]
        return (first["name"], first["reason"]) if first else None

    def wait_first(self, name, reason, timeout=30):
        """Until `explain` names this link; the link."""
        def look():
            whole = self.explain()
            first = whole["first"] or {}
            assert (first.get("name"), first.get("reason")) == (name, reason), whole["text"]
            return first
        return wait_for(look, timeout, what=f"{self.name}: {name} {reason}")

    def wait_page(self, page, timeout=60):
        wait_for(lambda: self.page() == page, timeout, what=f"{self.name} serves {page!r}")

    def wait_live(self, number, timeout=60):
        wait_for(lambda: self.live() == number, timeout, what=f"v{number} of {self.name} is live")

    def events(self):
        return self.json("/events?limit=200")["items"]

    def containers(self, release=None):
        start = f"{self.evenkeel.prefix}default-{self.name}-"
        return [n for n in self.evenkeel.containers() if n.startswith(start) and (release is None or f"-v{release}-" in n)]


# ---- load


class Wrk:
    """wrk with 16 connections that are kept, until the end of the block; then `failures` must be 0."""

    def __init__(self, evenkeel, host, pause_ms=10):
        script = evenkeel.home / "pause.lua"
        script.write_text(f"function delay() return math.random(0, {pause_ms}) end\n")
        self.command = ["wrk", "-t1", "-c16", "-d", "900s", "--timeout", "30s", "-s", str(script), "-H",
                        f"Host: {host}.localhost", f"http://127.0.0.1:{evenkeel.http_port}/"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return self

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGINT)
        self.output, _ = self.process.communicate(timeout=60)
        found = re.search(r"(\d+) requests in", self.output)
        self.requests = int(found[1]) if found else 0

    @property
    def failures(self):
        return [line.strip() for line in self.output.splitlines() if "Socket errors" in line or "Non-2xx" in line]


class Opener:
    """A new connection for every request, until the end of the block. `pages` are the bodies in the order of their coming,
    without repetition."""

    def __init__(self, evenkeel, host, pause_s=0.005):
        self.port, self.host, self.pause_s = evenkeel.http_port, host, pause_s
        self.requests, self.failures, self.pages = 0, [], []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _once(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as s:
            s.sendall(f"GET / HTTP/1.1\r\nHost: {self.host}.localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while data := s.recv(65536):
                answer += data
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise OSError(f"answered {answer[:300]!r}")
        page = body.decode().strip()
        if self.pages[-1:] != [page]:
            self.pages.append(page)

    def _run(self):
        while not self.over.is_set():
            try:
                self.requests += 1
                self._once()
            except OSError as e:
                self.failures.append(f"{time.strftime('%X')} {e}")
            self.over.wait(self.pause_s)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.thread.join(60)


class WebSocket:
    """One connection to the echo server of apps/ws, pinged ten times a second until the end of the block."""

    def __init__(self, evenkeel, host):
        self.socket = socket.create_connection(("127.0.0.1", evenkeel.http_port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(f"GET / HTTP/1.1\r\nHost: {host}.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.socket.recv(1)
            assert data, head
            head += data
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert head.startswith(b"HTTP/1.1 101") and b"\r\nsec-websocket-accept: " + accept.lower() in head.lower(), head
        self.answered, self.failure = 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def ping(self, text, opcode=9):
        """The echo of a ping (or of a text frame, opcode 1)."""
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(text))
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(text)]) + mask + masked)
        wanted = bytes([0x8a if opcode == 9 else 0x80 | opcode, len(text)]) + text
        got = b""
        while len(got) < len(wanted):
            data = self.socket.recv(len(wanted) - len(got))
            if not data:
                raise OSError("the connection was closed")
            got += data
        if got != wanted:
            raise OSError(f"answered {got!r} instead of {wanted!r}")

    def _run(self):
        try:
            while not self.over.wait(0.1):
                self.ping(struct.pack("!I", self.answered), 9 if self.answered % 2 else 1)
                self.answered += 1
        except OSError as e:
            self.failure = e

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.thread.join(60)
        self.socket.close()


def websocket_app(evenkeel, name):
    """An App that echoes websockets; its server is compiled here."""
    app = App(evenkeel, name, {
        "Dockerfile": 'FROM evenkeel/busybox\nCOPY ws /ws\nCMD ["/ws", "8080"]\n',
        "evenkeel.yaml": f"app: {name}\nbuild: {{method: dockerfile}}\nprocesses: {{web: {{port: 8080, check: {{path: /}}}}}}\n",
    })
    evenkeel.run("cc", "-D_GNU_SOURCE", "-O2", "-static", "-o", app.folder / "ws", FLOW / "apps/ws/ws.c")
    app.commit({})
    return app


# ---- a git server outside


class GitHandler(BaseHTTPRequestHandler):
    """git http-backend as a CGI program."""

    protocol_version = "HTTP/1.1"

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _run(self):
        path, _, query = self.path.partition("?")
        body = self._body()
        self.server.requests.append(path)
        env = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.server.root), "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command, "PATH_INFO": path, "QUERY_STRING": query, "REMOTE_USER": "test",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=env, timeout=60)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _run

    def log_message(self, *args):
        pass


class GitServer:
    """Serves the bare repositories in its folder on a port that stays its own; may be away for a while."""

    def __init__(self, evenkeel):
        self.evenkeel, self.root = evenkeel, Path(tempfile.mkdtemp(prefix="outside-", dir=evenkeel.home))
        self.port = 0
        self.start()

    def start(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), GitHandler)
        self.server.root, self.server.requests = self.root, []
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @contextlib.contextmanager
    def away(self):
        self.stop()
        try:
            yield
        finally:
            self.start()

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}.git"

    def repository(self, name, files):
        """A new one; the folder of a clone."""
        bare = self.root / f"{name}.git"
        self.evenkeel.git("init", "-q", "--bare", "-b", "main", bare)
        self.evenkeel.git("config", "http.receivepack", "true", cwd=bare)
        folder = self.evenkeel.repository(files, name)
        self.evenkeel.git("remote", "add", "origin", self.url(name), cwd=folder)
        self.evenkeel.git("push", "-q", "origin", "main", cwd=folder)
        return folder


# ---- programs that are away


def children_of(pid):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and start_time(entry.name):
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


@contextlib.contextmanager
def without(evenkeel, name):
    """The program is killed and stays away: its supervisor stands still meanwhile."""
    supervisor = evenkeel.pid("supervisor")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        old = evenkeel.kill(name)
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)
        evenkeel.wait_pid(name, other_than=old)


@contextlib.contextmanager
def frozen(evenkeel, name):
    """The program and its children stand still."""
    pid = evenkeel.pid(name)
    pids = [pid, *children_of(pid)]
    for one in pids:
        os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in pids:
            os.kill(one, signal.SIGCONT)


def configure(evenkeel, program, text):
    """Adds lines to a program's configuration and has it start again with them."""
    path = evenkeel.data / "etc" / f"{program}.yaml"
    path.write_text(path.read_text() + text)
    old = evenkeel.kill(program, signal.SIGTERM)
    evenkeel.wait_pid(program, other_than=old)


def problem(answer, status):
    """The members of an API error; it must be one."""
    assert answer.status == status, f"{answer.status}: {answer.text}"
    assert answer.headers["Content-Type"] == "application/problem+json", answer.headers["Content-Type"]
    body = json.loads(answer.body)
    assert body["status"] == status and body["code"] and body["title"], body
    return body
