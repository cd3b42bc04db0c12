"""One installation of the real programs for all flow tests: own data folder, ports, names and networks.

EVENKEEL_BUILD names the build folder (default: build). What is left of the installation at the end fails the run.
"""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("gateway", "builder", "ssgen", "controller", "nginx", "haproxy")
SANITIZERS = ("ASAN", "TSAN", "UBSAN")
NUMBERS = 200
installations = []


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def claim_number():
    """A number that no other installation of a test run on this machine has, and the descriptor that keeps it so."""
    folder = Path(tempfile.gettempdir()) / "ekt-numbers"
    folder.mkdir(exist_ok=True)
    for i in range(NUMBERS):
        number = (os.getpid() + i) % NUMBERS
        fd = os.open(folder / str(number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number, fd
        except OSError:
            os.close(fd)
    raise AssertionError("no number is free")


def wait_for(fn, timeout=60, every=0.1, what=None):
    """The first true value of fn(); an exception of fn counts as not yet."""
    end = time.monotonic() + timeout
    last = None
    while time.monotonic() < end:
        try:
            last = fn()
            if last:
                return last
        except (OSError, AssertionError, KeyError, ValueError, subprocess.SubprocessError) as e:
            last = e
        time.sleep(every)
    raise AssertionError(f"{what or fn}: not within {timeout} s; last: {last!r}")


def start_time(pid):
    """Field 22 of /proc/PID/stat, or None for a process that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body or b"null")


class Straight(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def http(url, method="GET", headers=None, body=None, timeout=10):
    """Any status is an answer; redirects are not followed."""
    request = urllib.request.Request(url, method=method, headers=headers or {}, data=body)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Straight)
    try:
        with opener.open(request, timeout=timeout) as r:
            return Answer(r.status, r.headers, r.read())
    except urllib.error.HTTPError as e:
        with e:
            return Answer(e.code, e.headers, e.read())


class Evenkeel:
    """An installation, and what tests do with it."""

    wait_for = staticmethod(wait_for)

    def __init__(self):
        self.build = Path(os.environ.get("EVENKEEL_BUILD", ROOT / "build")).resolve()
        self.program = self.build / "cmd" / "evenkeel"
        self.number, self.number_fd = claim_number()
        self.prefix = f"ekt{self.number}-"
        # A /19 of its own out of 10.96.0.0/11, away from the default range, Docker's pools and other runs.
        self.network_range = f"10.{96 + self.number // 8}.{self.number % 8 * 32}.0/19"
        self.home = Path(tempfile.mkdtemp(prefix="ekt-"))
        self.home.chmod(0o711)  # nginx's workers are another user
        self.report_dir = self.home / "reports"
        self.report_dir.mkdir()
        self.reports_told = set()
        self.data = self.home / "data"
        self.http_port, self.api_port = free_port(), free_port()
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@localhost",
            **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")},
        }
        for name in SANITIZERS:  # each program writes its reports to a file NAME.PID of its own
            options = f"{name}_OPTIONS"
            self.env[options] = ":".join(filter(None, [self.env.get(options), f"log_path={self.report_dir / name.lower()}"]))
        installations.append(self)

    # ---- up and down

    def up(self, *args, check=True):
        return self.cli("up", "--background", "--data", self.data, "--http-port", self.http_port, "--api-port",
                        self.api_port, "--prefix", self.prefix, "--network-range", self.network_range, *args,
                        check=check, timeout=120)

    def down(self, *args, check=True):
        return self.cli("down", "--data", self.data, *args, check=check, timeout=700)

    # ---- what tests call

    def run(self, *args, check=True, timeout=60, input=None, cwd=None, env=None):
        args = [str(a) for a in args]
        done = subprocess.run(args, capture_output=True, text=True, timeout=timeout, input=input, cwd=cwd or self.home,
                              env={**self.env, **(env or {})}, start_new_session=True)
        if check and done.returncode != 0:
            raise AssertionError(f"{args}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def cli(self, *args, **kw):
        """The CLI with this installation's login; check=False to look at the exit code."""
        return self.run(self.program, *args, **kw)

    def git(self, *args, **kw):
        return self.run("git", *args, **{"timeout": 300, **kw})

    @property
    def api_url(self):
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def token(self):
        return (self.data / "token").read_text().strip()

    def api(self, method, path, json_body=None, token=None, headers=None, timeout=30):
        """An Answer; `path` is below /api/v1. `token` "" sends none."""
        headers = dict(headers or {})
        token = self.token if token is None else token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        body = None
        if json_body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(json_body).encode()
        return http(f"{self.api_url}/api/v1{path}", method, headers, body, timeout)

    def get(self, host, path="/", headers=None, timeout=10):
        """An Answer from an app, through the router. `host` without a dot is an app's name."""
        host = host if "." in host else f"{host}.localhost"
        return http(f"http://127.0.0.1:{self.http_port}{path}", headers={"Host": host, **(headers or {})}, timeout=timeout)

    def repository(self, files, name=None):
        """A new local repository with one commit of {path: text}; its folder."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name or 'repo'}-", dir=self.home))
        self.git("init", "-q", "-b", "main", ".", cwd=folder)
        self.commit(folder, files)
        return folder

    def commit(self, folder, files, message="change"):
        """{path: text, or None to remove it} as a commit; its id."""
        for path, text in files.items():
            file = Path(folder) / path
            if text is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.git("add", "-A", cwd=folder)
        self.git("commit", "-q", "--allow-empty", "-m", message, cwd=folder)
        return self.git("rev-parse", "HEAD", cwd=folder).stdout.strip()

    def git_url(self, app, project="default"):
        return f"{self.api_url}/git/{project}/{app}.git"

    # ---- processes

    def pid(self, name):
        """Of a program (see PROGRAMS) or "supervisor"; None when it does not run."""
        try:
            pid, started = (self.data / "run" / f"{name}.pid").read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if start_time(pid) == started else None

    def pids(self):
        return {name: self.pid(name) for name in PROGRAMS if self.pid(name)}

    def kill(self, name, number=signal.SIGKILL):
        """Sends the signal to one program; its pid, so that the next one can be told from it."""
        pid = self.pid(name)
        assert pid, f"{name} does not run"
        os.kill(pid, number)
        return pid

    def wait_pid(self, name, other_than=None, timeout=30):
        return wait_for(lambda: self.pid(name) not in (None, other_than) and self.pid(name), timeout, what=f"{name} runs")

    def log(self, name):
        path = self.data / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def new_reports(self):
        """What sanitizers have reported since the last call."""
        new = [path for path in sorted(self.report_dir.iterdir()) if path.name not in self.reports_told]
        self.reports_told.update(path.name for path in new)
        return [f"{path.name}: {path.read_text(errors='replace')[:6000]}" for path in new]

    # ---- what must not be left

    def containers(self):
        listed = self.run("docker", "ps", "-a", "--format", "{{.Names}}").stdout.split()
        return [name for name in listed if name.startswith(self.prefix)]

    def networks(self):
        listed = self.run("docker", "network", "ls", "--format", "{{.Name}}").stdout.split()
        return [name for name in listed if name.startswith(self.prefix)]

    def processes(self):
        """Command lines of this machine that name our data folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid() and start_time(entry.name):
                try:
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                except OSError:
                    continue
                if str(self.data) in line:
                    found.append(f"{entry.name} {line}")
        return found

    def close(self):
        """Ends it and says what is wrong with how it ended: a list, empty when all is well."""
        wrong = []
        done = self.down(check=False)
        if done.returncode != 0:
            wrong.append(f"down: exit code {done.returncode}: {done.stdout}{done.stderr}")
        for what, left in (("processes", self.processes()), ("containers", self.containers()), ("networks", self.networks())):
            if left:
                wrong.append(f"{what} are left: {left}")
        wrong += self.new_reports()
        if not wrong and not os.environ.get("EVENKEEL_KEEP"):
            shutil.rmtree(self.home, ignore_errors=True)
        installations.remove(self)
        os.close(self.number_fd)
        return wrong


@contextlib.contextmanager
def running(**env):
    """One more installation, with `env` in the environment of its `up`."""
    installation = Evenkeel()
    installation.env.update(env)
    try:
        subprocess.run([ROOT / "scripts" / "bases"], check=True, timeout=120)
        installation.up()
        installation.cli("git", "setup")
        yield installation
    finally:
        wrong = installation.close()
    assert not wrong, f"{installation.home}:\n" + "\n".join(wrong)


@pytest.fixture(scope="session")
def installation():
    """`with installation() as evenkeel:` is an installation of a test's own."""
    return running


@pytest.fixture(scope="session")
def evenkeel():
    with running() as one:
        yield one


@pytest.fixture(scope="module")
def another():
    """A second installation, not started."""
    one = Evenkeel()
    yield one
    wrong = one.close()
    assert not wrong, f"{one.home}:\n" + "\n".join(wrong)


@pytest.fixture(autouse=True)
def no_reports():
    """A sanitizer's report fails the test in which it was written."""
    yield
    new = [report for one in installations for report in one.new_reports()]
    assert not new, "\n".join(new)
