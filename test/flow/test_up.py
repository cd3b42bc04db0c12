"""`evenkeel up`: what it starts, keeps running, and finds again."""
import json
import os
import signal
import stat

import pytest


def test_everything_runs(evenkeel):
    for name in ("controller", "gateway", "builder", "ssgen", "haproxy", "nginx"):
        assert evenkeel.wait_pid(name), name


def test_system_answers_without_a_token(evenkeel):
    answer = evenkeel.api("GET", "/system", token="")
    assert answer.status == 200
    assert answer.json["domain"] == "localhost"
    assert answer.json["http_port"] == evenkeel.http_port


def test_a_call_needs_the_token(evenkeel):
    assert evenkeel.api("GET", "/projects", token="").status == 401
    assert evenkeel.api("GET", "/projects", token="wrong").status == 401
    assert evenkeel.api("GET", "/projects").status == 200


def test_secrets_are_closed(evenkeel):
    for path in (evenkeel.data / "token", evenkeel.home / ".config/evenkeel/config.yaml"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_cli_is_logged_in(evenkeel):
    assert [p["name"] for p in json.loads(evenkeel.cli("projects", "-o", "json").stdout)] == ["default"]


def test_a_second_up_is_refused(evenkeel):
    before = evenkeel.pids()
    done = evenkeel.up(check=False)
    assert done.returncode == 5
    assert "runs already" in done.stderr and "→" in done.stderr
    assert evenkeel.pids() == before


@pytest.mark.parametrize("name", ["gateway", "builder", "ssgen", "controller", "nginx", "haproxy"])
def test_a_killed_program_comes_back(evenkeel, name):
    evenkeel.wait_pid(name)
    others = {k: v for k, v in evenkeel.pids().items() if k != name}
    old = evenkeel.kill(name)
    evenkeel.wait_pid(name, other_than=old)
    assert {k: v for k, v in evenkeel.pids().items() if k != name} == others
    evenkeel.wait_for(lambda: evenkeel.api("GET", "/projects").status == 200)
    evenkeel.wait_for(lambda: evenkeel.get("nobody").status == 404)


def test_programs_outlive_their_supervisor(evenkeel):
    before = evenkeel.pids()
    os.kill(evenkeel.pid("supervisor"), signal.SIGKILL)
    assert evenkeel.api("GET", "/projects").status == 200
    evenkeel.wait_for(lambda: evenkeel.pid("supervisor") is None)
    evenkeel.up()
    assert evenkeel.pids() == before
    old = evenkeel.kill("gateway")  # adopted, and watched all the same
    evenkeel.wait_pid("gateway", other_than=old)
    evenkeel.wait_for(lambda: evenkeel.api("GET", "/projects").status == 200)


def test_a_folder_that_nginx_cannot_reach_is_refused(another):
    closed = another.home / "closed"
    closed.mkdir(mode=0o700)
    another.data = closed / "data"
    done = another.up(check=False)
    another.data = another.home / "data"
    assert done.returncode == 1
    assert f"{closed} is closed" in done.stderr and "chmod o+x" in done.stderr


def test_errors_say_what_to_do(evenkeel):
    done = evenkeel.cli("apps", "info", "nothing-here", check=False)
    assert done.returncode == 4
    assert done.stderr.startswith("evenkeel: ")
    done = evenkeel.cli("apps", "list", check=False, env={"EVENKEEL_TOKEN": "wrong", "EVENKEEL_URL": evenkeel.api_url})
    assert done.returncode == 1
    assert "evenkeel login" in done.stderr


def test_stopped_and_started_again_it_is_the_same(evenkeel):
    token = evenkeel.token
    evenkeel.down()
    assert not evenkeel.processes()
    evenkeel.up()
    assert evenkeel.token == token
    assert evenkeel.api("GET", "/projects").status == 200
