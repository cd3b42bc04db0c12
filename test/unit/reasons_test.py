"""Every reason that the programs give has its words in docs/reasons.md, and every one there is given.

A reason is a string constant of one CamelCase word. Docker's JSON members look the same; they are listed here, so that a new
word is either explained there or named here.

usage: reasons_test.py ROOT
"""
import pathlib
import re
import sys
import unittest

FOLDERS = ("builder", "controller", "ssgen")
# They speak Docker's JSON and give no reasons.
SKIPPED = {"controller/backend/docker/body.c", "controller/backend/docker/container.c", "controller/backend/docker/events.c",
           "controller/backend/docker/image.c", "controller/backend/docker/network.c"}
DOCKER = {"Cmd", "Config", "Digest", "Entrypoint", "Id", "Image", "Labels", "Name", "Names", "NetworkDisabled", "NetworkSettings", "Networks",
          "RepoDigests", "Size", "State", "WorkingDir"}
FILES = {"Dockerfile", "Procfile"}
TYPES = {"BuildReady", "Converged", "Held", "ImagePresent", "InstancesReady", "Quarantined", "RouteAcked", "SourceReady", "SpecValid"}
COMMENT = re.compile(r"/\*.*?\*/", re.S)
WORD = re.compile(r'"([A-Z][a-z]+(?:[A-Z]+[a-z]*)*)"')


def given(root):
    """word → the first file that has it"""
    found = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.[ch]")):
            name = str(path.relative_to(root))
            if name in SKIPPED:
                continue
            for word in WORD.findall(COMMENT.sub("", path.read_text(encoding="utf-8"))):
                found.setdefault(word, name)
    return found


class Reasons(unittest.TestCase):
    root = None

    def setUp(self):
        page = (self.root / "docs/reasons.md").read_text(encoding="utf-8")
        self.types = set(re.findall(r"^## (\w+)$", page, re.M))
        self.explained = {word for line in page.splitlines() if line.startswith("**`")
                          for word in re.findall(r"\*\*`(\w+)`\*\*", line)}
        self.given = given(self.root)

    def test_the_sources_are_looked_at(self):
        self.assertGreater(len(self.given), 60)
        self.assertLessEqual({"BuildOOM", "ProbeFailing", "RouteRefused", "ArchiveInvalid"}, set(self.given))

    def test_every_type_has_a_section(self):
        self.assertEqual(self.types, TYPES)

    def test_every_reason_is_explained(self):
        known = self.explained | DOCKER | FILES | TYPES
        self.assertEqual({f"{word} ({name})" for word, name in self.given.items() if word not in known}, set())

    def test_every_explained_reason_is_given(self):
        self.assertEqual(self.explained - set(self.given), set())


if __name__ == "__main__":
    Reasons.root = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
