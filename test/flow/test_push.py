"""From `git push` to a served page, without one failed request."""
import shutil
from pathlib import Path

import pytest

from conftest import ROOT
from helpers import App, Opener, WebSocket, Wrk, page_app, websocket_app

PUSHES = 10


def test_clone_edit_push(evenkeel):
    """A person clones what is hosted, changes a line and pushes; the push ends when the new page is served."""
    app = App(evenkeel, "cloned", page_app("first", "cloned"))
    first = app.push()
    assert app.page() == "first"
    assert "v1 is live" in first.remote
    folder = app.clone()
    assert (folder / "www/index.html").read_text() == "first\n"
    sha = evenkeel.commit(folder, {"www/index.html": "second\n"})
    second = app.push("main", folder=folder)
    assert app.page() == "second"
    for word in ("is queued", "runs on", "v2 is rolling out", "v2 is live"):
        assert word in second.remote, second.stderr
    assert evenkeel.git("ls-remote", evenkeel.git_url("cloned"), "main").stdout.split()[0] == sha
    assert app.live() == 2


def assert_undisturbed(wrk, opener):
    assert not wrk.failures, wrk.output
    assert not opener.failures, opener.failures[:10]
    assert wrk.requests > 1000 and opener.requests > 100, (wrk.requests, opener.requests)


@pytest.fixture(scope="module")
def websocket(evenkeel):
    app = websocket_app(evenkeel, "socket")
    app.push()
    return app


def test_ten_pushes_under_load(evenkeel, websocket):
    app = App(evenkeel, "loaded", page_app("page 0", "loaded", replicas=2))
    app.push()
    with WebSocket(evenkeel, "socket") as talk, Wrk(evenkeel, "loaded") as wrk, Opener(evenkeel, "loaded") as opener:
        for i in range(1, PUSHES + 1):
            app.commit({"www/index.html": f"page {i}\n"})
            app.push()
            assert {app.page() for _ in range(10)} == {f"page {i}"}
        answered = talk.answered
        evenkeel.wait_for(lambda: talk.failure or talk.answered > answered + 5)
    assert_undisturbed(wrk, opener)
    assert not talk.failure and talk.answered > 50, talk.failure
    assert app.live() == PUSHES + 1
    # An old page may be seen beside the new one while both are routed, but never after that.
    last = {page: i for i, page in enumerate(opener.pages)}
    assert list(last) == sorted(last, key=last.get) and list(last)[-1] == f"page {PUSHES}"
    evenkeel.wait_for(lambda: len(app.containers()) == 2, 90, what="old instances are gone")


def test_a_site_is_deployed_again_under_load(evenkeel):
    app = App(evenkeel, "sited")
    app.folder = evenkeel.repository({}, "sited")
    shutil.copytree(ROOT / "examples/site", app.folder, dirs_exist_ok=True)
    spec = Path(app.folder, "evenkeel.yaml")
    spec.write_text(spec.read_text().replace("app: site", "app: sited"))
    evenkeel.git("remote", "add", "origin", evenkeel.git_url("sited"), cwd=app.folder)
    app.commit({})
    app.push()
    assert "14 words" in app.page()
    with Wrk(evenkeel, "sited") as wrk, Opener(evenkeel, "sited") as opener:
        for i in range(1, 4):
            app.commit({"words.txt": "word " * i + "\n"})
            app.push()
            assert f"{i} words" in app.page()
            assert app.get("/words.txt").text == "word " * i + "\n"
    assert_undisturbed(wrk, opener)
