"""Turns the numbered migrations into a C table: embed.py OUT.c 0001_start.sql …"""
import pathlib
import sys

out, files = sys.argv[1], sorted(map(pathlib.Path, sys.argv[2:]), key=lambda p: p.name)
with open(out, 'w') as c:
    c.write('#include "store/store.h"\n\nconst struct migration store_migrations[] = {\n')
    for path in files:
        lines = (line.split('--')[0].rstrip() for line in path.read_text().splitlines())
        body = '\n'.join('        "' + l.replace('\\', '\\\\').replace('"', '\\"') + '\\n"' for l in lines if l)
        c.write(f'    {{ {int(path.name.split("_")[0])},\n{body} }},\n')
    c.write('};\nconst size_t store_migration_count = sizeof store_migrations / sizeof *store_migrations;\n')
