# SPDX-License-Identifier: Apache-2.0
"""The stored shape of the contract and its migrations: api/schema/.

The store makes tables and index columns from the descriptors by itself, reads rows of older versions (what is missing is absent) and skips
what newer ones wrote. So additions need nothing. What would lose data or break - a field or type that goes, another kind, a word of an
enum that goes, another name of a table - needs a numbered SQL file that changes the stored bodies, forward only:

    api/schema/shape.txt   the shape that the files lead to; its first line is the version
    api/schema/NNN.sql     leads from version NNN - 1 to NNN; 001.sql is the first release

`apigen schema` fails when the contract's shape is not the recorded one; `apigen schema --new` records it and writes the next file, with
the statements that follow by themselves, and a line "-- DECIDE: ..." for each thing that a person has to decide. A file that still has
such a line is refused. Before the first release nothing is recorded and nothing is asked.
"""
import json
import os
import re

from . import c
from .problem import Problem
from .schema import MISSING

FOLDER = 'schema'
_UNDECIDED = '-- DECIDE:'


# ---- the shape ----

def _form(f):
    words = [f.kind]
    if f.kind == 'ARRAY':
        words.append(f.item_kind)
    if f.base_kind == 'ENUM':
        words += f.enum.values
    elif f.base_kind == 'OBJECT':
        words.append(f.sub.name)
    elif f.base_kind == 'REF':
        words.append(f.ref)
    return ' '.join(words)


def _stored_fields(t):
    return [f for f in t.fields if 'TRANSIENT' not in f.flags]


def shape(contract):
    """{type name: (what, {field: form})}; what is "table prefix" of a resource, "" of a part inside one."""
    out = {}

    def visit(t):
        if t.name in out:
            return
        r = t.resource
        out[t.name] = (f'{r.plural} {r.prefix}' if r else '', {f.name: _form(f) for f in _stored_fields(t)})
        for f in _stored_fields(t):
            if f.base_kind == 'OBJECT':
                visit(f.sub)

    for r in contract.resources:
        visit(r.type)
    return out


def write_shape(types, version):
    out = [f'version {version}\n']
    for name in sorted(types):
        what, fields = types[name]
        out.append(f'{name} {what}'.rstrip() + '\n')
        out += [f'  {field} {form}\n' for field, form in fields.items()]
    return ''.join(out)


def read_shape(text):
    """(version, types) of what write_shape() wrote."""
    lines = text.split('\n')
    types = {}
    name = None
    for line in lines[1:]:
        if line.startswith('  '):
            field, form = line[2:].split(' ', 1)
            types[name][1][field] = form  # a type's line comes first
        elif line:
            name, _, what = line.partition(' ')
            types[name] = (what, {})
    return int(lines[0].split()[1]), types


# ---- what a change of shape asks for ----

def _sql_text(value):
    return "'" + value.replace("'", "''") + "'"


def _field_statements(name, what, old, new, defaults):
    """Statements for one type whose fields went from `old` to `new`."""
    table = what.split()[0] if what else None
    out = []
    for field, form in old.items():
        if field not in new:
            out.append(f"UPDATE \"{table}\" SET body = json_remove(body, '$.{field}');" if table
                       else f'{_UNDECIDED} {name}.{field} is gone; rows keep it unread until they are written again')
        elif new[field] != form:
            a, b = form.split(), new[field].split()
            if a[0] == b[0] and 'ENUM' in a and set(a) <= set(b):
                continue  # more words
            if a[0] == b[0] and 'ENUM' in a and 'ENUM' in b:
                gone = ', '.join(w for w in a if w not in b)
                hint = f" (UPDATE \"{table}\" SET body = json_set(body, '$.{field}', 'NEW') WHERE json_extract(body, '$.{field}') = 'OLD';)" if table else ''
                out.append(f'{_UNDECIDED} {name}.{field} no longer has the words {gone}: what becomes of rows with them?{hint}')
            else:
                out.append(f'{_UNDECIDED} {name}.{field} was {form} and is {new[field]}: how are stored values turned?')
    for field in new:
        default = defaults.get((name, field))
        if field in old or default is None or new[field].startswith('BOOL'):
            continue  # a boolean that is missing reads as its default
        if table:
            out.append(f"UPDATE \"{table}\" SET body = json_set(body, '$.{field}', json({_sql_text(default)}))"
                       f" WHERE json_type(body, '$.{field}') IS NULL;")
        else:
            out.append(f'{_UNDECIDED} {name}.{field} is new with default {default}: is "absent" right for parts that are there already?')
    return out


def statements(old, new, contract):
    """What the next file must hold, as lines."""
    defaults = {(t.name, f.name): json.dumps(f.default, ensure_ascii=False, sort_keys=True)
                for t in contract.types for f in t.fields if f.default is not MISSING}
    out = []
    for name, (what, fields) in sorted(old.items()):
        if name not in new:
            if what:
                out.append(f'DROP TABLE IF EXISTS "{what.split()[0]}";')
            continue
        now, now_fields = new[name]
        if what != now:
            (table, prefix), (now_table, now_prefix) = what.split(), now.split()
            if table != now_table:
                out += [f'DROP TABLE IF EXISTS "{now_table}";', f'ALTER TABLE "{table}" RENAME TO "{now_table}";']
            if prefix != now_prefix:
                out.append(f'{_UNDECIDED} ids of {name} were {prefix}-N and are {now_prefix}-N: every body that names one must be changed')
        out += _field_statements(name, now, fields, now_fields, defaults)
    return out


# ---- the folder ----

def _files(api):
    folder = os.path.join(api, FOLDER)
    names = sorted(n for n in os.listdir(folder) if n.endswith('.sql')) if os.path.isdir(folder) else []
    for number, name in enumerate(names, 1):
        if name != f'{number:03d}.sql':
            raise Problem(f'api/{FOLDER}/{name}', f'the files are numbered without gaps: {number:03d}.sql is next')
    return names


def _read(api, name):
    with open(os.path.join(api, FOLDER, name), encoding='utf-8') as f:
        return f.read()


def recorded(api):
    """(version, types), or (0, {}) before the first release."""
    names = _files(api)
    if not names:
        return 0, {}
    version, types = read_shape(_read(api, 'shape.txt'))
    if version != len(names):
        raise Problem(f'api/{FOLDER}/shape.txt', f'it says version {version}, but there are {len(names)} files')
    return version, types


def check(api, contract):
    """Raises Problem when the recorded shape is not the contract's, or a migration is not finished."""
    version, old = recorded(api)
    if not version:
        return 'nothing is released yet'
    for name in _files(api):
        for line in _read(api, name).split('\n'):
            if line.startswith(_UNDECIDED):
                raise Problem(f'api/{FOLDER}/{name}', line[3:])
    new = shape(contract)
    if old != new:
        changed = sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n))
        raise Problem(f'api/{FOLDER}', f'the stored shape of {", ".join(changed)} is not the recorded one: run apigen schema --new '
                      '(python3 tools/apigen/__main__.py --api api schema --new; a merge that met another\'s file: take theirs, and run it again)')
    return f'version {version}'


def record(api, contract):
    """Writes the next migration and the new shape; what it says is for the person who called."""
    version, old = recorded(api)
    new = shape(contract)
    if version and old == new:
        return f'version {version} is up to date'
    lines = statements(old, new, contract) if version else ['-- The first release: tables are made from the contract.']
    version += 1
    os.makedirs(os.path.join(api, FOLDER), exist_ok=True)
    with open(os.path.join(api, FOLDER, f'{version:03d}.sql'), 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines or ['-- Additions only: nothing to change in what is stored.']) + '\n')
    with open(os.path.join(api, FOLDER, 'shape.txt'), 'w', encoding='utf-8') as f:
        f.write(write_shape(new, version))
    return f'api/{FOLDER}/{version:03d}.sql: read it, finish it, commit it with shape.txt'


# ---- into the store ----

def schema_h(contract):
    return c.head('Version of the stored shape, and the SQL that leads to it from older ones.', f'api/{FOLDER}/') + f'''#pragma once

#define WS_SCHEMA_VERSION {max(1, len(contract.migrations))}

/* [i] leads from version i + 1 to i + 2; WS_SCHEMA_VERSION - 1 of them, then NULL. */
extern const char *const ws_schema_migrations[];
'''


def schema_c(contract):
    out = [c.head('The migrations of the store.', f'api/{FOLDER}/'),
           '#include "inventory/schema.h"\n#include <stddef.h>\n\nconst char *const ws_schema_migrations[] = {\n']
    for text in contract.migrations[1:]:
        out.append('  ' + '\n  '.join(c.string(line + '\n') for line in re.sub(r'\n+$', '', text).split('\n')) + ',\n')
    return ''.join(out) + '  NULL,\n};\n'


def migrations(api):
    return [_read(api, name) for name in _files(api)]
