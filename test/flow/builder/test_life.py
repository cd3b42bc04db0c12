"""Cancel, time limits, slots, a controller that goes away, and the end of the program."""
import json
import pathlib
import subprocess
import time

from conftest import BASE, until


def steps(mark):
    """Processes of build steps, by a word of their command line."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            if mark.encode() in (folder / "cmdline").read_bytes() and "buildkit" in (folder / "cgroup").read_text():
                found.append(folder.name)
        except (OSError, ValueError):
            pass
    return found


def sleeper(mark):
    return {"method": "command", "output": "image", "base": BASE, "run": f"echo be''gun; sleep {mark}"}


def test_cancel_stops_the_step(world):
    name = world.add(sleeper(4321.5), {"x": "1"})
    world.wait_log(name, " begun")
    assert steps("4321.5")
    begun = time.monotonic()
    world.path(name, "cancel").write_text("a newer commit")
    settled = world.wait(name, 5)
    assert (settled["state"], settled["reason"]) == ("cancelled", "BuildCancelled")
    assert "a newer commit" in settled["message"]
    until(lambda: not steps("4321.5"), 2 - min(1.9, time.monotonic() - begun))


def test_timeout(world):
    begun = time.monotonic()
    name, settled = world.run(sleeper(4322.5), {"x": "2"}, timeout_ms=1500)
    assert (settled["state"], settled["reason"], settled["is_infrastructure"]) == ("failed", "BuildTimeout", False)
    assert time.monotonic() - begun < 6
    until(lambda: not steps("4322.5"), 2)


def test_two_at_once(world):
    names = [world.add(sleeper(f"3.{i}"), {"x": f"two{i}"}) for i in range(3)]
    until(lambda: sum("\n#4 begun" in world.log(name) for name in names) == 2, 10)
    assert sum(bool(steps(f"3.{i}")) for i in range(3)) == 2
    leased = [n for n in names if world.path(n, "leased").exists()]
    assert len(leased) == 2
    for name in names:
        assert world.wait(name)["state"] == "succeeded"


def test_controller_restart_in_the_middle(world):
    name = world.add({"method": "command", "output": "image", "base": BASE,
                      "run": "echo o''ne; sleep 2; echo two; sleep 1; echo three"}, {"x": "3"})
    world.wait_log(name, " one")
    world.controller.kill()
    time.sleep(1.2)
    world.start_controller()
    settled = world.wait(name)
    assert settled["state"] == "succeeded", world.explain(name)
    assert world.path(name, "opens").read_text() == "xx"
    log = world.log(name)
    lines = [line.split()[-1] for line in log.split("\n") if line.endswith((" one", " two", " three"))]
    assert lines == ["one", "two", "three"]
    assert settled["log_size"] == len(world.path(name, "log").read_bytes())
    hello = json.loads((world.jobs / "hello").read_text())
    assert [a["attempt"] for a in hello["attempts"]] == [name]
    assert hello["methods"] == ["command", "dockerfile", "image", "static"]


def test_settle_is_repeated(world):
    name = world.add({"method": "image", "output": "image", "base": BASE})
    world.path(name, "busy").write_text("")
    world.wait_log(name, "image sha256:")
    time.sleep(1.5)
    assert not world.path(name, "settled").exists()
    world.controller.kill()
    world.path(name, "busy").unlink()
    world.start_controller()
    assert world.wait(name)["state"] == "succeeded"


def test_lease_that_is_gone(world):
    name = world.add(sleeper(4323.5), {"x": "4"})
    world.wait_log(name, " begun")
    world.path(name, "gone").write_text("")
    until(lambda: not steps("4323.5"), 5)
    until(lambda: f"attempt={name}" in world.builder.log().split("attempt over")[-1], 5)
    assert not world.path(name, "settled").exists()
    # the slot is free again
    assert world.run({"method": "image", "output": "image", "base": BASE})[1]["state"] == "succeeded"


def test_attempt_not_kept_after_reconnect(world):
    name = world.add(sleeper(4324.5), {"x": "5"})
    world.wait_log(name, " begun")
    world.controller.kill()
    world.path(name, "gone").write_text("")
    world.start_controller()
    until(lambda: not steps("4324.5"), 8)
    assert not world.path(name, "settled").exists()


def test_stop_gives_the_attempt_back(world):
    name = world.add(sleeper(4325.5), {"x": "6"})
    world.wait_log(name, " begun")
    begun = time.monotonic()
    assert world.builder.stop(10) == 0
    assert time.monotonic() - begun < 4
    settled = json.loads(world.path(name, "settled").read_text())
    assert (settled["state"], settled["is_infrastructure"]) == ("failed", True)
    until(lambda: not steps("4325.5"), 2)


def test_stop_without_a_controller(world):
    name = world.add(sleeper(4326.5), {"x": "7"})
    world.wait_log(name, " begun")
    world.controller.kill()
    begun = time.monotonic()
    assert world.builder.stop(15) == 0
    assert time.monotonic() - begun < 10.5
    assert not steps("4326.5")


def test_killed_builder_leaves_nothing(world):
    name = world.add(sleeper(4327.5), {"x": "8"})
    world.wait_log(name, " begun")
    world.builder.kill()
    until(lambda: not steps("4327.5"), 3)
    assert (world.folder / "work/attempts" / name).exists()
    world.start_builder()
    assert world.run({"method": "image", "output": "image", "base": BASE})[1]["state"] == "succeeded"
    assert not (world.folder / "work/attempts" / name).exists()


def test_second_builder_in_the_same_folder_is_refused(world):
    assert world.run({"method": "image", "output": "image", "base": BASE})[1]["state"] == "succeeded"
    again = subprocess.run([*world.builder.process.args], capture_output=True, text=True, timeout=10)
    assert again.returncode == 1
    assert "taking the work folder" in again.stderr


def test_engine_away_is_infrastructure(bare_world):
    bare_world.start_controller()
    bare_world.start_builder(docker__socket=str(bare_world.folder / "none.sock"))
    _, settled = bare_world.run({"method": "image", "output": "image", "base": BASE})
    assert (settled["reason"], settled["is_infrastructure"]) == ("EngineUnavailable", True)
    _, settled = bare_world.run(sleeper(1), {"x": ""})
    assert (settled["reason"], settled["is_infrastructure"]) == ("EngineUnavailable", True)
    assert bare_world.builder.stop() == 0


def test_limits_of_source_and_site(bare_world):
    bare_world.start_controller()
    bare_world.start_builder(site__size_max="1Ki", source__entries_max=3)
    static = {"method": "static", "output": "site", "site": "."}
    assert bare_world.run(static, {"a": "x" * 2000})[1]["reason"] == "SiteTooLarge"
    image = {"method": "dockerfile", "output": "image"}
    _, settled = bare_world.run(image, {f"f{i}": "" for i in range(5)})
    assert (settled["reason"], "more than 3 files" in settled["message"]) == ("BuildFailed", True)
    site = {"method": "command", "output": "site", "base": BASE, "site": ".", "run": "yes | head -c 30000000 > big"}
    assert bare_world.run(site, {"a": "y"})[1]["reason"] == "SiteTooLarge"
    assert bare_world.builder.stop() == 0
