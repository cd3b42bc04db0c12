"""What the Docker backend promises: what runs is what is wanted, within its limits, apart from others; and drift is repaired."""
import json
import socket
import subprocess
import time

import pytest

SOON_S = 5
DOCKERFILE = """FROM evenkeel/busybox
COPY index.html /www/index.html
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""
SPEC = """processes:
  web: {replicas: 2, port: 8080, memory: 64Mi, cpus: 0.5, pids: 64, check: {path: /, interval: 1s}}
deploy: {drain: 1s, stop: 1s}
"""
CRASHING = """build: {method: image, base: evenkeel/busybox}
processes: {web: {command: "sleep 0.3; exit 7", port: 8080}}
deploy: {timeout: 30s}
"""


@pytest.fixture(scope="module")
def world(installation):
    with installation() as evenkeel:
        evenkeel.cli("projects", "create", "other")
        for project in ("default", "other"):
            push(evenkeel, "web", SPEC, project)
        yield evenkeel


def push(evenkeel, app, spec, project="default", check=True):
    folder = evenkeel.repository({"Dockerfile": DOCKERFILE, "evenkeel.yaml": spec, "index.html": f"{project} {app}"})
    evenkeel.cli("apps", "create", app, "-p", project)
    return evenkeel.git("push", "-q", evenkeel.git_url(app, project), "main", cwd=folder, check=check)


def docker(*args, check=True):
    return subprocess.run(["docker", *args], check=check, capture_output=True, text=True, timeout=60).stdout.strip()


def inspect(name):
    return json.loads(docker("inspect", name))[0]


def host(app, project="default"):
    return f"{app}.localhost" if project == "default" else f"{app}.{project}.localhost"


def path(app, project="default"):
    return f"/projects/{project}/apps/{app}"


def name(world, index, app="web", project="default"):
    """Of an instance of the live release."""
    number = world.api("GET", path(app, project)).json["live"]["release"]
    return f"{world.prefix}{project}-{app}-web-v{number}-{index}"


def ready(world, app="web", project="default"):
    items = world.api("GET", f"{path(app, project)}/instances").json["items"]
    return sorted(i["name"] for i in items if i["state"] == "ready")


def condition(world, app, kind):
    return next(c for c in world.api("GET", path(app)).json["conditions"] if c["type"] == kind)


def wait_repaired(world, old_id, instance):
    """The instance runs anew and is ready; how long that took."""
    begun = time.monotonic()

    def is_back():
        seen = inspect(instance)
        return seen["Id"] != old_id and seen["State"]["Running"] and instance in ready(world)

    world.wait_for(is_back, timeout=30, every=0.05, what=f"{instance} is back")
    return time.monotonic() - begun


@pytest.mark.parametrize("how", [("kill",), ("stop", "-t", "0"), ("rm", "-f"), ("update", "--memory", "128m", "--memory-swap", "128m"),
                                 ("update", "--restart", "always")], ids=lambda how: "-".join(how[:2]))
def test_what_is_changed_by_hand_is_repaired(world, how):
    instance = name(world, 1)
    world.wait_for(lambda: ready(world) == [name(world, 1), name(world, 2)])
    time.sleep(1.1)  # the back-off of the restart before is 1 s
    old = inspect(instance)["Id"]
    docker(*how, instance)
    took = wait_repaired(world, old, instance)
    print(f"{' '.join(how)}: {took:.1f} s")
    assert took < SOON_S
    # Meanwhile, and afterwards, the other one serves.
    assert world.get("web").text == "default web"


def test_a_full_pass_finds_what_no_event_told(world):
    """An instance without its network; the first pass is at the controller's start."""
    world.wait_for(lambda: ready(world) == [name(world, 1), name(world, 2)])
    instance = name(world, 2)
    old = inspect(instance)["Id"]
    docker("network", "disconnect", "-f", f"{world.prefix}evenkeel-default", instance)
    world.kill("controller")
    wait_repaired(world, old, instance)
    assert list(inspect(instance)["NetworkSettings"]["Networks"]) == [f"{world.prefix}evenkeel-default"]


def test_limits_and_rights(world):
    seen = inspect(name(world, 1))
    limits = seen["HostConfig"]
    assert (limits["Memory"], limits["NanoCpus"], limits["PidsLimit"]) == (64 << 20, 500_000_000, 64)
    assert limits["CapDrop"] == ["ALL"]
    assert not {"CAP_NET_RAW", "NET_RAW", "CAP_SYS_ADMIN", "SYS_ADMIN", "CAP_MKNOD", "MKNOD"} & set(limits["CapAdd"] or [])
    assert any(o.startswith("no-new-privileges") for o in limits["SecurityOpt"])
    assert limits["Init"] is True and not limits["Privileged"]
    assert limits["RestartPolicy"]["Name"] in ("", "no")
    assert not limits["PortBindings"] and limits["LogConfig"]["Config"]["max-size"]
    assert list(seen["NetworkSettings"]["Networks"]) == [f"{world.prefix}evenkeel-default"]


def reaches(instance, address, port):
    """Whether a connection from inside the instance is accepted."""
    done = subprocess.run(["docker", "exec", instance, "timeout", "3", "nc", "-w", "2", address, str(port)], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=30)
    return done.returncode == 0


def test_projects_are_apart(world):
    mine, other = name(world, 1), name(world, 1, project="other")
    address = {}
    for project, instance in (("default", mine), ("other", other)):
        address[instance] = inspect(instance)["NetworkSettings"]["Networks"][f"{world.prefix}evenkeel-{project}"]["IPAddress"]
    sibling = inspect(name(world, 2))["NetworkSettings"]["Networks"][f"{world.prefix}evenkeel-default"]["IPAddress"]
    assert reaches(mine, sibling, 8080), "instances of one project reach each other"
    assert not reaches(mine, address[other], 8080)
    assert not reaches(other, address[mine], 8080)


def test_instances_do_not_reach_this_machine(world):
    instance = name(world, 1)
    gateway = inspect(instance)["NetworkSettings"]["Networks"][f"{world.prefix}evenkeel-default"]["Gateway"]
    with socket.create_server(("0.0.0.0", 0)) as service:  # as careless as a service can be
        port = service.getsockname()[1]
        with socket.create_connection((gateway, port), timeout=5):
            pass
        own = socket.gethostbyname(socket.gethostname())
        for address in {gateway, "172.17.0.1", own}:
            assert not reaches(instance, address, port), f"{address}:{port}"
    assert not reaches(instance, gateway, world.api_port)


def test_scale_up_and_down(world):
    world.cli("scale", "web=4", "-a", "web", timeout=120)
    world.wait_for(lambda: ready(world) == [name(world, i) for i in (1, 2, 3, 4)])
    world.cli("scale", "web=1", "-a", "web", timeout=120)
    world.wait_for(lambda: ready(world) == [name(world, 1)])
    world.wait_for(lambda: [c for c in world.containers() if "-default-web-" in c] == [name(world, 1)], what="the others are gone")
    world.cli("scale", "web=2", "-a", "web", timeout=120)
    world.wait_for(lambda: ready(world) == [name(world, 1), name(world, 2)])
    assert world.get("web").text == "default web"


def test_stop_and_start(world):
    world.cli("stop", "web")
    world.wait_for(lambda: not [c for c in world.containers() if "-default-web-" in c], what="nothing of it runs")
    assert world.get("web").status in (404, 503)
    assert condition(world, "web", "Converged")["reason"] == "Stopped"
    world.cli("start", "web")
    world.wait_for(lambda: world.get("web").text == "default web")


def test_crash_loop_backs_off_and_says_so(world):
    done = push(world, "crashing", CRASHING, check=False)
    assert done.returncode != 0 and "rejected" in done.stderr, done.stderr
    explained = world.api("GET", f"{path('crashing')}/explain").json["first"]
    assert (explained["name"], explained["reason"]) == ("InstancesReady", "Exited") and "code 7" in explained["message"], explained
    world.wait_for(lambda: not [c for c in world.containers() if "crashing" in c], what="the rejected release's instances go")
    # One that was live and begins to crash: it is started again, ever more rarely.
    folder = world.repository({"Dockerfile": DOCKERFILE, "index.html": "moody", "evenkeel.yaml":
                               'processes: {web: {command: "test ! -e /tmp/x && httpd -f -p 8080 -h /www", port: 8080, check: {path: /}}}\n'})
    world.cli("apps", "create", "moody")
    world.git("push", "-q", world.git_url("moody"), "main", cwd=folder)
    instance = name(world, 1, "moody")

    def restarts():
        return next(i["restarts"] for i in world.api("GET", f"{path('moody')}/instances").json["items"])

    begun, seen = time.monotonic(), []
    while len(seen) < 4:
        before = inspect(instance)["Id"]
        docker("kill", instance)
        killed = time.monotonic()
        world.wait_for(lambda: docker("inspect", "-f", "{{.State.Running}} {{.Id}}", instance, check=False) not in ("", f"false {before}"),
                       timeout=60, every=0.05)
        seen.append(time.monotonic() - killed)
    print("restarted after", [f"{s:.1f}" for s in seen])
    assert seen[0] < 3 < seen[3] < 30, seen
    assert restarts() >= 3
    docker("kill", instance)
    world.wait_for(lambda: condition(world, "moody", "InstancesReady")["reason"] == "Exited")
    explained = world.api("GET", f"{path('moody')}/explain").json["first"]
    assert (explained["name"], explained["reason"]) == ("InstancesReady", "Exited") and "137" in explained["message"], explained
    assert time.monotonic() - begun < 120


def test_destroy_leaves_nothing(world):
    for app in ("crashing", "moody", "web"):
        world.cli("apps", "destroy", app, "--yes")
    world.wait_for(lambda: world.api("GET", "/projects/default/apps").json["items"] == [])
    world.wait_for(lambda: not [c for c in world.containers() if "-default-" in c])
    assert world.get("web").status == 404
    assert world.get(host("web", "other")).text == "other web"
