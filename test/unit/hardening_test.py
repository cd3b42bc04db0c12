"""What the compiler and linker flags promise, looked up in the programs.

usage: hardening_test.py PROGRAM…
"""
import re
import subprocess
import sys
import unittest


def readelf(program):
    return subprocess.run(["readelf", "-W", "-h", "-l", "-d", "--dyn-syms", program], text=True, capture_output=True,
                          check=True, timeout=60, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout


class Hardening(unittest.TestCase):
    programs = []

    def each(self, pattern, what):
        self.assertTrue(self.programs)
        for program in self.programs:
            with self.subTest(program=program):
                self.assertRegex(readelf(program), pattern, what)

    def test_position_independent(self):
        self.each(r"Type:\s+DYN", "PIE")
        self.each(r"FLAGS_1\b.*\bPIE\b", "PIE")

    def test_relocations_are_read_only_before_main(self):
        self.each(r"GNU_RELRO", "RELRO")
        self.each(r"FLAGS_1\b.*\bNOW\b", "BIND_NOW")

    def test_stack_is_not_executable(self):
        self.each(r"GNU_STACK\s+(?:0x[0-9a-f]+\s+){5}RW\s", "GNU_STACK")

    def test_no_segment_is_writable_and_executable(self):
        for program in self.programs:
            with self.subTest(program=program):
                self.assertIsNone(re.search(r"LOAD\s+(?:0x[0-9a-f]+\s+){5}RWE", readelf(program)))

    def test_stack_protector(self):
        self.each(r"\b__stack_chk_fail\b", "stack protector")

    def test_fortified(self):
        self.each(r"\b__(?:memcpy|snprintf|vsnprintf|fprintf|vfprintf|read|vasprintf|asprintf)_chk\b", "FORTIFY")


if __name__ == "__main__":
    Hardening.programs = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
