"""controller/router against a real HAProxy: what clients see while apps come, change and go."""
import base64
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("EVENKEEL_BUILD", ROOT / "build"))
PORT = int(os.environ.get("EVENKEEL_TEST_PORT", "21400"))


class Echo(http.server.ThreadingHTTPServer):
    """An instance: answers with its name and what it was asked; /slow takes a while."""

    daemon_threads = True
    request_queue_size = 128  # the default of 5 makes the kernel drop connections of a burst

    def __init__(self, name):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path.startswith("/slow"):
                    time.sleep(1.5)
                body = json.dumps({"name": outer.name, "path": self.path, "headers": dict(self.headers)}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.name = name
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def upstream(self, process="web", draining=False):
        return {"instance": self.name, "process": process, "address": "127.0.0.1",
                "port": self.server_address[1], "draining": draining}


class WebSocketLike:
    """An instance that upgrades and then echoes bytes: what a proxy sees of a websocket."""

    def __init__(self, name):
        self.name, self.listener = name, socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        head = b""
        while b"\r\n\r\n" not in head:
            head += conn.recv(4096)
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)[1]  # HAProxy checks the answer to it (RFC 6455)
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while data := conn.recv(4096):
            conn.sendall(data)

    def upstream(self, process="web"):
        return {"instance": self.name, "process": process, "address": "127.0.0.1",
                "port": self.listener.getsockname()[1]}


class Router:
    def __init__(self, folder, slots=4, site_server=None):
        self.folder, self.slots, self.site_server = folder, slots, site_server
        self.driver = self.haproxy = None
        self.generation = 0

    def start(self):
        args = [BUILD / "test/flow/router-driver", self.folder, str(PORT), str(self.slots)]
        self.driver = subprocess.Popen(args + ([self.site_server] if self.site_server else []), text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        answer = json.loads(self.driver.stdout.readline())
        assert answer["ok"], answer
        return self

    def stop(self):
        self.driver.stdin.close()
        assert self.driver.wait(10) == 0

    def start_haproxy(self):
        for name in ("admin.sock", "master.sock"):
            (self.folder / name).unlink(missing_ok=True)
        self.haproxy = subprocess.Popen(
            ["haproxy", "-W", "-S", f"{self.folder}/master.sock,mode,600", "-f", f"{self.folder}/haproxy.cfg"],
            start_new_session=True, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(str(self.folder / "admin.sock"))
                return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError("HAProxy does not listen")

    def kill_haproxy(self):
        os.killpg(self.haproxy.pid, signal.SIGKILL)
        self.haproxy.wait()

    def do(self, verb, **params):
        self.driver.stdin.write(json.dumps({"do": verb, **params}) + "\n")
        self.driver.stdin.flush()
        return json.loads(self.driver.stdout.readline())

    def apply(self, app, routes=(), upstreams=(), ok=True):
        self.generation += 1
        answer = self.do("apply", app=app, generation=self.generation, routes=list(routes), upstreams=list(upstreams))
        assert answer["ok"] == ok, answer
        if ok and (routes or upstreams):
            assert self.do("acknowledged", app=app)["value"] == self.generation
        return answer

    def tell(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.folder / "admin.sock"))
            s.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()


@pytest.fixture
def router(tmp_path):
    router = Router(tmp_path).start()
    router.start_haproxy()
    yield router
    if router.driver.poll() is None:
        router.stop()
    router.kill_haproxy()


def route(host, path="/", **target):
    return {"host": host, "path": path, **(target or {"process": "web"})}


def raw(request):
    with socket.create_connection(("127.0.0.1", PORT), 5) as s:
        s.sendall(request)
        s.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: s.recv(65536), b""))


def get(host, path="/", **headers):
    conn = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    conn.putrequest("GET", path, skip_host=True)
    for name, value in {"Host": host, **headers}.items():
        conn.putheader(name.replace("_", "-"), value)
    conn.endheaders()
    response = conn.getresponse()
    body = response.read()
    conn.close()
    return response, json.loads(body) if response.status == 200 else body


def served_by(host, path="/"):
    response, body = get(host, path)
    return body["name"] if response.status == 200 else response.status


def open_websocket(host):
    ws = socket.create_connection(("127.0.0.1", PORT), 5)
    ws.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    assert b" 101 " in ws.recv(4096)
    return ws


def test_app_comes_and_goes(router):
    assert served_by("shop.test") == 404
    router.apply("shop", [route("shop.test")])
    response, _ = get("shop.test")
    assert (response.status, response.getheader("Retry-After")) == (503, "5")
    one = Echo("shop-web-v1-1")
    router.apply("shop", [route("shop.test")], [one.upstream()])
    assert served_by("shop.test") == one.name
    router.apply("shop")
    assert served_by("shop.test") == 404
    assert router.do("acknowledged", app="shop")["value"] == 0


def test_hosts_and_paths_are_matched_by_component(router):
    for name, path in (("root", "/"), ("api", "/api"), ("deep", "/api/v2/"), ("other", "/x.y")):
        router.apply(name, [route("Shop.TEST", path)], [Echo(name).upstream()])
    expected = {"/": "root", "/api": "api", "/api/": "api", "/api?x=/api/v2": "api", "/api2": "root", "/apiary/v2": "root",
                "/api/v2": "deep", "/api/v2/x": "deep", "/api/v20": "api", "/x.y/z": "other", "/xay": "root",
                "/API": "root", "/%61pi/x": "api", "//api///v2": "deep", "/api%2Fv2": "deep"}
    assert {path: served_by("shop.test", path) for path in expected} == expected
    for host in ("SHOP.test", "shop.test:8080", "shop.test."):
        assert served_by(host, "/api") == "api"
    for host in ("xshop.test", "shop.test.evil", "shop", "!mark", "[::1]"):
        assert served_by(host) in (400, 404)


@pytest.mark.parametrize("path", ["/a/../api", "/a/%2e%2e/api", "/api%2f..%2fx", "/./api", "/api%00", "/%zz", "/..", "/."])
def test_paths_that_mean_another_are_refused(router, path):
    router.apply("root", [route("shop.test")], [Echo("root").upstream()])
    assert served_by("shop.test", path) == 400


def test_request_target_and_host_must_agree(router):
    router.apply("a", [route("a.test")], [Echo("a").upstream()])
    router.apply("b", [route("b.test", "/p")], [Echo("b").upstream()])
    answer = raw(b"GET http://b.test/p/x?y=1 HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n")
    assert b" 200 " in answer.split(b"\r\n")[0] and b'"name": "b", "path": "/p/x?y=1"' in answer
    for bad in (b"GET http://b.test/p HTTP/1.1\r\nHost: a.test\r\n\r\n",
                b"GET /p HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n"):
        assert b" 400 " in raw(bad).split(b"\r\n")[0]
    assert b" 405 " in raw(b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n").split(b"\r\n")[0]


def test_headers_of_the_client_are_not_trusted(router):
    router.apply("a", [route("a.test")], [Echo("a").upstream()])
    _, body = get("a.test", X_Forwarded_For="6.6.6.6", X_Forwarded_Proto="https", X_Forwarded_Host="evil", X_Real_IP="6.6.6.6",
                  X_Evenkeel_Site="f" * 64, Forwarded="for=6.6.6.6", Proxy="evil")
    headers = {name.lower(): value for name, value in body["headers"].items()}
    assert headers["x-forwarded-for"] == headers["x-real-ip"] == "127.0.0.1"
    assert (headers["x-forwarded-proto"], headers["x-forwarded-host"]) == ("http", "a.test")
    assert not {"forwarded", "proxy", "x-evenkeel-site"} & headers.keys()


def test_swapping_servers_under_load_drops_nothing(router):
    instances = [Echo(f"shop-web-v{i}-1") for i in range(6)]
    router.apply("shop", [route("shop.test")], [instances[0].upstream()])
    load = subprocess.Popen(["wrk", "-t2", "-c16", "-d5s", "-H", "Host: shop.test", f"http://127.0.0.1:{PORT}/"],
                            stdout=subprocess.PIPE, text=True)
    for old, new in zip(instances, instances[1:]):
        time.sleep(0.4)
        router.apply("shop", [route("shop.test")], [new.upstream(), old.upstream(draining=True)])
        while router.do("in_flight", app="shop", instance=old.name)["value"]:
            time.sleep(0.02)
        router.apply("shop", [route("shop.test")], [new.upstream()])
        old.shutdown()
        old.server_close()
    report = load.communicate()[0]
    assert load.returncode == 0 and "Socket errors" not in report and "Non-2xx" not in report, report
    assert "Requests/sec" in report
    assert served_by("shop.test") == instances[-1].name


def test_draining_keeps_what_is_in_flight(router):
    one, two = Echo("one"), Echo("two")
    router.apply("shop", [route("shop.test")], [one.upstream()])
    seen = []
    slow = threading.Thread(target=lambda: seen.append(served_by("shop.test", "/slow")))
    slow.start()
    deadline = time.time() + 5
    while router.do("in_flight", app="shop", instance="one")["value"] != 1:
        assert time.time() < deadline
    router.apply("shop", [route("shop.test")], [two.upstream(), one.upstream(draining=True)])
    assert {served_by("shop.test") for _ in range(10)} == {"two"}
    assert router.do("in_flight", app="shop", instance="one")["value"] == 1
    assert router.do("in_flight", app="shop", instance="never")["value"] == 0
    slow.join()
    assert seen == ["one"]
    assert router.do("in_flight", app="shop", instance="one")["value"] == 0
    # and it may come back
    router.apply("shop", [route("shop.test")], [one.upstream()])
    assert served_by("shop.test") == "one"


def test_removed_servers_leave_haproxy_when_their_connections_end(router):
    one, two = Echo("one"), Echo("two")
    router.apply("shop", [route("shop.test")], [one.upstream()])
    slow = threading.Thread(target=served_by, args=("shop.test", "/slow"))
    slow.start()
    time.sleep(0.3)
    router.apply("shop", [route("shop.test")], [two.upstream()])
    assert "one" in router.tell("show servers state")
    slow.join()
    deadline = time.time() + 15
    while " one " in router.tell("show servers state"):
        assert time.time() < deadline
        time.sleep(0.3)
        assert router.do("check")["ok"]
    assert served_by("shop.test") == "two"


def test_an_instance_with_a_new_address(router):
    first, second = Echo("shop-web-v1-1"), Echo("shop-web-v1-1")
    router.apply("shop", [route("shop.test")], [first.upstream()])
    assert served_by("shop.test") == "shop-web-v1-1"
    second.name = "shop-web-v1-1"
    first.shutdown()
    first.server_close()
    moved = second.upstream()
    router.apply("shop", [route("shop.test")], [moved])
    second.name = "moved"
    assert served_by("shop.test") == "moved"


def test_an_instance_that_dies_fails_no_request(router):
    alive = Echo("alive")
    dead = socket.create_server(("127.0.0.1", 0))
    gone = {"instance": "gone", "process": "web", "address": "127.0.0.1", "port": dead.getsockname()[1]}
    dead.close()
    router.apply("shop", [route("shop.test")], [alive.upstream(), gone])
    assert {served_by("shop.test") for _ in range(20)} == {"alive"}


def test_killed_haproxy_comes_back_to_the_same_routes(router):
    router.apply("a", [route("a.test"), route("a.test", "/v2", process="two")],
                 [Echo("one").upstream(), Echo("two").upstream("two")])
    router.kill_haproxy()
    router.start_haproxy()
    assert [served_by("a.test"), served_by("a.test", "/v2")] == ["one", "two"]
    assert router.do("check")["ok"]
    router.apply("a", [route("a.test")], [Echo("three").upstream()])
    assert [served_by("a.test"), served_by("a.test", "/v2")] == ["three", "three"]


def test_changes_while_haproxy_is_away(router):
    router.apply("a", [route("a.test")], [Echo("one").upstream()])
    router.kill_haproxy()
    answer = router.apply("b", [route("b.test")], [Echo("two").upstream()], ok=False)
    assert answer["class"] == "unavailable"
    assert router.do("acknowledged", app="b")["value"] == 0
    assert router.do("acknowledged", app="a")["value"] == 1
    router.start_haproxy()
    assert [served_by("a.test"), served_by("b.test")] == ["one", "two"]
    assert router.do("check")["ok"]
    assert router.do("acknowledged", app="b")["value"] == router.generation


def test_haproxy_restarted_from_older_files_is_brought_forward(router):
    router.apply("a", [route("a.test")], [Echo("one").upstream()])
    older = {name: (router.folder / name).read_bytes() for name in ("haproxy.cfg", "routes.map")}
    router.apply("a", [route("a.test"), route("new.test")], [Echo("two").upstream()])
    newer = {name: (router.folder / name).read_bytes() for name in older}
    router.kill_haproxy()
    for name, data in older.items():
        (router.folder / name).write_bytes(data)
    router.start_haproxy()
    for name, data in newer.items():
        (router.folder / name).write_bytes(data)
    assert [served_by("a.test"), served_by("new.test")] == ["one", 404]
    assert router.do("check")["ok"]
    assert [served_by("a.test"), served_by("new.test")] == ["two", "two"]


def test_new_controller_takes_over_from_its_state(router):
    router.apply("a", [route("a.test")], [Echo("one").upstream()])
    router.driver.kill()
    router.driver.wait()
    router.tell(f"add map {router.folder}/routes.map stray.test/ s1")  # nobody's
    router.tell(f"set map {router.folder}/routes.map a.test/ s3")      # tampered with
    router.start()
    assert router.do("acknowledged", app="a")["value"] == 1
    assert [served_by("a.test"), served_by("stray.test")] == ["one", 404]


def test_new_controller_after_lost_files(router):
    router.apply("a", [route("a.test")], [Echo("one").upstream()])
    router.stop()
    router.kill_haproxy()
    (router.folder / "haproxy.cfg").unlink()
    (router.folder / "routes.map").unlink()
    router.start()
    router.start_haproxy()
    assert served_by("a.test") == "one"


def test_other_connections_survive_changes(router):
    far = WebSocketLike("ws-web-1")
    router.apply("ws", [route("ws.test")], [far.upstream()])
    with open_websocket("ws.test") as ws:
        for i in range(50):
            one = Echo(f"shop-web-v{i}-1") if i % 10 == 0 else one
            router.apply(f"shop{i % 3}", [route(f"shop{i % 3}.test", f"/p{i}")], [one.upstream()])
            ws.sendall(b"ping %d" % i)
            assert ws.recv(4096) == b"ping %d" % i
        assert router.do("in_flight", app="ws", instance="ws-web-1")["value"] == 1


def test_growing_past_the_slots(router):
    far = WebSocketLike("ws-web-1")
    router.apply("ws", [route("ws.test")], [far.upstream()])
    one = Echo("one")
    with open_websocket("ws.test") as ws:
        for i in range(9):
            router.apply(f"app{i}", [route(f"app{i}.test")], [one.upstream()])
            assert served_by(f"app{i}.test") == "one"
            ws.sendall(b"x")
            assert ws.recv(1) == b"x"
    assert json.loads((router.folder / "state.json").read_text())["slots"] == 16
    assert [served_by(f"app{i}.test") for i in range(9)] == ["one"] * 9


def test_refused_routes_are_left_out_and_named(router):
    one = Echo("one")
    for bad in (route("bad host.test"), route("x.test; del map y"), route("x.test", "/a b"), route("x.test", "/a\nb"),
                route("x.test", "/../x"), route("x.test", "/a%2fb"), route("-x.test"), route("a..b"), route("x.test", site="../..")):
        answer = router.apply("a", [bad, route("a.test")], [one.upstream()], ok=False)
        assert answer["class"] == "invalid_argument" and router.do("acknowledged", app="a")["value"] == router.generation
        assert served_by("a.test") == "one"
    evil = {**one.upstream(), "instance": "x 127.0.0.1:1; shutdown frontend http"}
    assert router.apply("a", [route("a.test")], [evil, one.upstream()], ok=False)["class"] == "invalid_argument"
    assert served_by("a.test") == "one"
    answer = router.apply("b", [route("a.test"), route("b.test")], [one.upstream()], ok=False)
    assert answer["class"] == "failed_precondition" and "a.test/" in answer["text"]
    assert [served_by("a.test"), served_by("b.test")] == ["one", "one"]


def test_sites_are_told_to_the_site_server(tmp_path):
    nginx = Echo("nginx")
    router = Router(tmp_path, site_server=f"127.0.0.1:{nginx.server_address[1]}").start()
    router.start_haproxy()
    try:
        one, two = "1" * 64, "a" * 64
        router.apply("a", [route("a.test", site=one), route("a.test", "/app", site=two, spa=True)])
        for path, digest, spa in (("/", one, None), ("/app/x", two, "1")):
            _, body = get("a.test", path, X_Evenkeel_Site="f" * 64, X_Evenkeel_Spa="1")
            headers = {name.lower(): value for name, value in body["headers"].items()}
            assert (headers["x-evenkeel-site"], headers.get("x-evenkeel-spa")) == (digest, spa)
    finally:
        router.stop()
        router.kill_haproxy()
