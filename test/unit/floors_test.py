"""Who may include whom: a folder sees only the floors below its own.

cmd → {controller, builder, gateway, ssgen} → lib/{rpc,store,http,git,oci,conf} → lib/model → lib/base.
Programs never include each other, and only the controller (and cmd) sees the store. Siblings in lib do not
include each other, except that rpc, git and oci may use http. Headers show no types of the libraries below
outside the folder that wraps them.

usage: floors_test.py ROOT
"""
import pathlib
import re
import sys
import tempfile
import unittest

LOW = {"base", "model"}
AGENTS = LOW | {"conf", "git", "http", "oci", "rpc"}
ALLOWED = {
    "base": set(),
    "model": {"base"},
    "conf": LOW,
    "http": LOW,
    "store": LOW,
    "git": LOW | {"http"},
    "oci": LOW | {"http"},
    "rpc": LOW | {"http"},
    "builder": AGENTS,
    "gateway": AGENTS,
    "ssgen": AGENTS,
    "controller": AGENTS | {"store"},
    "cmd": AGENTS | {"builder", "controller", "gateway", "ssgen", "store"},
}

# library header → the folder whose headers may show it; libuv is not here: its handles are embedded where they are used
WRAPPED = {
    "curl/curl.h": "http",
    "git2.h": "git",
    "microhttpd.h": "http",
    "sqlite3.h": "store",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]')


def folder_of(path):
    """lib/http/server.c → http; controller/backend/docker/x.c → controller"""
    return path.parts[1] if path.parts[0] == "lib" and len(path.parts) > 2 else path.parts[0]


def included_folder(root, path, name):
    """The folder that `#include "name"` in `path` reaches, or None when there is no such file."""
    for start in (root / path.parent, root / "lib", root):
        target = (start / name).resolve()
        if target.is_file() and target.is_relative_to(root):
            return folder_of(target.relative_to(root))
    return None


def judge(root, path, bracket, name):
    """What is wrong with this include, or None."""
    folder = folder_of(path)
    wrapper = WRAPPED.get(name)
    if wrapper:
        if path.suffix == ".h" and folder != wrapper:
            return f"a header outside {wrapper} shows <{name}>"
        return None
    target = included_folder(root, path, name)
    if target is None:
        return None if bracket == "<" else f'"{name}" does not exist'
    if target != folder and target not in ALLOWED[folder]:
        return f'{folder} must not include {target}: "{name}"'
    return None


def sources(root):
    for top in ("lib", "builder", "cmd", "controller", "gateway", "ssgen"):
        yield from sorted(path.relative_to(root) for path in (root / top).rglob("*.[ch]"))


def breaches(root):
    found = []
    for path in sources(root):
        if folder_of(path) not in ALLOWED:
            found.append(f"{path}:1: the folder {folder_of(path)} has no floor")
            continue
        for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
            include = INCLUDE.match(line)
            fault = include and judge(root, path, *include.groups())
            if fault:
                found.append(f"{path}:{number}: {fault}")
    return found


class Tree(unittest.TestCase):
    root = None

    def test_tree_keeps_the_floors(self):
        self.assertGreater(len(list(sources(self.root))), 20, "the sources were not found")
        found = breaches(self.root)
        self.assertFalse(found, "\n" + "\n".join(found))


class Checker(unittest.TestCase):
    """The check itself: each rule broken once in a tree made up for it."""

    def breaches_of(self, path, *includes):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve()
            for name in ALLOWED:
                is_program = name in ("builder", "cmd", "controller", "gateway", "ssgen")
                header = root / ("" if is_program else "lib") / name / f"{name}.h"
                header.parent.mkdir(parents=True)
                header.write_text("")
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("".join(f"#include {name}\n" for name in includes))
            return breaches(root)

    def test_allowed(self):
        for path, name in [("lib/model/a.c", "base/base.h"), ("lib/rpc/a.c", "http/http.h"),
                           ("lib/conf/a.c", "model/model.h"), ("controller/api/a.c", "store/store.h"),
                           ("cmd/cli/a.c", "controller/controller.h"), ("gateway/a.c", "gateway/gateway.h"),
                           ("gateway/a.c", "gateway.h"), ("controller/api/a.c", "../controller.h")]:
            self.assertEqual(self.breaches_of(path, f'"{name}"'), [], f"{path} {name}")

    def test_refused(self):
        for path, name in [("lib/base/a.c", "model/model.h"), ("lib/model/a.c", "conf/conf.h"),
                           ("lib/conf/a.c", "http/http.h"), ("lib/http/a.c", "rpc/rpc.h"),
                           ("lib/rpc/a.c", "../git/git.h"), ("lib/store/a.h", "http/http.h"),
                           ("lib/rpc/a.c", "controller/controller.h"), ("gateway/a.c", "store/store.h"),
                           ("builder/a.c", "store/store.h"), ("ssgen/a.c", "store/store.h"),
                           ("gateway/a.c", "controller/controller.h"), ("controller/x/a.c", "builder/builder.h"),
                           ("controller/a.c", "cmd/cmd.h"), ("controller/a.c", "none/none.h"),
                           ("lib/other/a.c", "base/base.h")]:
            found = self.breaches_of(path, "<stdio.h>", f'"{name}"')
            self.assertEqual(len(found), 1, f"{path} {name}: {found}")
            self.assertRegex(found[0], rf"^{re.escape(path)}:[12]: ")

    def test_brackets_do_not_hide(self):
        self.assertEqual(len(self.breaches_of("gateway/a.c", "<store/store.h>")), 1)

    def test_library_types(self):
        for name, owner in WRAPPED.items():
            self.assertEqual(len(self.breaches_of("controller/a.h", f"<{name}>")), 1)
            self.assertEqual(self.breaches_of("controller/a.c", f"<{name}>"), [])
            self.assertEqual(self.breaches_of(f"lib/{owner}/a.h", f"<{name}>"), [])


if __name__ == "__main__":
    Tree.root = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
