# SPDX-License-Identifier: Apache-2.0
"""What the manager's room gets: center/routes.c (model/routes.h tells its form) and center/verbs.h/.c (functions and task kinds)."""
from . import c
from .contract import RISKS

BASE = '/api/v1'


def _functions(contract, how):
    return sorted({getattr(o, how) for o in contract.operations if getattr(o, how)})


def args_type(o):
    """Type of a task's arguments: what the caller sent."""
    return 'patch' if o.kind == 'UPDATE' else o.body.snake if o.body else None


def verbs_h(contract):
    out = [c.head('The functions that serve the contract\'s methods and verbs, and the kinds of tasks among them.'),
           '#pragma once\n#include "center/api/call.h"\n#include "center/api/view.h"\n#include "task/task.h"\n\n',
           '/* Tasks: the target is the object in the path, task_args() what the caller sent (task/task.h). */\n']
    by_task = {}
    for o in contract.operations:
        if o.task:
            by_task.setdefault(o.task, []).append(o)
    for name in _functions(contract, 'task'):
        o = by_task[name][0]
        args = args_type(o)
        out.append(f'bool {name}(Task *task, GError **error); /* {"const Ws" + c.camel(args) + " *" if args else "no arguments"} */\n')
    out.append('\n/* Calls that answer at once (center/api/call.h). */\n')
    out += [f'bool {name}(ApiCall *call, GError **error);\n' for name in _functions(contract, 'call')]
    out.append('\n/* Views: answered from a snapshot (center/api/view.h). */\n')
    for name in _functions(contract, 'view'):
        o = next(o for o in contract.operations if o.view == name)
        out.append(f'bool {name}(const ApiView *view, void **result, GError **error); /* {o.result.c_name} */\n')
    out.append('\nextern const TaskKind ws_task_kinds[];\nextern const guint ws_n_task_kinds;\n')
    return ''.join(out)


def verbs_c(contract):
    out = [c.head('The kinds of tasks of the contract.'), '#include "center/verbs.h"\n\nconst TaskKind ws_task_kinds[] = {\n']
    done = set()
    for o in contract.operations:
        if not o.task or o.task in done:
            continue
        done.add(o.task)
        row = [f'.name = {c.string(o.task)}', f'.func = {o.task}', f'.verb = {c.string(o.activity)}']
        if args_type(o):
            row.append(f'.args_type = &ws_type_{args_type(o)}')
        if '{id}' in o.path:
            row.append(f'.target_type = &ws_type_{o.resource.type.snake}')
        out.append('  {' + ', '.join(row) + '},\n')
    out.append('};\nconst guint ws_n_task_kinds = G_N_ELEMENTS(ws_task_kinds);\n')
    return ''.join(out)


def _place(type_, f):
    return f'&ws_fields_{type_.snake}[{type_.fields.index(f)}]'


def allowed_rows(o):
    """Initializers of a verb's WsAllowed."""
    rows = []
    for a in o.allowed:
        part = a.fields[0] if len(a.fields) == 2 else None
        holder = part.sub if part else o.resource.type
        mask = sum(1 << a.fields[-1].enum.values.index(v) for v in a.values)
        rows.append(f'  {{.part = {_place(o.resource.type, part) if part else "NULL"}, '
                    f'.field = {_place(holder, a.fields[-1])}, '
                    f'.words = 0x{mask:x}}}, /* {a.path}: {", ".join(a.values)} */\n')
    return rows


_LIST_QUERY = ['filter', 'sort', 'fields', 'limit', 'cursor']


def query_names(o):
    """The query parameters that a call may have."""
    names = _LIST_QUERY if o.kind == 'LIST' else ['fields'] if o.kind == 'GET' else ['dry_run'] if o.mutating and (o.kind != 'FIXED' or o.call) else []
    return names + [f.name for f in o.query]


def routes_c(contract):
    out = [c.head('The routes of the API.'), '#include "center/verbs.h"\n#include "model/model.h"\n#include "model/routes.h"\n\n']
    for o in contract.operations:
        if o.allowed:
            out.append(f'static const WsAllowed {o.id}_allowed[] = {{\n' + ''.join(allowed_rows(o)) + '};\n')
    for o in contract.operations:
        if o.field_rights:
            rows = ', '.join(f'{{{c.string(name)}, {c.string(right)}}}' for name, right in o.field_rights.items())
            out.append(f'static const WsFieldRight {o.id}_field_rights[] = {{{rows}}};\n')
    out.append('\nconst WsRoute ws_routes[] = {\n')
    for o in contract.operations:
        row = [f'.kind = WS_ROUTE_{o.kind}', f'.method = {c.string(o.method)}', f'.path = {c.string(BASE + o.path)}',
               f'.operation = {c.string(o.id)}']
        if o.kind != 'FIXED':
            row.append(f'.verb = {c.string(o.name)}')
        if o.resource:
            row.append(f'.type = &ws_type_{o.resource.type.snake}')
        if o.body and o.kind != 'UPDATE':
            row.append(f'.body = &ws_type_{o.body.snake}')
        if query_names(o):
            row.append('.query = (const char *const[]){' + ', '.join(map(c.string, query_names(o))) + ', NULL}')
        row.append(f'.permission = {c.string(o.permission)}')
        if o.audit_kind:
            row.append(f'.audit_kind = {c.string(o.audit_kind)}, .audit_risk = {RISKS.index(o.risk) + 1}')
        if o.activity:
            row.append(f'.activity = {c.string(o.activity)}')
        if o.danger:
            row.append(f'.danger = {o.danger}')
        if o.task:
            row.append(f'.task = {c.string(o.task)}')
        if o.call:
            row.append(f'.call = {o.call}')
        if o.view:
            row.append(f'.view = {o.view}, .result = &ws_type_{o.result.snake}')
        if o.asks_host:
            row.append('.asks_host = true')
        if o.field_rights:
            row.append(f'.field_rights = {o.id}_field_rights, .n_field_rights = {len(o.field_rights)}')
        if o.allowed:
            row.append(f'.allowed = {o.id}_allowed, .n_allowed = {len(o.allowed)}')
        out.append('  {' + ', '.join(row) + '},\n')
    out.append('};\nconst guint ws_n_routes = G_N_ELEMENTS(ws_routes);\n')
    return ''.join(out)
