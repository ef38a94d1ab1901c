# SPDX-License-Identifier: Apache-2.0
"""model/model.h and model/model.c: a C struct, enums and a descriptor table for each type."""
import json
import textwrap

from . import c
from .schema import INT_MAX, MISSING

_C_TYPES = {'BOOL': 'bool ', 'INT': 'gint64 ', 'DOUBLE': 'double ', 'STRING': 'char *', 'REF': 'WsId ', 'ANYREF': 'WsAnyRef ',
            'TIME': 'gint64 ', 'MAP': 'WsMap ', 'ANY': 'char *'}
_FLAG_ORDER = ('REQUIRED', 'READ_ONLY', 'IMMUTABLE', 'SECRET', 'INTERNAL', 'INDEXED', 'UNIQUE', 'VOLATILE', 'NAME_LIKE',
               'TRANSIENT', 'NULLABLE', 'WEAK', 'SEARCH', 'DISPENSABLE')


def _value_type(f):
    kind = f.base_kind
    if kind == 'ENUM':
        return f.enum.c_name + ' '
    if kind == 'OBJECT':
        return f.sub.c_name + ' *'
    return _C_TYPES[kind]


def _member(f):
    t = _value_type(f)
    if f.kind == 'ARRAY':
        return f'struct {{ guint len; {t}*items; }} {f.c_name}'
    return f'{t}{f.c_name}'


def _note(f):
    """The comment beside a member: what it is, in the contract's words."""
    words = []
    if f.base_kind == 'REF':
        words.append('-> ' + f.ref)
    if f.base_kind == 'TIME':
        words.append('us')
    if f.description:
        words.append(f.description.replace('*/', '* /').replace('/*', '/ *').replace('\n', ' ').strip())
    return f' /* {" · ".join(words)} */' if words else ''


def _enum(e):
    rows = ', '.join(f'{e.constant(v)}{" = 1" if i == 0 else ""}' for i, v in enumerate(e.values))
    rows = textwrap.fill(rows, 116, initial_indent='  ', subsequent_indent='  ')
    return f'typedef enum {{\n{rows},\n}} {e.c_name};\nextern const char *const {_names(e)}[];\n'


def _names(e):
    return 'ws_' + c.snake(e.c_name[2:]) + '_names'


def _struct(t):
    out = [f'/* {t.description.strip()} */\n' if t.description and '*/' not in t.description else '', f'struct {t.c_name} {{\n']
    if t.resource:
        out.append('  WS_RESOURCE_FIELDS;\n')
    for f in t.fields:
        out.append(f'  {_member(f)};{_note(f)}\n')
    if not t.resource and not t.fields:
        out.append('  char nothing;\n')
    out.append('};\n')
    return ''.join(out)


def _wrappers(t):
    ws, name, desc = t.c_name, 'ws_' + t.snake, '&ws_type_' + t.snake
    rows = [
        f'static inline {ws} *{name}_new(void) {{ return ({ws} *)ws_object_new({desc}); }}',
        f'static inline {ws} *{name}_copy(const {ws} *o) {{ return ({ws} *)ws_object_copy({desc}, o); }}',
        f'static inline bool {name}_equal(const {ws} *a, const {ws} *b) {{ return ws_object_equal({desc}, a, b); }}',
        f'static inline {ws} *{name}_parse(const char *json, gsize n, WsParseMode mode, GError **error)'
        f' {{ return ({ws} *)ws_object_parse({desc}, json, n, mode, error); }}',
    ]
    if t.resource:
        rows += [
            f'static inline {ws} *{name}_ref(const {ws} *o) {{ return ({ws} *)ws_resource_ref(o); }}',
            f'static inline void {name}_unref(const {ws} *o) {{ ws_resource_unref(o); }}',
            f'G_DEFINE_AUTOPTR_CLEANUP_FUNC({ws}, {name}_unref)',
        ]
    else:
        rows += [
            f'static inline void {name}_free({ws} *o) {{ ws_object_free({desc}, o); }}',
            f'G_DEFINE_AUTOPTR_CLEANUP_FUNC({ws}, {name}_free)',
        ]
    fields = f'extern const WsField ws_fields_{t.snake}[];\n' if t.fields else ''
    return f'extern const WsType ws_type_{t.snake};\n' + fields + '\n'.join(rows) + '\n'


def model_h(contract):
    out = [c.head('The types of the contract as C structs. model/type.h tells how each kind is held and what can be done with all.'),
           '#pragma once\n#include "model/type.h"\n\n']
    for e in contract.enums:
        out.append(_enum(e))
    out.append('\n')
    for t in contract.types:
        out.append(f'typedef struct {t.c_name} {t.c_name};\n')
    for t in contract.types:
        out.append('\n')
        out.append(_struct(t))
        out.append(_wrappers(t))
    out.append('\n/* Positions in ws_resource_types[]. */\nenum {\n')
    for i, r in enumerate(contract.resources):
        out.append(f'  WS_RESOURCE_{r.type.snake.upper()} = {i},\n')
    out.append(f'  WS_N_RESOURCES = {len(contract.resources)},\n}};\n')
    return ''.join(out)


def _limits(f):
    """Initializers of WsField that hold limits."""
    out = []
    kind = f.base_kind
    if kind in ('INT', 'STRING') or f.kind == 'MAP':
        low, high = f.minimum, f.maximum
        out.append(f'.min = {c.int64(low)}, .max = {c.int64(INT_MAX if high is None else high)}')
        if f.multiple_of:
            out.append(f'.multiple_of = {c.int64(f.multiple_of)}')
    if kind == 'DOUBLE':
        out.append('.fmin = %s, .fmax = %s' % tuple(_double(v) for v in (f.minimum, f.maximum)))
    if f.kind in ('ARRAY', 'MAP'):
        out.append(f'.min_items = {f.min_items}, .max_items = {f.max_items}')
    if f.pattern:
        out.append(f'.pattern = {c.string(f.pattern)}')
    if f.format:
        out.append(f'.format = {c.string(f.format)}')
    if f.default is not MISSING:
        out.append(f'.default_json = {c.string(json.dumps(f.default, ensure_ascii=False, sort_keys=True))}')
    if f.use:
        out.append(f'.use_right = {c.string(f.use)}')
    return out


def _double(v):
    if v in (float('inf'), float('-inf')):
        return 'G_MAXDOUBLE' if v > 0 else '-G_MAXDOUBLE'
    return repr(float(v))


def _field(t, f):
    parts = [c.string(f.name), c.string(f'"{f.name}":'), f'WS_KIND_{f.kind}', f'WS_KIND_{f.item_kind}' if f.item_kind else '0',
             ' | '.join('WS_FIELD_' + x for x in _FLAG_ORDER if x in f.flags) or '0', f'offsetof({t.c_name}, {f.c_name})']
    row = [', '.join(parts), f'.quoted_len = {len(f.name) + 3}']
    if f.base_kind in ('OBJECT', 'REF'):
        row.append(f'.sub = &ws_type_{f.sub.snake}')
    if f.base_kind == 'ENUM':
        row.append(f'.names = {_names(f.enum)}')
    return '  {' + ', '.join(row + _limits(f)) + '},\n'


def model_c(contract):
    out = [c.head('Descriptor tables of the contract\'s types.'), '#include "model/model.h"\n\n']
    for e in contract.enums:
        out.append(f'const char *const {_names(e)}[] = {{{", ".join(c.string(v) for v in e.values)}, NULL}};\n')
    index = {r.type.name: i for i, r in enumerate(contract.resources)}
    for t in contract.types:
        out.append('\n')
        if t.fields:
            out.append(f'const WsField ws_fields_{t.snake}[] = {{\n')
            out += [_field(t, f) for f in t.fields]
            out.append('};\n')
            order = sorted(range(len(t.fields)), key=lambda i: t.fields[i].name.encode())
            out.append(f'static const guint16 {t.snake}_by_name[] = {{{", ".join(map(str, order))}}};\n')
        flags = '0'
        if t.resource:
            flags = 'WS_TYPE_RESOURCE' + (' | WS_TYPE_HISTORY' if t.resource.history else '')
        row = [f'.name = {c.string(t.name)}', f'.index = {index.get(t.name, 0)}', f'.flags = {flags}']
        if t.resource:
            row += [f'.prefix = {c.string(t.resource.prefix)}', f'.plural = {c.string(t.resource.plural)}']
        row.append(f'.size = sizeof({t.c_name})')
        if t.fields:
            row += [f'.n_fields = {len(t.fields)}', f'.fields = ws_fields_{t.snake}', f'.by_name = {t.snake}_by_name']
        out.append(f'const WsType ws_type_{t.snake} = {{{", ".join(row)}}};\n')
    out.append('\nconst WsType *const ws_resource_types[] = {')
    out.append(', '.join(f'&ws_type_{r.type.snake}' for r in contract.resources) or 'NULL')
    out.append(f'}};\nconst guint ws_n_resource_types = {len(contract.resources)};\n')
    by_name = sorted(contract.types, key=lambda t: t.name.encode())
    out.append('\nconst WsType *const ws_all_types[] = {\n' + ''.join(f'  &ws_type_{t.snake},\n' for t in by_name))
    out.append(f'}};\nconst guint ws_n_all_types = {len(by_name)};\n')
    return ''.join(out)
