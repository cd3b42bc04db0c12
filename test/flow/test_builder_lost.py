"""Builders that die, fall silent or are told to stop, and a controller that restarts in the middle of a build."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

DOCKERFILE = """FROM evenkeel/busybox
RUN echo be''gun {mark} && sleep {seconds}
COPY index.html /www/index.html
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""


class Builder:
    """One more builder program of an installation."""

    def __init__(self, evenkeel, name, slots=1):
        self.evenkeel, self.name = evenkeel, name
        folder = evenkeel.home / name
        folder.mkdir(exist_ok=True)
        self.config = folder / "builder.yaml"
        self.config.write_text(f"controller: {{address: 'unix:{evenkeel.data}/run/controller.sock'}}\ndata: {folder}/work\n"
                               f"name: {name}\nslots: {slots}\n")
        self.log = folder / "builder.log"
        self.process = None

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen([self.evenkeel.build / "cmd" / "evenkeel-builder", "--config", self.config],
                                            stdout=out, stderr=out, env=self.evenkeel.env)
        self.evenkeel.wait_for(lambda: self.name in connected(self.evenkeel), what=f"{self.name} is connected")
        return self

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(5)
            self.evenkeel.wait_for(lambda: self.name not in connected(self.evenkeel))


def connected(evenkeel):
    return [b["name"] for b in evenkeel.api("GET", "/system/status").json["builders"]]


def steps(mark):
    """Processes of build steps, by a word of their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if mark.encode() in (folder / "cmdline").read_bytes() and "buildkit" in (folder / "cgroup").read_text():
                found.append(folder.name)
        except OSError:
            pass
    return found


class World:
    def __init__(self, evenkeel):
        self.evenkeel, self.count, self.builders = evenkeel, 0, []

    def builder(self, name):
        builder = Builder(self.evenkeel, name)
        self.builders.append(builder)
        return builder.start()

    def push(self, seconds=3.0):
        """An app of its own whose build takes so long, pushed in the background: its name, and a word of its build step."""
        self.count += 1
        app, mark = f"app{self.count}", f"{seconds}{os.getpid()}{self.count}"
        folder = self.evenkeel.repository({"Dockerfile": DOCKERFILE.format(mark=mark, seconds=mark), "index.html": app})
        self.evenkeel.cli("apps", "create", app)
        process = subprocess.Popen(["git", "push", "-q", self.evenkeel.git_url(app), "main"], cwd=folder, env=self.evenkeel.env,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        return app, mark, process

    def build(self, app):
        """The app's only build."""
        items = self.evenkeel.api("GET", f"/projects/default/apps/{app}/builds").json["items"]
        assert len(items) <= 1, items
        return items[0] if items else None

    def attempts(self, app):
        return [(a["builder"], a["state"]) for a in sorted(self.build(app)["attempts"], key=lambda a: a["number"])]

    def wait_running(self, app, mark):
        """Its step runs; the builder that has it."""
        self.evenkeel.wait_for(lambda: steps(mark), what=f"the build step of {app} runs")
        return self.attempts(app)[-1][0]

    def stop_builders(self):
        for builder in self.builders:
            builder.kill()
        self.builders = []


@pytest.fixture(scope="module")
def installed(installation):
    """An installation whose own builder is stopped (and held there), so that the tests' ones do the work."""
    with installation() as evenkeel:
        evenkeel.wait_for(lambda: connected(evenkeel) == ["builder"])
        own = evenkeel.kill("builder", signal.SIGSTOP)
        try:
            evenkeel.wait_for(lambda: connected(evenkeel) == [], timeout=30, what="a silent builder is noticed")
            yield evenkeel
        finally:
            os.kill(own, signal.SIGCONT)


@pytest.fixture
def world(installed):
    world = World(installed)
    world.count = World.numbers = getattr(World, "numbers", 0) + 100
    yield world
    world.stop_builders()


def test_killed_in_the_middle_another_one_does_it(world):
    one, two = world.builder("one"), world.builder("two")
    app, mark, push = world.push(3.0)
    first = world.wait_running(app, mark)
    lost, other = (one, two) if first == "one" else (two, one)
    lost.process.kill()
    killed = time.monotonic()
    world.evenkeel.wait_for(lambda: len(world.attempts(app)) == 2, every=0.02, what="it is queued again and taken")
    assert time.monotonic() - killed < 2.5  # 2 s, and the time to ask
    assert push.wait(120) == 0, push.stdout.read()
    assert world.attempts(app) == [(lost.name, "lost"), (other.name, "succeeded")]
    assert world.evenkeel.get(app).text == app
    events = world.evenkeel.api("GET", f"/projects/default/apps/{app}/events?limit=200").json["items"]
    assert [e["message"] for e in events if e["reason"] == "BuilderLost"], events


def test_silent_one_is_noticed(world):
    one = world.builder("silent")
    app, mark, push = world.push(20.0)
    world.wait_running(app, mark)
    world.builder("awake")
    one.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    world.evenkeel.wait_for(lambda: len(world.attempts(app)) == 2, timeout=40, what="its silence is noticed")
    assert 5 < time.monotonic() - stopped < 20
    # Awake again it is told that its lease is gone, and settles nothing.
    one.process.send_signal(signal.SIGCONT)
    assert push.wait(120) == 0, push.stdout.read()
    assert world.attempts(app) == [("silent", "lost"), ("awake", "succeeded")]


def test_controller_restart_keeps_the_lease(world):
    world.builder("faithful")
    app, mark, push = world.push(6.0)
    world.wait_running(app, mark)
    old = world.evenkeel.kill("controller")
    world.evenkeel.wait_pid("controller", other_than=old)
    assert push.wait(120) == 0, push.stdout.read()
    assert world.attempts(app) == [("faithful", "succeeded")]
    assert world.evenkeel.get(app).text == app
    build = world.build(app)
    text = world.evenkeel.cli("builds", "logs", build["id"]).stdout
    assert text.count(f"begun {mark}\n") == 1, text


def test_lost_three_times_it_fails(world):
    app, mark, push = world.push(60.0)
    for i in range(3):
        builder = world.builder(f"weak{i}")
        world.wait_running(app, mark)
        builder.kill()
        world.evenkeel.wait_for(lambda: not steps(mark), what="the step ends with its builder")
    world.evenkeel.wait_for(lambda: world.build(app)["state"] == "failed")
    build = world.build(app)
    assert build["reason"] == "BuilderLost"
    assert world.attempts(app) == [(f"weak{i}", "lost") for i in range(3)]
    assert push.wait(60) != 0
    assert "lost" in push.stdout.read()
    explained = world.evenkeel.api("GET", f"/projects/default/apps/{app}/explain").json
    assert (explained["first"]["name"], explained["first"]["reason"]) == ("BuildReady", "BuilderLost"), explained


def test_cancel_of_a_queued_one(world):
    app, mark, push = world.push(60.0)
    world.evenkeel.wait_for(lambda: world.build(app))
    world.evenkeel.cli("builds", "cancel", world.build(app)["id"])
    build = world.build(app)
    assert (build["state"], build["reason"], build["attempts"]) == ("cancelled", "BuildCancelled", [])
    assert push.wait(60) != 0
    world.builder("late")
    other, other_mark, other_push = world.push(0.1)
    assert other_push.wait(60) == 0, other_push.stdout.read()
    assert not steps(mark) and world.build(app)["attempts"] == []


def test_cancel_of_a_running_one(world):
    world.builder("obedient")
    app, mark, push = world.push(60.0)
    world.wait_running(app, mark)
    world.evenkeel.cli("builds", "cancel", world.build(app)["id"])
    cancelled = time.monotonic()
    world.evenkeel.wait_for(lambda: not steps(mark), every=0.02, what="the step ends")
    assert time.monotonic() - cancelled < 2
    world.evenkeel.wait_for(lambda: world.build(app)["state"] == "cancelled")
    assert world.attempts(app) == [("obedient", "cancelled")]
    assert push.wait(60) != 0
    again = json.loads(world.evenkeel.cli("builds", "list", "-a", app, "-o", "json").stdout)
    assert [b["state"] for b in again] == ["cancelled"]
    # Cancelling what has ended is a conflict; asked to try again it is built.
    assert world.evenkeel.cli("builds", "cancel", world.build(app)["id"], check=False).returncode == 5
    # The slot is free.
    other, _, other_push = world.push(0.1)
    assert other_push.wait(60) == 0, other_push.stdout.read()


def test_cancel_right_after_the_start(world):
    """At whatever moment of its start: it ends cancelled, and soon."""
    world.builder("quick")
    for i in range(8):
        app, mark, push = world.push(60.0)
        world.evenkeel.wait_for(lambda: world.build(app) and world.build(app)["state"] == "running", every=0.005)
        time.sleep(i * 0.01)
        assert world.evenkeel.api("POST", f"/builds/{world.build(app)['id']}/cancel").status == 202
        world.evenkeel.wait_for(lambda: world.build(app)["state"] == "cancelled", timeout=10, every=0.02)
        world.evenkeel.wait_for(lambda: not steps(mark), timeout=3, what="the step ends")
        assert push.wait(60) != 0
