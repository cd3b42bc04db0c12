"""Agents on other machines: a builder that links over TLS with a token of its own."""
import json
import os
import signal
import subprocess

import pytest
from conftest import Evenkeel, ROOT, free_port, wait_for


@pytest.fixture(scope="module")
def site():
    """An installation whose controller also listens with TLS."""
    e = Evenkeel()
    wrong = ["it did not come up"]
    try:
        subprocess.run([ROOT / "scripts" / "bases"], check=True, timeout=120)
        e.up()
        e.cli("git", "setup")
        e.tls_port = free_port()
        e.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
              "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
              "-keyout", e.home / "key.pem", "-out", e.home / "cert.pem")
        config = e.data / "etc" / "controller.yaml"
        config.write_text(config.read_text().replace("listen:\n", f'listen:\n  tcp_host: "127.0.0.1"\n  tcp_port: {e.tls_port}\n'
                          f'  cert: "{e.home}/cert.pem"\n  key: "{e.home}/key.pem"\n'))
        e.wait_pid("controller", other_than=e.kill("controller", signal.SIGTERM))
        wait_for(lambda: e.api("GET", "/projects").status == 200)
        yield e
    finally:
        wrong = e.close()
    assert not wrong, "\n".join(wrong)


def start_builder(e, name, token):
    """The builder program with a configuration of its own; the caller ends it."""
    (e.home / f"{name}.token").write_text(token)
    config = e.home / f"{name}.yaml"
    config.write_text(f'name: {name}\nslots: 1\ndata: "{e.home}/{name}"\ncontroller:\n  address: "tls://localhost:{e.tls_port}"\n'
                      f'  ca_file: "{e.home}/cert.pem"\n  token_file: "{e.home}/{name}.token"\n')
    log = open(e.home / f"{name}.log", "wb")
    return subprocess.Popen([e.build / "cmd" / "evenkeel-builder", "--config", config], stderr=log, stdout=log)


def builders(e):
    return [b["name"] for b in e.api("GET", "/system/status").json["builders"]]


def test_a_builder_over_tls_builds(site):
    token = json.loads(site.cli("agents", "create", "builder", "far", "-o", "json").stdout)["token"]
    near = site.pid("builder")
    far = start_builder(site, "far", token)
    try:
        wait_for(lambda: "far" in builders(site), what="the far builder is linked")
        os.kill(near, signal.SIGSTOP)  # only the far one can take the build
        wait_for(lambda: builders(site) == ["far"], what="the silent builder is dropped")
        site.cli("apps", "create", "faraway")
        folder = site.repository({"index.html": "from afar"})
        site.git("push", "-q", site.git_url("faraway"), "HEAD:main", cwd=folder)
        assert site.get("faraway").text == "from afar"
        build = json.loads(site.cli("builds", "list", "-a", "faraway", "-o", "json").stdout)[0]
        assert [a["builder"] for a in build["attempts"]] == ["far"]
    finally:
        os.kill(near, signal.SIGCONT)
        far.terminate()
        far.wait(30)


def test_a_wrong_token_is_refused(site):
    stranger = start_builder(site, "far", "eka_not-the-token")
    try:
        wait_for(lambda: "unauthenticated" in (site.home / "far.log").read_text() or "token" in (site.home / "far.log").read_text(),
                 what="the refusal is in the log")
        assert "far" not in builders(site)
    finally:
        stranger.terminate()
        stranger.wait(30)


def test_an_ended_token_is_refused(site):
    token = json.loads(site.cli("agents", "create", "builder", "gone", "-o", "json").stdout)["token"]
    site.cli("agents", "delete", "builder", "gone")
    builder = start_builder(site, "gone", token)
    try:
        wait_for(lambda: "token" in (site.home / "gone.log").read_text(), what="the refusal is in the log")
        assert "gone" not in builders(site)
    finally:
        builder.terminate()
        builder.wait(30)
