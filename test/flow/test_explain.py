"""`evenkeel explain` names the first link that does not hold."""
import json
import subprocess

import pytest

from helpers import App, GitServer, frozen, page_app, without


def explained(app, name, reason, timeout=60):
    """Waits for it in the API; then the CLI has to say the same, with exit code 3. The link."""
    link = app.wait_first(name, reason, timeout)
    done = app.evenkeel.cli("explain", app.name, check=False)
    assert done.returncode == 3 and reason in done.stdout and name in done.stdout, done.stdout + done.stderr
    whole = json.loads(app.evenkeel.cli("explain", app.name, "-o", "json", check=False).stdout)
    assert whole["first"]["reason"] == reason and whole["ok"] is False
    for before in whole["links"]:  # those before it hold, or are not known
        if before["name"] == name:
            break
        assert before["holds"] is not False, before
    assert link["since"] and link["observed_at"] and link["message"], link
    return link


def assert_all_well(app, timeout=60):
    app.evenkeel.wait_for(lambda: app.explain()["ok"], timeout, what=f"all is well with {app.name}, is {app.first()}")
    done = app.evenkeel.cli("explain", app.name)
    assert "as it should be" in done.stdout


def asynchronous_push(app):
    """A push that nobody waits for: what it wants is recorded."""
    return subprocess.Popen(["git", "push", "origin", "HEAD:main"], cwd=app.folder, env=app.evenkeel.env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def app(evenkeel):
    app = App(evenkeel, "explained", page_app("one", "explained"))
    app.push()
    assert_all_well(app)
    return app


def change(app, page):
    app.commit({"www/index.html": page + "\n"})
    return asynchronous_push(app)


def finish(push):
    _, said = push.communicate(timeout=120)
    assert push.returncode == 0, said


def test_nothing_pushed(evenkeel):
    app = App(evenkeel, "unpushed")
    link = explained(app, "SourceReady", "RefNotFound")
    assert evenkeel.git_url("unpushed") in link["message"]


def test_repository_unreachable_and_ref_missing(evenkeel):
    server = GitServer(evenkeel)
    server.repository("sources", page_app("x", "sources"))
    evenkeel.cli("repos", "add", "sources", server.url("sources"))
    missing = App(evenkeel, "refless", None, "--repository", "sources", "--ref", "nope")
    assert "`nope`" in explained(missing, "SourceReady", "RefNotFound")["message"]
    server.stop()
    app = App(evenkeel, "unreached", None, "--repository", "sources")
    link = explained(app, "SourceReady", "RemoteUnreachable")
    assert str(server.port) in link["message"] and link["next_try_at"], link


def test_no_builder(evenkeel, app):
    with without(evenkeel, "builder"):
        push = change(app, "no builder")
        link = explained(app, "BuildReady", "NoBuilder")
        assert "no builder is connected" in link["message"], link
        assert app.page() == "one"
    finish(push)
    assert app.page() == "no builder"
    assert_all_well(app)


def test_build_failed(evenkeel):
    app = App(evenkeel, "unbuilt", page_app("x", "unbuilt") | {"Dockerfile": "FROM evenkeel/busybox\nRUN exit 9\n"})
    app.refused()
    assert "9" in explained(app, "BuildReady", "BuildFailed")["message"]


def test_probe_failing(evenkeel):
    app = App(evenkeel, "unready", page_app("x", "unready", check="path: /nowhere", more="deploy: {timeout: 30s}\n"))
    push = asynchronous_push(app)
    link = explained(app, "InstancesReady", "ProbeFailing")
    assert "/nowhere" in link["message"] and "404" in link["message"], link
    app.commit(page_app("x", "unready"))
    app.push()
    assert_all_well(app)
    assert push.wait(60) != 0, "its commit was superseded"


def test_router_not_acknowledging(evenkeel, app):
    """Nothing of the old release is stopped before the router has the new one."""
    old = set(app.containers())
    with frozen(evenkeel, "haproxy"):
        push = change(app, "routed late")
        link = explained(app, "RouteAcked", "RouterNotAcked")
        assert link["next_try_at"], link
        assert old <= set(app.containers())
    finish(push)
    assert app.page() == "routed late"
    assert_all_well(app)


def test_image_not_to_be_had(evenkeel):
    """An app of an image by name, which no registry has."""
    done = evenkeel.api("POST", "/projects/default/apps", {"app": "pulled", "spec": {
        "build": {"method": "image", "base": "127.0.0.1:9/nobody/has-this:1"}, "processes": {"web": {"port": 8080}}}})
    assert done.status == 201, done.text
    app = App.of(evenkeel, "pulled")
    link = explained(app, "BuildReady", "BaseImageMissing")
    assert "127.0.0.1:9/nobody/has-this" in link["message"], link
    evenkeel.cli("apps", "destroy", "pulled", "--yes")


def image_of(app):
    """By Docker's word: an artifact that was built again keeps its digest, whatever image it is by now."""
    return app.evenkeel.run("docker", "inspect", "--format", "{{.Image}}", app.containers()[0]).stdout.strip()


def remove_image(app):
    """Image and containers, by hand; the controller would make the containers again before the image is gone."""
    image = image_of(app)
    with frozen(app.evenkeel, "controller"):
        app.evenkeel.run("docker", "rm", "-f", *app.containers())
        app.evenkeel.run("docker", "rmi", "-f", image)


def image_is_missed(app):
    """Further on in the chain; building it again comes first."""
    link = next(x for x in app.explain()["links"] if x["name"] == "ImagePresent")
    return link["reason"] == "ImageMissing" and link["holds"] is False and link["message"]


def test_image_missing(evenkeel, app):
    page, attempts = app.page(), app.attempts()
    with frozen(evenkeel, "builder"):
        remove_image(app)
        link = explained(app, "BuildReady", "ImageMissing")
        assert "gone" in link["message"], link
        evenkeel.wait_for(lambda: image_is_missed(app))
    app.wait_page(page)
    assert_all_well(app)
    assert app.attempts() == attempts + 1
    assert any(e["reason"] == "ImageMissing" for e in app.events())


def test_image_missing_and_no_builder(evenkeel, app):
    page = app.page()
    with without(evenkeel, "builder"):
        remove_image(app)
        explained(app, "BuildReady", "NoBuilder")
        evenkeel.wait_for(lambda: image_is_missed(app))
    app.wait_page(page)
    assert_all_well(app)


def test_image_missing_of_a_held_app(evenkeel, app):
    """A hold keeps the app where it is; that includes bringing it back there."""
    page = app.page()
    evenkeel.cli("hold", app.name)
    remove_image(app)
    app.wait_page(page, 90)
    evenkeel.cli("resume", app.name)
    assert_all_well(app)
    assert app.page() == page


def test_held(evenkeel, app):
    evenkeel.cli("hold", app.name, "--message", "until Monday")
    link = explained(app, "Held", "Held")
    assert "until Monday" in link["message"]
    evenkeel.cli("resume", app.name)
    assert_all_well(app)
