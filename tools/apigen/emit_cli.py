# SPDX-License-Identifier: Apache-2.0
"""cli/commands.c: what winctl offers, as the tables of cli/commands.h."""
from . import c
from .emit_center import BASE, allowed_rows

_DEPTH = 3  # parts inside parts that become options of their own; deeper ones are given as JSON


def _address(type_, f):
    return f'&ws_fields_{type_.snake}[{type_.fields.index(f)}]'


def _options(o, type_, prefix='', zh='', depth=1, required=True):
    """Options for the fields of a body, parts flattened: cpu.vcpus."""
    rows = []
    for f in type_.fields:
        if f.flags & {'INTERNAL', 'READ_ONLY'} or (o.kind == 'UPDATE' and 'IMMUTABLE' in f.flags):
            continue
        path = prefix + f.name
        needed = required and 'REQUIRED' in f.flags and o.kind != 'UPDATE'
        if f.kind == 'OBJECT' and depth < _DEPTH:
            rows += _options(o, f.sub, path + '.', f.zh or '', depth + 1, needed)
            continue
        label = ' '.join(x for x in (zh, f.zh) if x) if f.zh else None
        rows.append(_option(path, 'CLI_IN_BODY', _address(type_, f), f, label, needed))
    return rows


def _option(path, place, address, f, zh, required):
    return (f'  {{{c.string(path.replace("_", "-"))}, {c.string(path)}, {place}, {address}, {c.string(f.description)}, {c.string(zh)}, '
            f'{c.string(f.unit)}, {"true" if required else "false"}}},\n')


def _query_field(o, f):
    """A query parameter is a field of no type: it gets a descriptor of its own."""
    names = f', .names = (const char *const[]){{{", ".join(c.string(v) for v in f.enum.values)}, NULL}}' if f.enum else ''
    return (f'static const WsField {o.id}_{f.name}_parameter = {{.name = {c.string(f.name)}, .kind = WS_KIND_{f.kind}, '
            f'.quoted = {c.string(chr(34) + f.name + chr(34) + ":")}, .quoted_len = {len(f.name) + 3}{names}}};\n')


def _heading(column, path):
    words = column.split('.')
    word = words[0] if words[-1] == 'state' else words[-1]
    if path and path[-1].unit == 'bytes' and word.endswith('_bytes'):
        word = word[:-len('_bytes')]
    return word.replace('_', ' ')


def _columns(r):
    rows = []
    for column in r.columns:
        path = r.type.path(column)
        zh = 'ID' if column == 'id' else '版本' if column == 'revision' else path[-1].zh if len(path) > 1 and path[-1].zh else path[0].zh
        field = 'NULL'
        if path:
            owner = r.type if len(path) == 1 else path[-2].sub
            field = _address(owner, path[-1])
        rows.append(f'  {{{c.string(column)}, {c.string("id" if column == "id" else _heading(column, path))}, {c.string(zh)}, '
                    f'{c.string(path[-1].unit if path else None)}, {field}}},\n')
    return rows


def _command(o, n_options):
    row = [f'.name = {c.string(o.name.replace("_", "-") if o.kind != "FIXED" else o.id.replace("_", "-"))}',
           f'.summary = {c.string(o.summary)}', f'.zh = {c.string(o.zh)}', f'.kind = WS_ROUTE_{o.kind}',
           f'.method = {c.string(o.method)}', f'.path = {c.string(BASE + o.path)}', f'.operation = {c.string(o.id)}']
    if o.danger:
        row.append(f'.danger = {o.danger}')
    for flag, member in ((o.task, 'is_task'), (o.socket, 'is_socket'), (o.takes_bytes, 'takes_bytes')):
        if flag:
            row.append(f'.{member} = true')
    if o.body:
        row.append(f'.body = &ws_type_{o.body.snake}')
    if o.result:
        row.append(f'.result = &ws_type_{o.result.snake}')
    if n_options:
        row.append(f'.options = {o.id}_options, .n_options = {n_options}')
    if o.allowed:
        row.append(f'.allowed = {o.id}_allowed, .n_allowed = {len(o.allowed)}')
    return '  {' + ', '.join(row) + '},\n'


def _noun(name, zh, summary, operations, columns, type_, batch):
    """Tables of one noun, and its row in cli_nouns."""
    out, commands = [], []
    ident = name.replace('-', '_')
    for o in operations:
        rows = _options(o, o.body) if o.body else []
        for f in o.query:
            out.append(_query_field(o, f))
            rows.append(_option(f.name, 'CLI_IN_QUERY', f'&{o.id}_{f.name}_parameter', f, f.zh, 'REQUIRED' in f.flags))
        if rows:
            out.append(f'static const CliOption {o.id}_options[] = {{\n' + ''.join(rows) + '};\n')
        if o.allowed:
            out.append(f'static const WsAllowed {o.id}_allowed[] = {{\n' + ''.join(allowed_rows(o)) + '};\n')
        commands.append(_command(o, len(rows)))
    if columns:
        out.append(f'static const CliColumn {ident}_columns[] = {{\n' + ''.join(columns) + '};\n')
    out.append(f'static const CliCommand {ident}_commands[] = {{\n' + ''.join(commands) + '};\n\n')
    row = [f'.name = {c.string(name)}', f'.zh = {c.string(zh)}', f'.summary = {c.string(summary)}']
    if type_:
        row.append(f'.type = &ws_type_{type_.snake}')
    if batch:
        row.append(f'.batch_path = {c.string(BASE + batch.path)}')
    if columns:
        row.append(f'.columns = {ident}_columns, .n_columns = {len(columns)}')
    row.append(f'.commands = {ident}_commands, .n_commands = {len(commands)}')
    return ''.join(out), '  {' + ', '.join(row) + '},\n'


def commands_c(contract):
    out = [c.head('The commands of winctl.'), '#include "cli/commands.h"\n#include "model/model.h"\n\n']
    nouns = []
    for r in contract.resources:
        operations = [o for o in r.operations if o.kind != 'BATCH'] + [o for o in contract.fixed if o.resource is r]
        if operations:
            text, row = _noun(r.noun, r.zh, r.type.description, operations, _columns(r), r.type,
                              r.operation('batch'))
            out.append(text)
            nouns.append(row)
    text, row = _noun('system', '系统', 'What belongs to no object.', [o for o in contract.fixed if not o.resource], [], None, None)
    out += [text, 'const CliNoun cli_nouns[] = {\n', *nouns, row, '};\nconst guint cli_n_nouns = G_N_ELEMENTS(cli_nouns);\n']
    return ''.join(out)
