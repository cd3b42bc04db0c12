"""The Docker daemon goes away and comes back: apps come back by themselves, and say why meanwhile.

The daemon is one of the test's own, with its own socket, folders, bridge and addresses; the machine's is not touched. So it must
not write iptables rules (a daemon empties its chains when it starts, which are the other's as well), and must have no default
address pools (with them a daemon that starts again removes docker0, whoever's it is).
"""
import os
import signal
import subprocess
import tempfile
import time
import shutil
from pathlib import Path

import pytest

DOWN_S = 20
DOCKERFILE = """FROM evenkeel/busybox
COPY index.html /www/index.html
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""
SPEC = "processes: {web: {replicas: 2, port: 8080, check: {path: /}}}\n"


class Dockerd:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ekt-dockerd-"))
        self.bridge = f"ekt{os.getpid() % 100000}"
        self.address = f"10.95.{os.getpid() % 256}.1/24"
        self.socket = self.folder / "docker.sock"
        self.host = f"unix://{self.socket}"
        self.env = {**os.environ, "DOCKER_HOST": self.host}
        self.process = None
        self.run("ip", "link", "add", self.bridge, "type", "bridge")
        self.run("ip", "addr", "add", self.address, "dev", self.bridge)
        self.run("ip", "link", "set", self.bridge, "up")

    def run(self, *args, check=True, **kw):
        return subprocess.run([str(a) for a in args], check=check, capture_output=True, timeout=120, **kw)

    def start(self):
        (self.folder / "docker.pid").unlink(missing_ok=True)
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--host", self.host, "--data-root", self.folder / "data", "--exec-root", self.folder / "exec",
                 "--pidfile", self.folder / "docker.pid", "--bridge", self.bridge, "--iptables=false", "--ip-forward=false",
                 "--config-file", self.config()],
                stdout=log, stderr=log, start_new_session=True)

    def config(self):
        path = self.folder / "daemon.json"
        path.write_text("{}")  # not the machine's
        return path

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
        return self.run("docker", "version", env=self.env, check=False).returncode == 0

    def end(self, number):
        """Killed it takes all with it, as the out-of-memory killer or a power cut would: containerd, shims, containers."""
        pids = self.container_pids() if number == signal.SIGKILL else []
        self.process.send_signal(number)
        self.process.wait(60)
        if number == signal.SIGKILL:
            self.kill(list(self.processes()) + pids)
            self.unmount()

    def container_pids(self):
        """One that has just ended has none, or 0."""
        said = [self.run("docker", "inspect", "-f", "{{.State.Pid}}", one, env=self.env, check=False).stdout.strip()
                for one in self.docker("ps", "-q").split()]
        return [int(pid) for pid in said if pid.isdigit() and int(pid) > 0]

    def unmount(self):
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if str(self.folder) in line.split()[1]:
                self.run("umount", "-l", line.split()[1], check=False)

    @staticmethod
    def kill(pids):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def docker(self, *args):
        return self.run("docker", *args, env=self.env).stdout.decode()

    def processes(self):
        """Of this daemon, by the folder in their command line."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if str(self.folder).encode() in (entry / "cmdline").read_bytes():
                        yield int(entry.name)
                except OSError:
                    pass

    def close(self):
        if self.process and self.process.poll() is None:
            self.end(signal.SIGTERM)
        self.kill(list(self.processes()))
        self.run("ip", "link", "del", self.bridge, check=False)
        self.unmount()
        shutil.rmtree(self.folder, ignore_errors=True)


def outside():
    """What of the machine's own daemon must stay as it is."""
    rule = ("DOCKER-ISOLATION-STAGE-1", "-i", "docker0", "!", "-o", "docker0", "-j", "DOCKER-ISOLATION-STAGE-2")
    is_isolated = subprocess.run(["iptables", "-w", "-C", *rule], capture_output=True).returncode == 0
    index = Path("/sys/class/net/docker0/ifindex")
    return is_isolated, index.exists() and index.read_text()


@pytest.fixture(scope="module")
def dockerd(evenkeel_base):
    before = outside()
    one = Dockerd()
    try:
        one.start()
        end = time.monotonic() + 60
        while not one.answers():
            assert time.monotonic() < end, "dockerd does not come up"
            time.sleep(0.2)
        one.run("docker", "load", env=one.env, input=evenkeel_base)
        yield one
    finally:
        one.close()
    assert outside() == before


@pytest.fixture(scope="module")
def evenkeel_base():
    """The base image, out of the machine's daemon."""
    subprocess.run([Path(__file__).resolve().parents[2] / "scripts" / "bases"], check=True, timeout=120)
    return subprocess.run(["docker", "save", "evenkeel/busybox:latest"], check=True, capture_output=True, timeout=60).stdout


@pytest.fixture(scope="module")
def world(dockerd, installation):
    with installation(DOCKER_HOST=dockerd.host) as evenkeel:
        for app in ("one", "two"):
            folder = evenkeel.repository({"Dockerfile": DOCKERFILE, "evenkeel.yaml": SPEC, "index.html": app})
            evenkeel.cli("apps", "create", app)
            evenkeel.git("push", "-q", evenkeel.git_url(app), "main", cwd=folder)
        evenkeel.wait_for(lambda: are_served(evenkeel))
        yield evenkeel


def are_served(evenkeel):
    return all(evenkeel.get(app).text == app for app in ("one", "two"))


def condition(evenkeel, app, kind):
    conditions = evenkeel.api("GET", f"/projects/default/apps/{app}").json["conditions"]
    return next(c for c in conditions if c["type"] == kind)


def says_why(evenkeel, app):
    ready = condition(evenkeel, app, "InstancesReady")
    assert (ready["status"], ready["reason"]) == ("unknown", "BackendUnavailable"), ready
    assert ready["message"] and ready["next_try_at"], ready
    explained = evenkeel.api("GET", f"/projects/default/apps/{app}/explain").json
    assert (explained["first"]["name"], explained["first"]["reason"]) == ("InstancesReady", "BackendUnavailable"), explained
    return True


def numbers(evenkeel):
    """What must be the same afterwards: releases, instances on record."""
    return {app: (evenkeel.api("GET", f"/projects/default/apps/{app}").json["live"],
                  sorted(i["name"] for i in evenkeel.api("GET", f"/projects/default/apps/{app}/instances").json["items"]))
            for app in ("one", "two")}


def are_ready(evenkeel):
    return are_served(evenkeel) and all(condition(evenkeel, app, "InstancesReady")["status"] == "true" for app in ("one", "two"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_daemon_away_and_back(world, dockerd, number):
    before = numbers(world)
    dockerd.end(number)
    down = time.monotonic()
    for app in ("one", "two"):
        world.wait_for(lambda: says_why(world, app), timeout=15, what=f"{app} says why")
    explained = world.cli("explain", "one", check=False)
    assert "BackendUnavailable" in explained.stdout, explained
    # What is asked for meanwhile is taken, and done afterwards.
    assert world.api("PATCH", "/projects/default/apps/two/env", {"set": {"SINCE": number.name}}).status == 200
    while time.monotonic() - down < DOWN_S:
        for app in ("one", "two"):
            assert says_why(world, app)
        assert numbers(world)["one"] == before["one"], "nothing is forgotten"
        time.sleep(1)
    assert world.api("GET", "/system/status").json["backend"]["reachable"] is False
    dockerd.start()
    world.wait_for(lambda: are_ready(world), timeout=90, what="the apps come back by themselves")
    print(f"back {time.monotonic() - down - DOWN_S:.1f} s after the daemon's start")
    world.wait_for(lambda: condition(world, "two", "Converged")["status"] == "true" and are_ready(world), timeout=90)
    after = numbers(world)
    assert after["one"] == before["one"]
    assert after["two"][0]["release"] == before["two"][0]["release"] + 1
    listed = sorted(dockerd.docker("ps", "-a", "--format", "{{.Names}}").split())
    world.wait_for(lambda: sorted(dockerd.docker("ps", "-a", "--format", "{{.Names}}").split()) == sorted(after["one"][1] + numbers(world)["two"][1]),
                   what=f"only the wanted containers are there: {listed}")


def test_a_push_while_it_is_away_fails_and_can_be_tried_again(world, dockerd):
    folder = world.repository({"Dockerfile": DOCKERFILE, "evenkeel.yaml": SPEC, "index.html": "later"})
    world.cli("apps", "create", "later")
    dockerd.end(signal.SIGTERM)
    pushed = world.git("push", "-q", world.git_url("later"), "main", cwd=folder, check=False)
    assert pushed.returncode != 0 and "Docker daemon" in pushed.stderr, pushed
    explained = world.api("GET", "/projects/default/apps/later/explain").json["first"]
    assert (explained["name"], explained["reason"]) == ("BuildReady", "EngineUnavailable"), explained
    dockerd.start()
    world.wait_for(lambda: are_ready(world), timeout=90)
    world.cli("deploy", "later", "--retry", "--wait", timeout=120)
    assert world.get("later").text == "later"
