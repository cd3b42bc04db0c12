"""What bad input gets: a reason where the person looks, and nothing that served is touched."""
import time

import pytest

from conftest import http
from helpers import App, page_app, problem


@pytest.fixture(scope="module")
def app(evenkeel):
    app = App(evenkeel, "spoilt", page_app("good", "spoilt"))
    app.push()
    return app


@pytest.fixture(autouse=True)
def the_old_page_is_served(request):
    """Whatever is pushed here: afterwards the page is what it was, from the release that it was."""
    if "app" not in request.fixturenames:
        yield
        return
    app = request.getfixturevalue("app")
    before = (app.page(), app.live())
    yield
    assert (app.page(), app.live()) == before
    app.evenkeel.git("reset", "-q", "--hard", "HEAD~1", cwd=app.folder)


def branch(app):
    return app.evenkeel.git("ls-remote", app.evenkeel.git_url(app.name), "main").stdout.split()[0]


class TestSpec:
    """Refused before anything is recorded: the branch stays, nothing is built."""

    @pytest.mark.parametrize("spec, words", [
        ("app: spoilt\nbuild: {method: dockerfile}\nproceses: {web: {port: 8080}}\n", ("evenkeel.yaml:3", "proceses", "processes")),
        ("app: spoilt\nprocesses:\n  web:\n    port: 8080\n    replica: 2\n", ("evenkeel.yaml:5", "replica", "replicas")),
        ("app: spoilt\nprocesses: {web: {port: 80800}}\n", ("evenkeel.yaml:2", "port")),
        ("app: spoilt\nbuild: {timeout: soon}\n", ("evenkeel.yaml:2", "timeout")),
        ("app: spoilt\n  build: [\n", ("evenkeel.yaml:",)),
        ("app: spoilt\napp: twice\n", ("evenkeel.yaml:2", "app")),
        ("a: &a [x]\nb: *a\n", ("evenkeel.yaml:",)),
    ])
    def test_a_push_is_refused(self, app, spec, words):
        before, builds = branch(app), len(app.builds())
        app.commit({"evenkeel.yaml": spec})
        said = app.refused()
        for word in words:
            assert word in said, said
        assert branch(app) == before and len(app.builds()) == builds

    def test_a_host_that_is_taken(self, evenkeel, app):
        """Only the whole shows it: a condition, and the push fails."""
        other = App(evenkeel, "owner", page_app("owner", "owner", more="routes: [{host: mine.example.org}]\n"))
        other.push()
        app.commit(page_app("thief", "spoilt", more="routes: [{host: mine.example.org}]\n"))
        said = app.refused()
        assert "mine.example.org" in said and "is taken" in said, said
        assert app.first() == ("SpecValid", "HostTaken")
        assert evenkeel.get("mine.example.org").text == "owner\n"


class TestBuild:
    def test_a_dockerfile_that_does_not_build(self, app):
        before = branch(app)
        app.commit({"Dockerfile": "FROM evenkeel/busybox\nRUN echo what goes wrong here && exit 7\n"})
        said = app.refused()
        assert "what goes wrong here" in said and "exit code: 7" in said, said
        assert "failed" in said.splitlines()[-1] or "7" in said, said
        assert app.first() == ("BuildReady", "BuildFailed")
        assert branch(app) == before
        attempts, started = app.attempts(), time.monotonic()
        again = app.refused()
        assert time.monotonic() - started < 10
        assert app.attempts() == attempts, "it is remembered"
        assert "exit code: 7" in again, again

    @pytest.mark.parametrize("files, reason", [
        ({"Dockerfile": None}, "DockerfileMissing"),
        ({"Dockerfile": "FROM evenkeel/busybox\nFRMO x\n"}, "BuildFailed"),
        ({"Dockerfile": "FROM evenkeel/there-is-no-such-image\n"}, "BaseImageMissing"),
        ({"evenkeel.yaml": "app: spoilt\nbuild: {method: dockerfile, context: web}\n"}, None),
    ])
    def test_what_cannot_be_built(self, app, files, reason):
        app.commit(files)
        said = app.refused()
        assert "[remote rejected]" in said, said
        if reason:
            assert app.first() == ("BuildReady", reason)
        else:
            assert app.first() == ("SpecValid", "SpecInvalid") and "web" in said

    def test_a_repaired_commit_goes_on(self, evenkeel):
        app = App(evenkeel, "mended", page_app("x", "mended") | {"Dockerfile": "FROM evenkeel/busybox\nRUN false\n"})
        app.refused()
        app.commit(page_app("mended", "mended"))
        app.push()
        assert app.page() == "mended"
        assert evenkeel.git("ls-remote", evenkeel.git_url("mended"), "main").stdout


class TestHealth:
    DEPLOY = "deploy: {timeout: 4s, drain: 1s, stop: 1s}\n"

    def test_an_app_that_never_becomes_healthy(self, app):
        before = branch(app)
        app.commit(page_app("sick", "spoilt", check="path: /nothing-here", more=self.DEPLOY) | {
            "Dockerfile": 'FROM evenkeel/busybox\nCOPY www /www\nCMD echo my last words; exec httpd -f -p 8080 -h /www\n'})
        said = app.refused()
        assert "my last words" in said, said
        assert "404" in said and "/nothing-here" in said, said
        assert "rejected" in said, said
        release = app.json("/releases")["items"][0]
        assert release["state"] == "rejected"
        shown = app.json(f"/releases/{release['number']}")
        assert "404" in shown["evidence"]["instances"][0]["probe"] and "my last words" in shown["evidence"]["instances"][0]["log"]
        app.wait_first("Converged", "Rejected")
        assert branch(app) == before
        app.evenkeel.wait_for(lambda: not app.containers(release["number"]), what="the rejected instances are gone")
        rollouts, attempts, started = len(app.json("/rollouts")["items"]), app.attempts(), time.monotonic()
        again = app.refused()
        assert "rejected" in again and time.monotonic() - started < 4, again
        assert (len(app.json("/rollouts")["items"]), app.attempts()) == (rollouts, attempts), "it is remembered"

    def test_an_app_that_ends_at_once(self, app):
        app.commit(page_app("dead", "spoilt") | {
            "Dockerfile": 'FROM evenkeel/busybox\nCMD echo there is no database >&2; exit 3\n'})
        said = app.refused()
        assert "there is no database" in said and "exit code 3" in said, said
        assert app.json("/releases")["items"][0]["state"] == "rejected"

    def test_a_program_that_is_not_there(self, app):
        app.commit(page_app("dead", "spoilt", more=self.DEPLOY) | {"Dockerfile": 'FROM evenkeel/busybox\nCMD ["/no-such-program"]\n'})
        said = app.refused()
        assert "/no-such-program" in said, said

    def test_a_retry_is_possible(self, evenkeel):
        """What was rejected for a reason outside of the commit."""
        app = App(evenkeel, "moody", page_app("up", "moody", more=self.DEPLOY) | {
            "Dockerfile": 'FROM evenkeel/busybox\nCOPY www /www\nCMD test -z "$BROKEN" && exec httpd -f -p 8080 -h /www\n'})
        evenkeel.cli("env", "set", "-a", "moody", "BROKEN=1")
        app.refused()
        evenkeel.cli("env", "unset", "-a", "moody", "BROKEN")
        app.wait_page("up")


class TestApi:
    """Every refusal is a problem with a field, where one is to blame."""

    @pytest.mark.parametrize("name", ["Upper", "-x", "a_b", "", "x" * 64, "ä", "a b", "../x"])
    def test_names(self, evenkeel, name):
        body = problem(evenkeel.api("POST", "/projects/default/apps", {"app": name}), 400)
        assert body["field"] == "app" and body["hint"], body

    def test_a_name_that_is_taken(self, evenkeel, app):
        evenkeel.git("commit", "-q", "--allow-empty", "-m", "nothing", cwd=app.folder)
        problem(evenkeel.api("POST", "/projects/default/apps", {"app": app.name}), 409)

    def test_a_spec(self, evenkeel, app):
        evenkeel.git("commit", "-q", "--allow-empty", "-m", "nothing", cwd=app.folder)
        body = problem(app.api("PATCH", body={"spec": {"proceses": {}}}), 400)
        assert "proceses" in body["field"] and "processes" in body["hint"], body
        body = problem(app.api("PATCH", body={"spec": {"processes": {"web": {"replicas": -1}}}}), 400)
        assert body["field"].endswith("processes.web.replicas"), body
        body = problem(app.api("PATCH", "/env", {"set": {"A-B": "x"}}), 400)
        assert body["field"], body

    def test_refs_and_addresses(self, evenkeel):
        body = problem(evenkeel.api("POST", "/projects/default/apps", {"app": "reffed", "ref": "--upload-pack=x"}), 400)
        assert body["field"] == "ref", body
        for url in ("file:///etc", "ext::sh -c id", "nothing", "http://", "--upload-pack=x"):
            body = problem(evenkeel.api("POST", "/projects/default/repositories", {"repository": "bad", "url": url}), 400)
            assert body["field"] == "url", body
        body = problem(evenkeel.api("POST", "/projects/default/apps", {"app": "reffed", "repository": "none"}), 400)
        assert body["field"] == "repository" and "repos add" in body["hint"], body

    def test_what_is_not_there(self, evenkeel):
        for path in ("/nothing", "/projects/none", "/projects/default/apps/none", "/builds/none", "/projects/default/repositories/none",
                     "/projects/default/apps/none/explain"):
            problem(evenkeel.api("GET", path), 404)
        problem(evenkeel.api("PUT", "/projects"), 405)

    def test_bodies(self, evenkeel):
        def post(body, **headers):
            return http(f"{evenkeel.api_url}/api/v1/projects/default/apps", "POST",
                        {"Authorization": f"Bearer {evenkeel.token}", "Content-Type": "application/json", **headers}, body)
        for body in (b"", b"{", b"[]", b'{"app": 7}', b'{"app": "x\\u0000y"}', b"\xff", b"[" * 5000):
            problem(post(body), 400)
        assert post(b" " * (8 << 20)).status == 413
        problem(post(b"{}", Authorization="Bearer nothing"), 401)
        problem(post(b"{}", Authorization=""), 401)

    def test_nothing_crashed(self, evenkeel):
        """After all this the programs are those that were started."""
        before = evenkeel.pids()
        assert len(before) == 6
        problem(evenkeel.api("POST", "/projects/default/apps", {"app": "\u0000"}), 400)
        assert evenkeel.pids() == before


def test_pushes_that_are_none(evenkeel):
    """A branch nobody follows, a tag, a deletion, an app that does not exist."""
    app = App(evenkeel, "branchy", page_app("x", "branchy"))
    app.push()
    app.push("HEAD:refs/heads/other")
    app.push("HEAD:refs/tags/v1")
    assert "follows" in app.refused(":main")
    app.push(":refs/heads/other")
    done = evenkeel.git("push", evenkeel.git_url("not-there"), "HEAD:main", cwd=app.folder, check=False)
    assert done.returncode != 0 and "not found" in done.stderr.lower(), done.stderr
    assert app.page() == "x"
