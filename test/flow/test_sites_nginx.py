"""ssgen/nginx.c's configuration in a real nginx: what is served, what falls back, what is refused."""
import http.client
import os
import pathlib
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("EVENKEEL_BUILD", ROOT / "build"))
PORT = int(os.environ.get("EVENKEEL_TEST_PORT", "21400")) + 20
SITE, BARE = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sites")
    for parent in (folder, *folder.parents):  # nginx's workers are another user
        if parent.stat().st_uid == os.getuid() and "pytest" in str(parent):
            parent.chmod(0o755)
    root = folder / "root"
    files = {f"{SITE}/index.html": "home", f"{SITE}/404.html": "lost", f"{SITE}/docs/index.html": "docs", f"{SITE}/about.html": "about",
             f"{SITE}/assets/app-3f9a8b7c.js": "js", f"{SITE}/plain.css": "x" * 4000, f"{SITE}/.env": "secret", f"{SITE}/.git/config": "secret",
             f"{SITE}/.well-known/x": "known", f"{BARE}/page.html": "bare", "outside.html": "outside", ".revision": "secret"}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / SITE / "inside").symlink_to("docs")
    (root / SITE / "foreign").symlink_to("/etc/hostname")
    os.lchown(root / SITE / "foreign", 65534, 65534)
    conf, config = folder / "nginx" / "nginx.conf", folder / "ssgen.yaml"
    config.write_text(f"controller: {{address: 'unix:{folder}/none.sock'}}\nroot: {root}\n"
                      f"nginx: {{conf: {conf}, listen: '127.0.0.1:{PORT}', user: www-data}}\n")
    agent = subprocess.Popen([BUILD / "cmd/evenkeel-ssgen", "-c", config])
    while not conf.exists():
        assert agent.poll() is None
        time.sleep(0.02)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(10) == 0
    nginx = subprocess.Popen(["nginx", "-c", conf, "-g", "daemon off;"])
    for _ in range(100):
        try:
            http.client.HTTPConnection("127.0.0.1", PORT, timeout=1).connect()
            break
        except OSError:
            time.sleep(0.05)
    yield root
    nginx.terminate()
    nginx.wait(10)


def get(path, site=SITE, spa=None, method="GET", **headers):
    conn = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if site is not None:
        headers["X-Evenkeel-Site"] = site
    if spa:
        headers["X-Evenkeel-Spa"] = spa
    conn.request(method, path, headers=headers)
    response = conn.getresponse()
    return response, response.read().decode("latin-1")


def status_and_body(*args, **kwargs):
    response, body = get(*args, **kwargs)
    return response.status, body


def test_files_and_folders(sites):
    expected = {"/": "home", "/index.html": "home", "/docs/": "docs", "/docs": "docs", "/about": "about", "/about.html": "about",
                "/.well-known/x": "known", "/inside/": "docs", "/?q=1": "home"}
    assert {path: status_and_body(path) for path in expected} == {path: (200, body) for path, body in expected.items()}


def test_what_is_not_there(sites):
    assert status_and_body("/nope") == (404, "lost")
    assert status_and_body("/nope/deeper/x.png") == (404, "lost")
    status, body = status_and_body("/nope", site=BARE)
    assert status == 404 and "lost" not in body
    assert status_and_body("/404.html")[0] in (200, 404)


def test_single_page_apps(sites):
    assert status_and_body("/some/page", spa="1") == (200, "home")
    assert status_and_body("/docs/", spa="1") == (200, "docs")
    assert status_and_body("/missing.js", spa="1") == (404, "lost")
    assert status_and_body("/some/page", spa="0") == (404, "lost")


@pytest.mark.parametrize("site", [None, "", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 65, SITE + "/..", ".", "c" * 64, ".revision"])
def test_wrong_site_headers_serve_nothing(sites, site):
    for path in ("/", "/outside.html", "/.revision", f"/{SITE}/index.html"):
        status, body = status_and_body(path, site=site)
        assert status == 404 and body not in ("home", "outside", "secret")


@pytest.mark.parametrize("path", ["/../outside.html", "/%2e%2e/outside.html", "/..%2foutside.html", "/docs/../../outside.html", "//../outside.html",
                                  "/.env", "/.git/config", "/%2eenv", "/docs/%2e%2e/.env", "/foreign", "/.well-known/../.env", "/.well-knownx"])
@pytest.mark.parametrize("spa", [None, "1"])
def test_nothing_outside_or_hidden(sites, path, spa):
    status, body = status_and_body(path, spa=spa)
    foreign = pathlib.Path("/etc/hostname").read_text()
    assert body not in ("secret", "outside", foreign)
    assert status in (400, 403, 404) or (spa and (status, body) == (200, "home"))


def test_caching_and_compression(sites):
    response, _ = get("/assets/app-3f9a8b7c.js")
    assert "immutable" in response.getheader("Cache-Control")
    response, _ = get("/index.html")
    assert response.getheader("Cache-Control") == "no-cache" and response.getheader("ETag")
    assert get("/index.html", If_None_Match=response.getheader("ETag"))[0].status == 304
    response, _ = get("/plain.css", Accept_Encoding="gzip")
    assert (response.getheader("Content-Encoding"), response.getheader("Cache-Control")) == ("gzip", "no-cache")
    assert get("/", method="POST")[0].status == 405
