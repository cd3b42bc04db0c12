"""Every method with every output, and every way in which a build of a tenant can fail."""
import json
import re

import pytest

from conftest import BASE, docker


def dockerfile(text, **more):
    return {"method": "dockerfile", "output": "image", "context": ".", "dockerfile": "Dockerfile", **more}, {
        "Dockerfile": text}


def run_in(image, *command):
    return docker("run", "--rm", "--network=none", image, *command)


def test_dockerfile_image(world):
    build, files = dockerfile(f"FROM {BASE}\nARG WHO=nobody\nWORKDIR /srv\nCOPY . .\n"
                              "RUN echo hello $WHO > greeting && echo to-the-log\n", args={"WHO": "me $x \"q\""})
    name, settled = world.run(build, {**files, "a.txt": "content"})
    assert settled["state"] == "succeeded", world.explain(name)
    artifact = settled["artifact"]
    assert artifact["kind"] == "image"
    assert re.fullmatch("sha256:[0-9a-f]{64}", artifact["digest"])
    assert artifact["ref"] == artifact["digest"]
    assert artifact["size"] > 1000000
    assert run_in(f"builder-test/out:{name}", "cat", "/srv/greeting", "/srv/a.txt") == 'hello me $x "q"\ncontent'
    seen = json.loads(docker("inspect", artifact["ref"]))[0]
    assert seen["Config"]["Labels"]["sh.evenkeel.project"] == "default"
    assert seen["Config"]["Labels"]["sh.evenkeel.app"] == "shop"
    log = world.log(name)
    assert "to-the-log" in log and "RUN echo hello" in log
    assert settled["log_size"] == len(world.path(name, "log").read_bytes())


def test_dockerfile_elsewhere_with_dockerignore(world):
    build, _ = dockerfile("", dockerfile="docker/Web")
    files = {"docker/Web": f"FROM {BASE}\nCOPY . /x\nRUN ls -R /x\n", ".dockerignore": "secret\n**/*.log\n!keep.log\n",
             "secret": "s", "keep.log": "k", "sub/a.log": "l", "sub/b": "b", "link": ("link", "sub/b")}
    name, settled = world.run(build, files)
    assert settled["state"] == "succeeded", world.explain(name)
    image = settled["artifact"]["ref"]
    assert run_in(image, "sh", "-c", "cd /x; ls; ls sub; cat link") == "docker\nkeep.log\nlink\nsub\nb\nb"


def test_dockerfile_site(world):
    build, files = dockerfile(f"FROM {BASE}\nWORKDIR /w\nRUN mkdir -p out/sub && echo hi > out/index.html && "
                              "echo x > out/sub/x && ln -s /etc/passwd out/evil\n", output="site", site="out")
    name, settled = world.run(build, files)
    assert settled["state"] == "succeeded", world.explain(name)
    assert settled["artifact"]["kind"] == "site"
    assert world.site(name) == {"index.html": "hi\n", "sub/x": "x\n"}
    assert "1 links or special files" in world.log(name)
    # the image and the container were only a way to get there
    assert docker("images", "-q", "evenkeel-build/site") == ""
    assert docker("ps", "-aq", "--filter", "label=sh.evenkeel.builder=builder-test") == ""


def test_site_in_a_linked_folder(world):
    build, files = dockerfile(f"FROM {BASE}\nRUN mkdir -p /real && echo hi > /real/i && ln -s /real /current\n",
                              output="site", site="/current")
    name, settled = world.run(build, files)
    assert settled["state"] == "succeeded", world.explain(name)
    assert world.site(name) == {"i": "hi\n"}


def test_command_image(world):
    name, settled = world.run(
        {"method": "command", "output": "image", "base": BASE, "context": ".", "args": {"COLOUR": "blue"},
         "run": "echo \"it's $COLOUR\" > made\npwd\nfalse || echo \"$0\""},
        {"index.js": "source", "Dockerfile": "FROM not-this-one"})
    assert settled["state"] == "succeeded", world.explain(name)
    image = settled["artifact"]["ref"]
    assert run_in(image, "sh", "-c", "ls -A; cat made") == "Dockerfile\nindex.js\nmade\nit's blue"
    assert json.loads(docker("inspect", image))[0]["Config"]["WorkingDir"] == "/app"


def test_command_site_is_the_same_twice(world):
    build = {"method": "command", "output": "site", "base": BASE, "context": ".", "site": "dist",
             "run": "mkdir dist; cat src > dist/index.html; date > /dev/null 2>&1 || true"}
    one, first = world.run(build, {"src": "page", "a": "1"})
    two, second = world.run(build, {"src": "page", "a": "2"})
    assert first["state"] == "succeeded", world.explain(one)
    assert world.site(one) == {"index.html": "page"}
    assert first["artifact"]["digest"] == second["artifact"]["digest"]


def test_static(world):
    name, settled = world.run({"method": "static", "output": "site", "context": ".", "site": "public"},
                              {"public/index.html": "hi", "public/grüß.txt": "ü", "other": "no"})
    assert settled["state"] == "succeeded", world.explain(name)
    assert world.site(name) == {"index.html": "hi", "grüß.txt": "ü"}
    assert settled["artifact"]["size"] == world.path(name, "site").stat().st_size


def test_image(world):
    name, settled = world.run({"method": "image", "output": "image", "base": BASE})
    assert settled["state"] == "succeeded", world.explain(name)
    assert settled["artifact"]["ref"] == docker("inspect", "-f", "{{.Id}}", BASE)


@pytest.mark.parametrize("build, files, reason, message", [
    (*dockerfile(f"FROM {BASE}\nRUN echo before; exit 3\n"), "BuildFailed", "exit code: 3"),
    (*dockerfile(f"FROM {BASE}\nCOPY nothing /x\n"), "BuildFailed", "nothing"),
    (*dockerfile("FRM x\n"), "BuildFailed", "unknown instruction"),
    (*dockerfile("FROM builder-test/absent:9\n"), "BaseImageMissing", "builder-test/absent:9"),
    (*dockerfile(f"FROM {BASE}\n", dockerfile="else/Dockerfile"), "DockerfileMissing", "else/Dockerfile"),
    (*dockerfile(f"FROM {BASE}\n", dockerfile="../Dockerfile"), "DockerfileMissing", "../Dockerfile"),
    (*dockerfile(f"FROM {BASE}\n", output="site", site="dist"), "SiteMissing", "dist"),
    (*dockerfile(f"FROM {BASE}\n", output="site", site="bin/busybox"), "SiteMissing", "bin/busybox"),
    (*dockerfile(f"FROM {BASE}\n", output="site", site="../etc"), "SiteMissing", "../etc"),
    ({"method": "static", "output": "site", "site": "dist"}, {"x": ""}, "SiteMissing", "dist"),
    ({"method": "static", "output": "image", "site": "."}, {"x": ""}, "BuildFailed", "static"),
    ({"method": "image", "output": "image", "base": "builder-test/absent:9"}, {}, "BaseImageMissing", "absent:9"),
    ({"method": "command", "output": "image", "base": "builder-test/absent:9", "run": "true"}, {}, "BaseImageMissing",
     "absent:9"),
    ({"method": "command", "output": "image", "base": "x\nRUN evil", "run": "true"}, {}, "BuildFailed", "base"),
    ({"method": "nonsense", "output": "image"}, {}, "BuildFailed", "nonsense"),
    ({"method": "static", "output": "site", "site": "."}, {"../evil": ""}, "BuildFailed", "evil"),
])
def test_failures(world, build, files, reason, message):
    name, settled = world.run(build, files)
    assert settled["state"] == "failed"
    assert (settled["reason"], settled["is_infrastructure"]) == (reason, False), world.explain(name)
    assert message in settled["message"], settled["message"]
    assert settled["reason"] in world.log(name)


def test_source_that_is_not_there_is_not_the_builds_fault(world):
    build, files = dockerfile(f"FROM {BASE}\n")
    name = world.add(build, files)
    # the fake answers not_found when the tar is gone
    world.path(name, "tar").unlink()
    assert world.wait(name)["reason"] == "ContextMissing"


def test_syntax_line_is_left_out(world):
    build, files = dockerfile(f"# syntax=docker/dockerfile:1\n# escape=`\nFROM {BASE}\nRUN echo a `\n b\n")
    name, settled = world.run(build, files)
    assert settled["state"] == "succeeded", world.explain(name)
    assert "# syntax=docker/dockerfile:1" in world.log(name)


def test_log_lines_are_clean(world):
    build, files = dockerfile(f"FROM {BASE}\nRUN cat data; yes x | head -c 40000 | tr -d '\\n'; echo; echo end\n"
                              .replace("cat data", "cat /d/data"))
    files["Dockerfile"] = files["Dockerfile"].replace("RUN cat", "COPY data /d/data\nRUN cat")
    files["data"] = b"\x1b[31mred\x1b[0m \xff\xfe ok\x07\n"
    name, settled = world.run(build, files)
    assert settled["state"] == "succeeded", world.explain(name)
    log = world.path(name, "log").read_bytes()
    log.decode("utf-8")
    assert b"\x1b" not in log and b"\x07" not in log
    assert "red \ufffd\ufffd ok" in log.decode()
    assert max(len(line) for line in log.split(b"\n")) <= 16 * 1024 + 16
    assert "(line cut)" in log.decode()


def test_log_too_large(world):
    build, files = dockerfile(f"FROM {BASE}\nRUN seq 1 200000; sleep 60\n")
    name, settled = world.run(build, files, log_max=50000)
    assert (settled["state"], settled["reason"]) == ("failed", "LogTooLarge")
    assert settled["log_size"] <= 50000
