"""evenkeel-ssgen against the controller's side of the link: what it unpacks, reports, retries and cleans."""
import hashlib
import io
import json
import os
import pathlib
import queue
import signal
import subprocess
import tarfile
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("EVENKEEL_BUILD", ROOT / "build"))


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


class Controller:
    """The stand-in's process, its list of wanted sites and what it was told."""

    def __init__(self, folder):
        self.folder, self.sites, self.told, self.process = folder, [], queue.Queue(), None
        (folder / "archives").mkdir()
        self.want()

    def start(self):
        (self.folder / "link.sock").unlink(missing_ok=True)
        self.process = subprocess.Popen([BUILD / "test/flow/sites-driver", self.folder], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self.read, args=(self.process,), daemon=True).start()

    def read(self, process):
        for line in process.stdout:
            self.told.put(json.loads(line))

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0

    def add(self, data, digest=None):
        digest = digest or hashlib.sha256(data).hexdigest()
        (self.folder / "archives" / digest).write_bytes(data)
        self.want(digest, len(data))
        return digest

    def want(self, digest=None, size=0, wanted=True):
        if digest:
            self.sites = [s for s in self.sites if s["digest"] != f"sha256:{digest}"]
            self.revision = getattr(self, "revision", 0) + 1
            self.sites.append({"digest": f"sha256:{digest}", "size": size, "wanted": wanted, "revision": self.revision})
        beside = self.folder / "wanted.new"
        beside.write_text(json.dumps(self.sites))
        beside.rename(self.folder / "wanted.json")

    def moved(self):
        self.process.stdin.write(json.dumps({"revision": self.revision}) + "\n")
        self.process.stdin.flush()

    def wait_for(self, method, holds=lambda params: True):
        deadline = time.time() + 10
        while True:
            told = self.told.get(timeout=max(0.01, deadline - time.time()))
            if told["method"] == method and holds(told["params"]):
                return told["params"]


@pytest.fixture
def controller(tmp_path):
    controller = Controller(tmp_path)
    controller.start()
    yield controller
    if controller.process.poll() is None:
        controller.stop()


@pytest.fixture
def agent(tmp_path, controller):
    agent = Agent(tmp_path)
    agent.start()
    yield agent
    agent.stop()


class Agent:
    def __init__(self, folder):
        self.folder, self.root, self.process = folder, folder / "sites", None
        (folder / "ssgen.yaml").write_text(
            f"controller: {{address: 'unix:{folder}/link.sock'}}\nroot: {self.root}\nname: test\n"
            f"nginx: {{conf: {folder}/nginx.conf, listen: {folder}/nginx.sock}}\n"
            "retry: {first: 300ms, max: 2s}\nsite: {archive_max: 1Mi, bytes_max: 2Mi, entries_max: 100}\n")

    def start(self):
        self.process = subprocess.Popen([BUILD / "cmd/evenkeel-ssgen", "-c", self.folder / "ssgen.yaml"])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0

    def text(self, digest, name="index.html"):
        return (self.root / digest / name).read_text()


def has(digest, member="digests"):
    return lambda params: f"sha256:{digest}" in params[member]


def failed(digest):
    return lambda params: any(f["digest"] == f"sha256:{digest}" for f in params["failed"])


def test_sites_come_and_go(controller, agent):
    controller.wait_for("sites.serving", lambda p: p["complete"] and p["digests"] == [])
    one = controller.add(archive({"index.html": "one"}))
    controller.moved()
    told = controller.wait_for("sites.serving", lambda p: has(one)(p) or failed(one)(p))
    assert has(one)(told) and not told["failed"]
    assert agent.text(one) == "one"
    controller.want(one, wanted=False)
    controller.moved()
    controller.wait_for("sites.serving", has(one, "removed"))
    assert not (agent.root / one).exists() and not list((agent.root / ".trash").iterdir())


def test_large_archive_and_many_pages(controller, agent):
    controller.wait_for("sites.serving")
    big = controller.add(archive({"index.html": "big", "noise": os.urandom(450_000).hex()}))
    for i in range(520):
        controller.want(hashlib.sha256(b"%d" % i).hexdigest(), wanted=False)
    last = controller.add(archive({"index.html": "last"}))
    controller.moved()
    controller.wait_for("sites.serving", has(last))
    assert (agent.text(big), agent.text(last)) == ("big", "last")


def test_broken_ones_are_named_and_others_go_on(controller, agent):
    controller.wait_for("sites.serving")
    escape = controller.add(archive({"../escape": "x"}))
    text = controller.add(b"this is no archive")
    wrong = controller.add(archive({"index.html": "other"}), digest="d" * 64)
    bomb = controller.add(archive({"zeros": "0" * 3_000_000}))
    good = controller.add(archive({"index.html": "good"}))
    controller.moved()
    report = controller.wait_for("sites.serving", has(good))
    reasons = {f["digest"].removeprefix("sha256:"): f["reason"] for f in report["failed"]}
    assert reasons == {escape: "ArchiveInvalid", text: "ArchiveInvalid", wrong: "DigestMismatch", bomb: "TooLarge"}
    assert agent.text(good) == "good"
    assert sorted(p.name for p in agent.root.iterdir() if not p.name.startswith(".")) == [good]
    assert not list((agent.root / ".incoming").iterdir())
    assert not (agent.root.parent / "escape").exists()


def test_failed_ones_are_tried_again_ever_more_rarely(controller, agent):
    controller.wait_for("sites.serving")
    data = archive({"index.html": "late"})
    late = hashlib.sha256(data).hexdigest()
    controller.want(late, len(data))  # the archive is not there yet
    controller.moved()
    times = []
    for _ in range(3):
        controller.wait_for("sites.serving", failed(late))
        times.append(time.time())
    assert times[2] - times[1] > 0.5 and times[1] - times[0] > 0.25
    (controller.folder / "archives" / late).write_bytes(data)
    controller.wait_for("sites.serving", has(late))
    assert agent.text(late) == "late"


def test_after_a_lost_link_everything_is_reported(controller, agent):
    controller.wait_for("sites.serving")
    one = controller.add(archive({"index.html": "one"}))
    controller.moved()
    controller.wait_for("sites.serving", has(one))
    controller.stop()
    two = controller.add(archive({"index.html": "two"}))
    controller.start()
    report = controller.wait_for("sites.serving", lambda p: p["complete"])
    assert sorted(report["digests"]) == sorted([f"sha256:{one}", f"sha256:{two}"])
    assert report["revision"] == controller.revision
    controller.moved()


def test_a_killed_agent_goes_on_where_it_was(controller, agent):
    one = controller.add(archive({"index.html": "one"}))
    controller.moved()
    controller.wait_for("sites.serving", has(one))
    deadline = time.time() + 5
    while json.loads((agent.root / ".revision").read_text() if (agent.root / ".revision").exists() else '{"revision": 0}')["revision"] < 1:
        assert time.time() < deadline
        time.sleep(0.02)
    agent.process.kill()
    agent.process.wait()
    (agent.root / ".incoming" / "half.tmp").mkdir()
    (agent.root / ".trash" / "old").mkdir()
    while not controller.told.empty():
        controller.told.get()
    agent.start()
    assert controller.wait_for("sites.wanted")["after"] == controller.revision
    assert controller.wait_for("sites.serving", lambda p: p["complete"])["digests"] == [f"sha256:{one}"]
    assert not list((agent.root / ".incoming").iterdir()) and not list((agent.root / ".trash").iterdir())
    # without its revision it starts from the beginning, and fetches nothing twice
    agent.process.kill()
    agent.process.wait()
    (agent.root / ".revision").write_text("{broken")
    agent.start()
    assert controller.wait_for("sites.wanted", lambda p: p["after"] == 0)
    assert controller.told.get(timeout=5)["method"] != "site.fetch"
