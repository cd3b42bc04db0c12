"""Repositories outside of Evenkeel: found by a webhook at once, and by asking again and again anyway."""
import hashlib
import hmac
import json

import pytest

from conftest import http
from helpers import App, GitServer, configure, page_app, problem

POLL = "interval: {fetch: 1s}\n"


@pytest.fixture(scope="module")
def server(evenkeel):
    server = GitServer(evenkeel)
    yield server
    server.stop()


class Outside:
    """A repository at the git server, known to Evenkeel under the same name."""

    def __init__(self, evenkeel, server, name, files):
        self.evenkeel, self.name = evenkeel, name
        self.folder = server.repository(name, files)
        self.known = json.loads(evenkeel.cli("repos", "add", name, server.url(name), "-o", "json").stdout)

    def push(self, files, *refs):
        sha = self.evenkeel.commit(self.folder, files)
        self.evenkeel.git("push", "-q", "--force", "origin", *(refs or ["HEAD:main"]), cwd=self.folder)
        return sha

    def app(self, name, *create):
        return App(self.evenkeel, name, None, "--repository", self.name, *create)

    def info(self):
        return self.evenkeel.api("GET", f"/projects/default/repositories/{self.name}").json

    def hook(self, body=b'{"any": "thing"}', secret=None, url=None, header="X-Hub-Signature-256", **headers):
        """A webhook's answer."""
        digest = hmac.new((secret or self.known["webhook"]["secret"]).encode(), body, hashlib.sha256).hexdigest()
        return http(url or self.known["webhook"]["url"], "POST",
                    {"Content-Type": "application/json", header: f"sha256={digest}", **headers}, body)


@pytest.fixture(scope="module")
def outside(evenkeel, server):
    return Outside(evenkeel, server, "outside", page_app("one", "hooked"))


class TestWebhook:
    """Remotes are asked every three minutes here, so what comes sooner comes from the webhook."""

    @pytest.fixture(scope="class")
    def app(self, outside):
        app = outside.app("hooked")
        app.wait_page("one")
        return app

    @pytest.mark.parametrize("header", ["X-Hub-Signature-256", "X-Evenkeel-Signature"])
    def test_it_brings_the_commit(self, evenkeel, outside, app, header):
        sha = outside.push({"www/index.html": f"by {header}\n"})
        answer = outside.hook(header=header)
        assert answer.status in (200, 202, 204), answer.text
        app.wait_page(f"by {header}", timeout=60)
        assert app.json()["live"]["commit"] == sha

    def test_a_wrong_signature(self, evenkeel, server, outside, app):
        outside.push({"www/index.html": "unsigned\n"})
        asked = len(server.server.requests)
        problem(outside.hook(secret="wrong"), 401)
        problem(outside.hook(header="X-Other"), 401)
        url = outside.known["webhook"]["url"]
        problem(http(url, "POST", {"X-Hub-Signature-256": "sha256="}, b"{}"), 401)
        problem(http(url, "POST", {"X-Hub-Signature-256": ""}, b"{}"), 401)
        assert server.server.requests[asked:] == []
        assert app.page() != "unsigned"
        evenkeel.cli("repos", "refresh", "outside")
        app.wait_page("unsigned")

    def test_an_unknown_repository(self, evenkeel, outside):
        unknown = outside.known["webhook"]["url"].rpartition("/")[0] + "/01ARZ3NDEKTSV4RRFFQ69G5FAV"
        answers = [problem(outside.hook(secret="wrong"), 401), problem(outside.hook(url=unknown), 401)]
        for answer in answers:
            del answer["id"]
        assert answers[0] == answers[1], "a stranger must not learn which one is there"

    def test_a_body_that_is_no_json_is_signed_all_the_same(self, outside, app):
        outside.push({"www/index.html": "form\n"})
        assert outside.hook(b"payload=%7B%7D").status in (200, 202, 204)
        app.wait_page("form")


@pytest.fixture(scope="module")
def polling(evenkeel):
    configure(evenkeel, "controller", POLL)


@pytest.mark.usefixtures("polling")
class TestPolling:
    @pytest.fixture(scope="class")
    def source(self, evenkeel, server):
        return Outside(evenkeel, server, "polled", page_app("one", "followed"))

    @pytest.fixture(scope="class")
    def app(self, source):
        app = source.app("followed")
        app.wait_page("one")
        return app

    def test_a_branch_that_moves(self, source, app):
        sha = source.push({"www/index.html": "two\n"})
        app.wait_page("two")
        assert app.json()["live"]["commit"] == sha

    def test_a_branch_that_moves_back(self, evenkeel, source, app):
        attempts = app.attempts()
        evenkeel.git("push", "-q", "--force", "origin", "HEAD~1:main", cwd=source.folder)
        app.wait_page("one")
        app.wait_live(1)
        assert app.attempts() == attempts
        evenkeel.git("push", "-q", "--force", "origin", "HEAD:main", cwd=source.folder)
        app.wait_page("two")

    @pytest.mark.parametrize("kind", ["plain", "annotated"])
    def test_a_tag(self, evenkeel, source, app, kind):
        page, name = f"tagged {kind}", f"tag-{kind}"
        sha = source.push({"www/index.html": f"{page}\n"}, f"HEAD:refs/heads/{name}-branch")
        evenkeel.git("tag", *(["-a", "-m", "a tag"] if kind == "annotated" else []), name, cwd=source.folder)
        evenkeel.git("push", "-q", "origin", name, cwd=source.folder)
        tagged = source.app(name, "--ref", name)
        tagged.wait_page(page)
        assert tagged.json()["live"]["commit"] == sha
        source.push({"www/index.html": "moved on\n"})
        app.wait_page("moved on")
        assert tagged.page() == page

    def test_a_ref_that_is_missing(self, source, app):
        early = source.app("early", "--ref", "not-there-yet")
        link = early.wait_first("SourceReady", "RefNotFound")
        assert "not-there-yet" in link["message"]
        source.push({"www/index.html": "came late\n"}, "HEAD:refs/heads/not-there-yet")
        early.wait_page("came late")
        assert early.explain()["ok"]

    def test_a_ref_that_goes_away(self, evenkeel, source, app):
        """What is live stays."""
        source.push({"www/index.html": "short\n"}, "HEAD:refs/heads/short")
        short = source.app("short", "--ref", "short")
        short.wait_page("short")
        evenkeel.git("push", "-q", "--delete", "origin", "short", cwd=source.folder)
        short.wait_first("SourceReady", "RefNotFound")
        assert short.page() == "short"
        evenkeel.git("push", "-q", "origin", "HEAD:refs/heads/short", cwd=source.folder)
        evenkeel.wait_for(lambda: short.explain()["ok"], 60)

    def test_a_remote_that_is_down(self, evenkeel, server, source, app):
        before = app.page()
        with server.away():
            link = app.wait_first("SourceReady", "RemoteUnreachable")
            assert str(server.port) in link["message"] and link["next_try_at"]
            assert source.info()["error_reason"] == "RemoteUnreachable"
            assert app.page() == before
            evenkeel.cli("env", "set", "-a", "followed", "X=1")  # what was seen of it is enough to go on
            evenkeel.wait_for(lambda: app.json()["live"] and app.json()["generation"] == 2 and app.first() ==
                              ("SourceReady", "RemoteUnreachable") and any(
                                  r["generation"] == 2 and r["state"] == "live" for r in app.json("/releases")["items"]), 60)
        source.push({"www/index.html": "back again\n"})
        app.wait_page("back again", timeout=90)
        evenkeel.wait_for(lambda: app.explain()["ok"])
        assert source.info()["error_reason"] is None

    def test_a_repository_that_is_not_there(self, evenkeel, server):
        evenkeel.cli("repos", "add", "nowhere", server.url("nowhere"))
        app = App(evenkeel, "nowhere", None, "--repository", "nowhere")
        link = app.wait_first("SourceReady", "RepositoryNotFound")
        assert server.url("nowhere") in link["message"]
