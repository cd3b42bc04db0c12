"""What is wanted is found by its content: going back finds the earlier build and the earlier release."""
import pytest

from helpers import App, page_app

# The page is made of what the app was given at its start.
COLOUR = {
    "Dockerfile": """FROM evenkeel/busybox
CMD mkdir -p /tmp/www && echo "$COLOUR $MOOD" >/tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www
""",
    "evenkeel.yaml": """app: colour
build: {method: dockerfile}
env: {COLOUR: red, MOOD: good}
processes: {web: {port: 8080, check: {path: /}}}
""",
}


def test_by_force_push(evenkeel):
    app = App(evenkeel, "forced", page_app("A", "forced"))
    a = evenkeel.git("rev-parse", "HEAD", cwd=app.folder).stdout.strip()
    app.push()
    app.commit({"www/index.html": "B\n"})
    app.push()
    assert (app.page(), app.live(), app.attempts()) == ("B", 2, 2)
    done = app.push(f"{a}:main", "--force")
    assert (app.page(), app.live(), app.attempts()) == ("A", 1, 2)
    assert "is queued" not in done.remote and "v1 is live" in done.remote
    assert len(app.builds()) == 2
    assert [r["release"] for r in app.json("/rollouts")["items"]] == [1, 2, 1]
    assert evenkeel.git("ls-remote", evenkeel.git_url("forced"), "main").stdout.split()[0] == a
    app.commit({"www/index.html": "C\n"})
    app.push("HEAD:main", "--force")
    assert (app.page(), app.live()) == ("C", 3)


@pytest.fixture(scope="module")
def colour(evenkeel):
    app = App(evenkeel, "colour", COLOUR)
    app.push()
    assert app.page() == "red good"
    return app


def test_by_env(evenkeel, colour):
    first = colour.live()
    evenkeel.cli("env", "set", "-a", "colour", "COLOUR=blue")
    colour.wait_page("blue good")
    assert colour.live() != first
    evenkeel.cli("env", "set", "-a", "colour", "COLOUR=red")
    colour.wait_live(first)
    assert colour.page() == "red good"
    assert colour.attempts() == 1, "a setting never builds"
    evenkeel.cli("env", "unset", "-a", "colour", "COLOUR")  # the repository says red as well
    colour.evenkeel.wait_for(lambda: colour.explain()["ok"])
    assert (colour.page(), colour.live()) == ("red good", first)


def test_by_the_repositorys_spec(colour):
    """The third push is a new commit with the first one's tree."""
    first, before = colour.live(), colour.attempts()
    colour.commit({"evenkeel.yaml": COLOUR["evenkeel.yaml"].replace("good", "bad")})
    colour.push()
    assert colour.page() == "red bad"
    built = colour.attempts()
    assert built <= before + 1
    colour.commit({"evenkeel.yaml": COLOUR["evenkeel.yaml"]})
    colour.push()
    assert (colour.page(), colour.live(), colour.attempts()) == ("red good", first, built)


def test_by_scale(evenkeel, colour):
    first, before = colour.live(), colour.attempts()
    evenkeel.cli("scale", "-a", "colour", "web=3")
    evenkeel.wait_for(lambda: colour.live() != first and len(colour.containers(colour.live())) == 3, 60)
    evenkeel.cli("scale", "-a", "colour", "web=1")
    colour.wait_live(first)
    assert colour.attempts() == before
    assert colour.page() == "red good"


class TestRollback:
    @pytest.fixture(scope="class")
    def app(self, evenkeel):
        app = App(evenkeel, "rolled", page_app("one", "rolled"))
        app.push()
        app.commit({"www/index.html": "two\n"})
        app.push()
        assert app.page() == "two"
        return app

    def test_it_goes_to_the_release_before(self, evenkeel, app):
        evenkeel.cli("rollback", "-a", "rolled", "--wait")
        assert (app.page(), app.live(), app.attempts()) == ("one", 1, 2)
        assert app.first() == ("Held", "RolledBack")
        assert app.json()["hold"]["reason"] == "RolledBack"

    def test_no_loop_undoes_it(self, evenkeel, app):
        """Every loop is made to look again: at a start all do, and a deploy asks for it."""
        old = evenkeel.kill("controller")
        evenkeel.wait_pid("controller", other_than=old)
        seq = app.api("POST", "/deploy", {}).json["seq"]
        assert any(e["reason"] == "DeployAsked" for e in app.events() if e["seq"] > seq)
        done = evenkeel.cli("wait", "rolled", check=False)
        assert done.returncode in (0, 5) and (app.page(), app.live()) == ("one", 1)
        assert app.first() == ("Held", "RolledBack")

    def test_resume_goes_on(self, evenkeel, app):
        evenkeel.cli("resume", "rolled")
        app.wait_page("two")
        assert (app.live(), app.attempts()) == (2, 2)
        evenkeel.wait_for(lambda: app.explain()["ok"])

    def test_a_named_release_and_a_new_commit(self, evenkeel, app):
        evenkeel.cli("rollback", "v1", "-a", "rolled", "--wait")
        assert app.page() == "one"
        app.commit({"www/index.html": "three\n"})
        app.push()
        assert (app.page(), app.live()) == ("three", 3)
        assert app.json()["hold"] is None
        assert app.first() is None

    def test_a_hold_keeps_new_commits_back(self, evenkeel, app):
        evenkeel.cli("hold", "rolled", "--message", "no changes on Friday")
        app.commit({"www/index.html": "four\n"})
        done = app.push()
        assert "no changes on Friday" in done.remote
        assert app.page() == "three"
        assert app.first() == ("Held", "Held")
        evenkeel.cli("resume", "rolled")
        app.wait_page("four")

    def test_what_is_not_there(self, evenkeel, app):
        done = evenkeel.cli("rollback", "v99", "-a", "rolled", check=False)
        assert done.returncode != 0 and "v99" in done.stderr
        fresh = App(evenkeel, "fresh")
        answer = fresh.api("POST", "/rollback", {})
        assert answer.status == 409, answer.text
