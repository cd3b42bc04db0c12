"""What needs the machine's cgroups, and a registry with a password."""
import base64
import crypt
import hashlib
import pathlib
import urllib.request

import pytest

from conftest import BASE, Program, docker, until

GROUP = pathlib.Path("/sys/fs/cgroup/memory/docker/buildkit/memory.limit_in_bytes")
GROUP_V2 = pathlib.Path("/sys/fs/cgroup/docker/buildkit/memory.max")
PORT = 21510


@pytest.fixture
def small_world(bare_world):
    """A builder that gives build steps 64 MiB; the limit is of the machine, so it is put back."""
    file = GROUP if GROUP.parent.parent.parent.exists() else GROUP_V2
    before = file.read_text() if file.exists() else ("-1" if file == GROUP else "max")
    bare_world.start_controller()
    bare_world.start_builder(build__memory_max="64Mi")
    yield bare_world
    assert bare_world.builder.stop() == 0
    file.write_text(before)


def test_step_out_of_memory(small_world):
    # tail keeps all of a line that never ends
    build = {"method": "command", "output": "image", "base": BASE, "run": "head -c 200000000 /dev/zero | tail -n 1 > /dev/null"}
    name, settled = small_world.run(build, {"x": "1"})
    assert settled["reason"] == "BuildOOM", small_world.explain(name)
    assert "build.memory_max" in settled["message"]
    # a failure of another kind right after is not taken for one
    _, settled = small_world.run({**build, "run": "exit 137"}, {"x": "1"})
    assert settled["reason"] == "BuildFailed"


@pytest.fixture
def registry(tmp_path):
    users = tmp_path / "users"
    users.write_text("evenkeel:" + crypt.crypt("secret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)) + "\n")
    config = tmp_path / "registry.yml"
    config.write_text(f"""version: 0.1
storage: {{filesystem: {{rootdirectory: {tmp_path / 'storage'}}}}}
http: {{addr: "127.0.0.1:{PORT}"}}
auth: {{htpasswd: {{realm: test, path: {users}}}}}
""")
    program = Program(["docker-registry", "serve", config], tmp_path / "registry.log")
    until(lambda: "listening on" in program.log(), 10, program.log)
    yield {"address": f"127.0.0.1:{PORT}", "user": "evenkeel", "password": "secret"}
    program.stop()


def manifest_digest(registry, name, digest):
    request = urllib.request.Request(f"http://{registry['address']}/v2/{name}/manifests/{digest}", headers={
        "Accept": "application/vnd.docker.distribution.manifest.v2+json",
        "Authorization": "Basic " + base64.b64encode(b"evenkeel:secret").decode()})
    with urllib.request.urlopen(request) as answer:
        return "sha256:" + hashlib.sha256(answer.read()).hexdigest()


def test_push(world, registry):
    build = {"method": "command", "output": "image", "base": BASE, "run": "echo pushed > f"}
    name, settled = world.run(build, {"x": "1"}, registry=registry)
    assert settled["state"] == "succeeded", world.explain(name)
    artifact = settled["artifact"]
    assert artifact["ref"] == f"{registry['address']}/builder-test/out@{artifact['digest']}"
    assert manifest_digest(registry, "builder-test/out", artifact["digest"]) == artifact["digest"]
    # the same reference is what an app with the method `image` may name
    pulled, again = world.run({"method": "image", "output": "image", "base": artifact["ref"]}, registry=registry)
    assert again["artifact"]["ref"] == artifact["ref"], world.explain(pulled)
    docker("rmi", "-f", artifact["ref"], check=False)
    pulled, again = world.run({"method": "image", "output": "image", "base": artifact["ref"]}, registry=registry)
    assert again["state"] == "succeeded", world.explain(pulled)
    docker("rmi", "-f", artifact["ref"], check=False)


def test_push_refused(world, registry):
    build = {"method": "command", "output": "image", "base": BASE, "run": "echo refused > f"}
    name, settled = world.run(build, {"x": "1"}, registry={**registry, "password": "wrong"})
    assert (settled["reason"], settled["is_infrastructure"]) == ("PushFailed", True), world.explain(name)
    assert "wrong" not in world.builder.log() + world.log(name) + settled["message"]
