"""scripts/up and scripts/down, in a copy of this tree as a fresh clone has it: a plain build, and the two examples."""
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Clone:
    """A clone, and the installation that its scripts start."""

    def __init__(self, installation):
        self.installation = installation
        self.root = installation.home / "clone"
        self.root.mkdir()
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, timeout=60).stdout
        tar = subprocess.run(["tar", "-C", ROOT, "--null", "-T", "-", "-c"], input=names, check=True, capture_output=True, timeout=60)
        subprocess.run(["tar", "-C", self.root, "-x"], input=tar.stdout, check=True, timeout=60)
        installation.program = self.root / "build/cmd/evenkeel"
        installation.env.pop("EVENKEEL_BUILD", None)
        installation.env.update({
            "EVENKEEL_DATA": str(installation.data), "EVENKEEL_HTTP_PORT": str(installation.http_port),
            "EVENKEEL_API_PORT": str(installation.api_port), "EVENKEEL_PREFIX": installation.prefix,
            "EVENKEEL_NETWORK_RANGE": installation.network_range})

    def up(self, *args, check=True, env=None):
        return self.installation.run(self.root / "scripts/up", *args, check=check, timeout=900, cwd=self.root, env=env)

    def down(self, *args, check=True):
        return self.installation.run(self.root / "scripts/down", *args, check=check, timeout=600, cwd=self.root)


@pytest.fixture(scope="module")
def clone(another):
    clone = Clone(another)
    clone.up()
    return clone


def chains(network_range):
    """Our firewall chains that speak of these addresses."""
    rules = subprocess.run(["iptables", "-w", "-S"], check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    return {rule.split()[1] for rule in rules if rule.startswith("-A EVENKEEL-") and f"-s {network_range} " in rule}


def both_answer(installation):
    return (installation.get("hello").status, installation.get("site").status) == (200, 200)


class Visitor:
    """Asks for a page again and again, each time on a new connection; what was not 200 is kept."""

    def __init__(self, installation, app):
        self.installation, self.app = installation, app
        self.answers, self.wrong, self.is_over = 0, [], False
        self.thread = threading.Thread(target=self.visit)

    def visit(self):
        while not self.is_over:
            try:
                status = self.installation.get(self.app).status
            except OSError as e:
                status = e
            self.answers += 1
            if status != 200:
                self.wrong.append(status)
            time.sleep(0.005)

    def __enter__(self):
        self.thread.start()
        self.installation.wait_for(lambda: self.answers > 3)
        return self

    def __exit__(self, *args):
        seen = self.answers
        while self.answers < seen + 5 and self.thread.is_alive():
            time.sleep(0.01)
        self.is_over = True
        self.thread.join()


def test_a_fresh_clone_comes_up(clone):
    assert both_answer(clone.installation)
    assert "<title>hello</title>" in clone.installation.get("hello").text


def test_a_second_up_finds_everything_and_is_quick(clone):
    containers, pids = clone.installation.containers(), clone.installation.pids()
    began = time.monotonic()
    done = clone.up()
    assert time.monotonic() - began < 30
    assert "pushing" not in done.stdout + done.stderr
    assert (clone.installation.containers(), clone.installation.pids()) == (containers, pids)
    assert both_answer(clone.installation)


def test_two_installations_side_by_side(clone, evenkeel):
    assert both_answer(clone.installation)
    assert evenkeel.get("hello").status == 404  # an app of the other one
    assert clone.installation.api("GET", "/projects", token=evenkeel.token).status == 401


def test_a_restart_is_no_downtime(clone):
    installation = clone.installation
    before = installation.containers()
    with Visitor(installation, "hello") as visitor:
        installation.cli("restart", "hello", "-p", "default", "--wait", timeout=120)
        installation.wait_for(lambda: not set(before) & set(installation.containers()), 60, what="the old instance goes")
    assert not visitor.wrong
    assert len(installation.containers()) == len(before)


def test_what_cannot_be_restarted(clone):
    done = clone.installation.cli("restart", "site", "-p", "default", check=False)
    assert done.returncode == 5 and "nothing of it runs" in done.stderr
    clone.installation.cli("hold", "hello", "-p", "default")
    done = clone.installation.cli("restart", "hello", "-p", "default", check=False)
    clone.installation.cli("resume", "hello", "-p", "default")
    assert done.returncode == 5 and "evenkeel resume" in done.stderr


def test_a_new_version_takes_over_while_apps_answer(clone):
    installation = clone.installation
    containers, pids = installation.containers(), installation.pids()
    with open(clone.root / "controller/fetcher.c", "a", encoding="utf-8") as source:
        source.write("/* another version */\n")
    with Visitor(installation, "hello") as visitor:
        clone.up()
    assert not visitor.wrong
    now = installation.pids()
    assert {name for name in pids if now[name] != pids[name]} == {"controller"}
    assert installation.containers() == containers


def test_down_leaves_nothing_but_the_data(clone):
    installation = clone.installation
    token, ours = installation.token, chains(installation.network_range)
    assert ours
    clone.down()
    assert not installation.containers()
    assert not installation.networks()
    # This process and the tests' own may name the folder; the programs are gone with their pid files.
    assert not installation.processes()
    assert not chains(installation.network_range)
    assert not any(name in subprocess.run(["iptables", "-w", "-S"], check=True, capture_output=True, text=True).stdout for name in ours)
    clone.down()  # once more: nothing to do
    clone.up()
    assert both_answer(installation)
    assert installation.token == token


@pytest.mark.parametrize("port,flag", [("http_port", "--http-port"), ("api_port", "--api-port")])
def test_a_taken_port_is_named(clone, port, flag):
    installation = clone.installation
    clone.down()
    with socket.socket() as other:
        # As HAProxy listens: a second one would share the port, and nobody would notice.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", getattr(installation, port)))
        other.listen()
        done = clone.up(check=False)
    assert done.returncode == 1
    assert f"port {getattr(installation, port)}" in done.stderr and f"(pid {os.getpid()})" in done.stderr
    assert flag in done.stderr
    assert not installation.pids()
    clone.up()
    assert both_answer(installation)


def test_a_port_of_another_installation(clone, evenkeel):
    installation = clone.installation
    done = clone.up("--api-port", str(evenkeel.api_port), check=False)
    assert done.returncode == 1
    assert "evenkeel-gatewa" in done.stderr and "--api-port" in done.stderr
    clone.up()  # as it was; nothing of the refused port was kept
    assert both_answer(installation)
    assert evenkeel.api("GET", "/projects").status == 200


# Namespaces of its own, for mounts and network, are a machine on which no dockerd runs: no socket in /run, nothing in Docker's folder.
NO_DOCKER = """
set -e
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir -p "$FOLDER" /var/lib/docker
mount --bind "$FOLDER" /var/lib/docker
./scripts/up
curl -fsS -m 10 -H 'Host: hello.localhost' http://127.0.0.1:8080/
curl -fsS -m 10 -H 'Host: site.localhost' http://127.0.0.1:8080/
./scripts/down
[ ! -e /run/docker.pid ]
"""


def test_a_machine_on_which_docker_does_not_run(clone):
    home = clone.installation.home
    folder = home / "docker"
    data = home / "no-docker"
    env = {"FOLDER": str(folder), "EVENKEEL_DATA": str(data), "HOME": str(home / "no-docker-home"), "EVENKEEL_HTTP_PORT": "8080",
           "EVENKEEL_API_PORT": "8081", "EVENKEEL_PREFIX": "", "EVENKEEL_NETWORK_RANGE": "10.224.0.0/12"}
    (home / "no-docker-home").mkdir()
    try:
        done = clone.installation.run("unshare", "--mount", "--net", "bash", "-c", NO_DOCKER, cwd=clone.root, timeout=600, env=env)
        assert "starting dockerd" in done.stdout and "stopping dockerd" in done.stdout
        assert "<title>hello</title>" in done.stdout
        assert not [line for line in clone.installation.processes() if str(data) in line]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
