"""The real builder against the real Docker daemon; the controller is test/fake/controller.c.

BUILD_DIR names the meson build to test (default: build, at the top of the tree).
"""
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("BUILD_DIR", TOP / "build"))
BASE = "builder-test/base:1"
APPLETS = "sh sleep echo cat ls mkdir dd head tail tr yes env id grep cp rm ln seq true false".split()


def docker(*args, check=True):
    return subprocess.run(["docker", *args], check=check, capture_output=True, text=True).stdout.strip()


def make_tar(files):
    """{"name": "text" | ("link", target) | bytes} as a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, content[1]
                tar.addfile(info)
                continue
            data = content if isinstance(content, bytes) else content.encode()
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(scope="session")
def base_image(tmp_path_factory):
    """A base image of busybox-static, without any registry."""
    root = tmp_path_factory.mktemp("base")
    (root / "bin").mkdir()
    (root / "tmp").mkdir()
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    archive = root.parent / "base.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    docker("import", str(archive), BASE)
    yield BASE
    for tag in docker("images", "--format", "{{.Repository}}:{{.Tag}}", "builder-test/*").split():
        docker("rmi", "-f", tag, check=False)


class Program:
    """A program under test, stopped by its own process id."""

    def __init__(self, argv, log):
        self.log_path = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen([str(a) for a in argv], stderr=out, stdout=out)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self, timeout=15):
        self.process.terminate()
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait(5)


class World:
    def __init__(self, folder):
        self.folder = folder
        self.jobs = folder / "jobs"
        self.jobs.mkdir()
        self.socket = folder / "controller.sock"
        self.count = 0
        self.controller = self.builder = None

    def start_controller(self):
        self.controller = Program([BUILD / "test/fake/fake-controller", self.socket, self.jobs],
                                  self.folder / "controller.log")

    def start_builder(self, **settings):
        lines = {"controller__address": f"unix:{self.socket}", "name": "builder-test", "slots": 2,
                 "data": str(self.folder / "work"), **settings}
        nested = {}
        for key, value in lines.items():
            place = nested
            *groups, last = key.split("__")
            for group in groups:
                place = place.setdefault(group, {})
            place[last] = value
        config = self.folder / "builder.yaml"
        config.write_text(to_yaml(nested))
        self.builder = Program([BUILD / "cmd/evenkeel-builder", "-c", config],
                               self.folder / "builder.log")

    def add(self, build, files=None, **job):
        """Queues a job; returns its id."""
        self.count += 1
        name = f"t{self.count}-{os.getpid()}-{time.monotonic_ns() % 1000000}"
        whole = {"project": "default", "app": "shop", "commit": "c" * 40, "timeout_ms": 120000,
                 "log_max": 1 << 20, "limits": {"memory": 0, "cpus_milli": 0},
                 "tag": f"builder-test/out:{name}", "registry": None, "build": build, **job}
        (self.jobs / f"{name}.tar").write_bytes(make_tar(files or {}))
        temporary = self.jobs / f"{name}.new"
        temporary.write_text(json.dumps(whole))
        temporary.rename(self.jobs / f"{name}.job")
        return name

    def path(self, name, ending):
        return self.jobs / f"{name}.{ending}"

    def wait(self, name, timeout=60):
        """The settle of a job."""
        until(lambda: self.path(name, "settled").exists() or self.has_ended(), timeout, lambda: self.explain(name))
        assert self.path(name, "settled").exists(), self.explain(name)
        return json.loads(self.path(name, "settled").read_text())

    def has_ended(self):
        return any(p and p.process.poll() is not None for p in (self.builder, self.controller))

    def explain(self, name):
        return f"{self.log(name)}\n---\n{self.builder.log()}\n---\n{self.controller.log()}"

    def log(self, name):
        path = self.path(name, "log")
        return path.read_text() if path.exists() else ""

    def wait_log(self, name, text, timeout=30):
        until(lambda: text in self.log(name), timeout, lambda: self.explain(name))

    def run(self, build, files=None, **job):
        name = self.add(build, files, **job)
        return name, self.wait(name)

    def site(self, name):
        """{"name": content} of a site archive; folders are left out."""
        with tarfile.open(self.path(name, "site"), "r:gz") as tar:
            return {m.name: tar.extractfile(m).read().decode() for m in tar if m.isfile()}


def to_yaml(value, indent=0):
    lines = ""
    for key, item in value.items():
        if isinstance(item, dict):
            lines += f"{' ' * indent}{key}:\n{to_yaml(item, indent + 2)}"
        else:
            lines += f"{' ' * indent}{key}: {json.dumps(item)}\n"
    return lines


def until(what, timeout, explain=lambda: ""):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.05)
    pytest.fail(f"not within {timeout} s\n{explain()}")


@pytest.fixture
def bare_world(tmp_path, base_image):
    world = World(tmp_path)
    yield world
    for program in (world.builder, world.controller):
        if program and program.process.poll() is None:
            program.kill()


@pytest.fixture
def world(bare_world):
    """A controller and a builder; afterwards the builder must stop by itself, without a fault."""
    bare_world.start_controller()
    bare_world.start_builder()
    yield bare_world
    assert bare_world.builder.stop() == 0, bare_world.builder.log()
    assert "Sanitizer" not in bare_world.builder.log(), bare_world.builder.log()
