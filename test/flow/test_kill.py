"""kill -9 of each program at ten random moments of a rollout: it converges, and nothing acknowledged is lost.

EVENKEEL_SEED repeats a run; the seed is printed.
"""
import os
import random
import re
import subprocess
import threading
import time

import pytest

from load import Load

MOMENTS = 10
SEED = int(os.environ.get("EVENKEEL_SEED") or random.SystemRandom().randrange(1 << 32))
DOCKERFILE = """FROM evenkeel/busybox
COPY index.html /www/index.html
CMD ["sh", "-c", "echo -n $VALUE >/www/value; exec httpd -f -p 8080 -h /www"]
"""
SPEC = """build: {method: dockerfile}
processes: {web: {port: 8080, check: {path: /}}}
deploy: {drain: 2s, stop: 1s}
"""


class World:
    """An app of an image and one that is a site, both live, and what rolls them out further."""

    def __init__(self, evenkeel):
        self.evenkeel = evenkeel
        self.page = {"image": "page 0", "site": "page 0"}
        self.value = ""
        self.folders = {
            "image": evenkeel.repository({"Dockerfile": DOCKERFILE, "evenkeel.yaml": SPEC, "index.html": "page 0"}),
            "site": evenkeel.repository({"evenkeel.yaml": "build: {method: static}\n", "index.html": "page 0"}),
        }
        for app, folder in self.folders.items():
            evenkeel.cli("apps", "create", app)
            evenkeel.git("remote", "add", "evenkeel", evenkeel.git_url(app), cwd=folder)
            self.push(app)
        evenkeel.wait_for(self.is_served)
        self.hosts = {f"{app}.localhost": re.compile(r"page \S+").fullmatch for app in self.folders}
        self.span = {kind: self.measure(kind) for kind in ("image", "env", "site")}

    def measure(self, kind):
        """How long a rollout takes."""
        begun = time.monotonic()
        self.roll_out(kind, "measured")
        self.evenkeel.wait_for(self.is_served, every=0.02)
        return time.monotonic() - begun

    # ---- rollouts: each repeats until it is acknowledged, as a person would

    def push(self, app):
        """Pushes; True when the first try was acknowledged."""
        tries = 0
        end = time.monotonic() + 120
        while True:
            done = self.evenkeel.git("push", "evenkeel", "main", cwd=self.folders[app], check=False, timeout=120)
            tries += 1
            if done.returncode == 0:
                body = self.look(app)
                assert body == self.page[app], f"a push that was acknowledged is served: {self.page[app]!r}, not {body!r}:\n{done.stderr}"
                return tries == 1
            assert "rejected" not in done.stderr and time.monotonic() < end, f"git push ended with {done.returncode}:\n{done.stderr}"
            print(f"  push again: {done.stderr.strip().splitlines()[-1:]}")
            time.sleep(0.2)

    def set_value(self, value):
        end = time.monotonic() + 120
        while True:
            try:
                answer = self.evenkeel.api("PATCH", "/projects/default/apps/image/env", {"set": {"VALUE": value}})
                if answer.status == 200:
                    self.value = value
                    return
                assert answer.status in (502, 503, 504), answer.text
            except OSError:
                pass
            assert time.monotonic() < end, "the API does not answer"
            time.sleep(0.1)

    def roll_out(self, kind, name):
        if kind == "env":
            self.set_value(name)
            return
        self.page[kind] = f"page {name}"
        self.evenkeel.commit(self.folders[kind], {"index.html": self.page[kind]})
        self.push(kind)

    # ---- what must hold

    def look(self, app):
        """The page; when the proxy or the site's server was just killed, as soon as there is one."""
        def page():
            answer = self.evenkeel.get(app)
            return answer.status not in (502, 503, 504) and (answer.text or "empty")

        return self.evenkeel.wait_for(page, timeout=20, every=0.02)

    def is_served(self):
        return (self.evenkeel.get("image").text == self.page["image"] and self.evenkeel.get("site").text == self.page["site"]
                and self.evenkeel.get("image", "/value").text == self.value)

    def has_converged(self):
        for app in self.folders:
            info = self.evenkeel.api("GET", f"/projects/default/apps/{app}").json
            conditions = {c["type"]: c["status"] for c in info["conditions"]}
            assert set(conditions.values()) == {"true"}, info["conditions"]
            assert info["live"]["release"] == info["wanted"]["release"], info
            if app == "site":
                continue
            # What is on record, what runs: exactly the live release's.
            names = [f"{self.evenkeel.prefix}default-{app}-web-v{info['live']['release']}-1"]
            rows = self.evenkeel.api("GET", f"/projects/default/apps/{app}/instances").json["items"]
            assert [(row["name"], row["state"]) for row in rows] == [(names[0], "ready")], rows
            assert self.evenkeel.containers() == names
        return True

    def check_nothing_lost(self):
        assert self.evenkeel.api("GET", "/projects/default/apps/image/env").json["env"]["VALUE"] == self.value
        for app, folder in self.folders.items():
            head = self.evenkeel.git("rev-parse", "HEAD", cwd=folder).stdout.strip()
            # The branch is published by the fetcher, after the app is live.
            self.evenkeel.wait_for(lambda: self.evenkeel.git("ls-remote", "evenkeel", "main", cwd=folder).stdout.split()[:1] == [head],
                                   what=f"the branch of {app} is at {head}")

    def check_builds(self):
        """No build is lost, none accepted twice."""
        for app in self.folders:
            builds = self.evenkeel.api("GET", f"/projects/default/apps/{app}/builds?limit=200").json["items"]
            for build in builds:
                assert build["state"] == "succeeded", build
                states = [attempt["state"] for attempt in build["attempts"]]
                assert states.count("succeeded") == 1 and set(states) <= {"succeeded", "lost"}, build
            keys = [build["key"] for build in builds]
            assert len(keys) == len(set(keys))


@pytest.fixture(scope="module")
def world(installation):
    print(f"EVENKEEL_SEED={SEED}")
    with installation() as evenkeel:
        yield World(evenkeel)


def kill_and_restart(evenkeel, name):
    old = evenkeel.kill(name)
    if name == "supervisor":
        evenkeel.wait_for(lambda: evenkeel.pid("supervisor") is None)
        evenkeel.up()
    evenkeel.wait_pid(name, other_than=old)


# What a program has a part in, in turn.
ROLLOUTS = {
    "controller": ("image", "env", "site"),
    "gateway": ("image", "env", "site"),
    "builder": ("image", "site"),
    "ssgen": ("site",),
    "supervisor": ("image", "env", "site"),
    "haproxy": ("image", "env", "site"),
    "nginx": ("site",),
}


def kill_during(world, program, kind, name, delay):
    failure = []
    begun = time.monotonic()

    def roll_out():
        try:
            world.roll_out(kind, name)
        except (AssertionError, subprocess.SubprocessError) as e:
            failure.append(e)

    thread = threading.Thread(target=roll_out)
    thread.start()
    time.sleep(delay)
    kill_and_restart(world.evenkeel, program)
    restarted = time.monotonic()
    thread.join(180)
    assert not thread.is_alive(), "the rollout does not end"
    if failure:
        raise failure[0]
    world.evenkeel.wait_for(world.is_served, what="what was pushed is served")
    world.evenkeel.wait_for(world.has_converged, what="it converges")
    print(f"  restarted after {restarted - begun:.1f} s, converged {time.monotonic() - begun:.1f} s")


# Each program once per moment and not ten times in a row, so that the back-off of its restarts does not grow.
@pytest.mark.parametrize("moment", range(MOMENTS))
def test_each_program_killed_at_a_moment_of_a_rollout(world, moment):
    dice = random.Random(f"{SEED} {moment}")
    order = list(ROLLOUTS)
    dice.shuffle(order)
    for program in order:
        kinds = ROLLOUTS[program]
        kind = kinds[moment % len(kinds)]
        delay = dice.uniform(0, world.span[kind])
        print(f"{program} is killed {delay:.3f} s into a rollout by {kind} of {world.span[kind]:.1f} s (EVENKEEL_SEED={SEED})")
        with Load(world.evenkeel.http_port, world.hosts) as load:
            kill_during(world, program, kind, f"{program}-{moment}", delay)
        assert load.count > 10
        if program not in ("haproxy", "nginx"):  # their own connections end with them
            assert not load.failures, f"{program}: {len(load.failures)} of {load.count}: {load.failures[:5]}"
    world.check_nothing_lost()
    world.check_builds()
