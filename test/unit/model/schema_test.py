"""app.schema.json, the reference page and the parser say the same.

usage: schema_test.py SPEC_TOOL SCHEMA REFERENCE_PAGE
"""
import json
import re
import subprocess
import sys

import jsonschema
import yaml

GOOD = [
    "{}", "", "app: shop", "app: 4", "env:", "processes:\n  web:", "build: {}", "deploy: {keep: 1}",
    "env: {A: b, B: 2, C: true, _d: 1.5, E: ''}", "env: {PORTS: x}",
    "build: {method: auto}", "build: {method: command, base: 'a/b:c@sha256:0', run: 'a\n  b'}",
    "build: {context: a/b, dockerfile: ./x, site: ..a, spa: false, output: site}",
    "build: {args: {PORT: 1}, timeout: 1h, memory: 2Gi, cpus: 0.5, watch: [a, 'b/**']}",
    "build: {memory: 1073741824, cpus: '1.5'}", "build: {watch: []}",
    "processes: {web: {replicas: 0, port: 65535, protocol: http, pids: 16, cpus: 256}}",
    "processes: {a-1: {command: 'a b', memory: 6Mi, check: {path: '/a?b=c', grace: 0s}}}",
    "processes: {web: {check: {interval: 100ms, timeout: 2s}}}",
    "routes: []", "routes: [{}]", "routes: [{host: a.b, path: /a/b.c/, process: web}]",
    "routes: [{https: false, auth: off}]", "routes: [{host: localhost}]", "routes: [{path: /..a}]",
    "deploy: {timeout: 1m, drain: 0s, stop: 250ms, keep: 100}", "deploy: {restart: 0}",
]

BAD = [
    "[]", "text", "5", "unknown: 1", "app: [a]", "app: Shop", "app: a_b", "app: git", "app: a-",
    "app:", "build: text", "build: []", "build: {other: 1}", "build: {method: buildpack}",
    "build: {method:}", "build: {context: /a}", "build: {context: ..}", "build: {context: a/../b}",
    "build: {site: ''}", "build: {dockerfile: \"a\\tb\"}", "build: {base: -a}", "build: {base: 'a b'}",
    "build: {run: ''}", "build: {run: [a]}", "build: {output: none}", "build: {spa: 'true'}",
    "build: {spa: 1}", "build: {args: [a]}", "build: {args: {a-b: c}}", "build: {args: {A: [b]}}",
    "build: {args: {EVENKEEL_A: b}}", "build: {timeout: 15}", "build: {timeout: 15 m}",
    "build: {timeout: 1w}", "build: {memory: 1GB}", "build: {memory: 1}", "build: {cpus: two}",
    "build: {cpus: 300}", "build: {cpus: 0}", "build: {watch: a}", "build: {watch: ['']}",
    "build: {watch: [[a]]}", "build: {secrets: [a]}", "env: [A]", "env: {A: }", "env: {A: {secret: b}}",
    "env: {A: [b]}", "env: {PORT: 80}", "env: {1A: b}", "env: {A.B: c}", "env: {EVENKEEL_A: b}",
    "processes: [web]", "processes: {Web: {}}", "processes: {a_b: {}}",
    "processes: {aaaaaaaaaaaaaaaaaaaaa: {}}", "processes: {web: node}", "processes: {web: {image: a}}",
    "processes: {web: {command: ''}}", "processes: {web: {command: [a, b]}}",
    "processes: {web: {replicas: -1}}", "processes: {web: {replicas: 101}}",
    "processes: {web: {replicas: '1'}}", "processes: {web: {replicas: 1.5}}",
    "processes: {web: {replicas: true}}", "processes: {web: {port: 0}}", "processes: {web: {port: 65536}}",
    "processes: {web: {protocol: tcp}}", "processes: {web: {memory: lots}}", "processes: {web: {pids: 1}}",
    "processes: {web: {check: /}}", "processes: {web: {check: {path: a}}}",
    "processes: {web: {check: {path: '/a b'}}}", "processes: {web: {check: {path: '/a#b'}}}",
    "processes: {web: {check: {grace: 5}}}", "processes: {web: {overlap: false}}",
    "routes: {}", "routes: [a]", "routes: [{port: 1}]", "routes: [{host: '*.a.b'}]",
    "routes: [{host: A.b}]", "routes: [{host: 10.0.0.1}]", "routes: [{host: 0x7f}]", "routes: [{host: a_b}]",
    "routes: [{host: 'a:80'}]", "routes: [{host: ''}]", "routes: [{host: a..b}]", "routes: [{path: a}]",
    "routes: [{path: //a}]", "routes: [{path: /a//b}]", "routes: [{path: /a/../b}]", "routes: [{path: /..}]",
    "routes: [{path: /.}]", "routes: [{path: '/a?b'}]", "routes: [{path: /a%20b}]",
    "routes: [{process: Web}]", "routes: [{https: true}]", "routes: [{auth: soft}]", "routes:",
    "deploy: {keep: 0}", "deploy: {restart: -1}", "deploy: {keep: 101}", "deploy: {timeout: soon}", "deploy: {overlap: true}",
    "release: {command: a}", "cron: []", "volumes: []", "files: []", "ports: []", "addons: {}",
    "env: {" + ", ".join(f"A{i}: b" for i in range(501)) + "}",
    "processes: {" + ", ".join(f"a{i}: {{}}" for i in range(21)) + "}",
    "routes: [" + ", ".join(f"{{path: /{i}}}" for i in range(101)) + "]",
]

failures = []


def expect(condition, text):
    if not condition:
        failures.append(text)


def parser_accepts(tool, text):
    run = subprocess.run([tool], input=text, text=True, capture_output=True, timeout=60)
    expect(run.returncode in (0, 1) and not run.stderr, f"the tool broke on {text!r}: {run.stderr}")
    return run.returncode == 0, run.stdout.strip()


def schema_accepts(validator, text):
    document = yaml.safe_load(text)
    return validator.is_valid({} if document is None else document)


def check_document(tool, validator, text, want):
    accepted, answer = parser_accepts(tool, text)
    expect(accepted == want, f"the parser should {'accept' if want else 'refuse'} {text!r}: {answer}")
    expect(schema_accepts(validator, text) == want,
           f"the schema should {'accept' if want else 'refuse'} {text!r}")


def read_reference(tool):
    """path → what is printed after it, from the table"""
    lines = subprocess.run([tool, "print"], text=True, capture_output=True, check=True).stdout.splitlines()
    return {head.split(": ", 1)[0]: (head.split(": ", 1)[1], help_.strip())
            for head, help_ in zip(lines[::2], lines[1::2])}


def schema_members(schema, node, parent=""):
    """path → schema of every member, with the paths of the printed reference"""
    for name, member in node.get("properties", {}).items():
        path = f"{parent}.{name}" if parent else name
        target = dict(member)
        if "$ref" in target:
            target.update(schema["$defs"][target.pop("$ref").rsplit("/", 1)[1]])
        yield path, target
        yield from schema_members(schema, target, path)
        if isinstance(target.get("additionalProperties"), dict):
            yield from schema_members(schema, target["additionalProperties"], f"{path}.NAME")
        if "items" in target:
            yield from schema_members(schema, target["items"], f"{path}[]")


def default_text(member):
    if "default" not in member:
        return None
    value = member["default"]
    return value if isinstance(value, str) else json.dumps(value)


def check_member(path, printed, help_, member):
    default = re.search(r"; default (.*)$", printed)
    expect((default and default.group(1)) == default_text(member), f"the default of {path} differs")
    expect(member.get("description") == help_, f"the description of {path} differs")
    bounds = re.match(r"a whole number, from (\d+) to (\d+)", printed)
    if bounds:
        expect((member.get("minimum"), member.get("maximum")) == tuple(map(int, bounds.groups())),
               f"the bounds of {path} differ")
    if "enum" in member:
        words = re.split(r", | or ", printed.split(";")[0])
        expect(member["enum"] == words, f"the words of {path} differ: {words}")


def check_members(reference, schema):
    members = dict(schema_members(schema, schema))
    for path in ("routes[].https", "routes[].auth"):
        expect(members.pop(path, None), f"{path} is not in the schema")
    expect(set(members) == set(reference), f"members differ: {set(members) ^ set(reference)}")
    for path in set(members) & set(reference):
        check_member(path, *reference[path], members[path])


def check_page(reference, page, tool, validator):
    for path, (printed, _) in reference.items():
        row = re.search(rf"`{re.escape(path)}`(?: \| ([^|]*) \|)?", page)
        expect(row or path == "build", f"{path} is not on the reference page")
        default = re.search(r"; default (.*)$", printed)
        if row and default:
            expect(row.group(1) == f"`{default.group(1)}`", f"the page's default of {path} differs")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.S)
    expect(len(examples) >= 10, "the reference page has lost its examples")
    for example in examples:
        check_document(tool, validator, example, True)


def main():
    tool, schema_path, page_path = sys.argv[1:]
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    with open(page_path, encoding="utf-8") as file:
        page = file.read()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for text in GOOD:
        check_document(tool, validator, text, True)
    for text in BAD:
        check_document(tool, validator, text, False)
    reference = read_reference(tool)
    check_members(reference, schema)
    check_page(reference, page, tool, validator)
    print(*failures, f"{len(failures)} differences", sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
