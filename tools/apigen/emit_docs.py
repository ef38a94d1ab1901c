# SPDX-License-Identifier: Apache-2.0
"""reference.md: the API for people, one section for each resource."""
import json

from .emit_center import BASE
from .emit_openapi import reachable
from .schema import INT_MAX, INT_MIN, MISSING

_HEAD = '''# API reference

Generated from `api/`; the same in machine form is `GET /api/v1/openapi.json`.

All paths begin with `/api/v1`. Send the token of a session or an API token as `Authorization: Bearer <token>`. Bodies are JSON.

- **Lists** take `filter`, `sort`, `fields`, `limit`, `cursor` and answer `{items, revision, total, next_cursor}`.
  A filter is terms joined by ` and `: a path, one of `= != < <= > >= ~` (contains), a value. `""` means absent. Through lists any item counts.
- **History** (events, audit records, ended tasks, migrations) is listed with the same filters; `sort` is `id`, `-id` (as written), `time` or `-time`, newest
  first where nothing is said; a page has at most 10,000. Records are found fast by a range of `time` and by equality on fields marked as indexed; whatever else
  a filter asks is seen record by record. `total` is not given. New records are watched as `watch?types=events&since=<revision of the list>`; a watch
  that names no types is of objects alone.
- **Query parameters** that a call does not have are refused (`unknown_parameter`), and so is one that is given twice: nothing is done then.
- **Changes** take `dry_run=true` (all checks, nothing done, the steps as answer); `If-Match` with the object's ETag; POST also `Idempotency-Key`.
  A batch takes the same; its dry run checks each object and has a result for each.
  What takes time answers 202 with a task. A PATCH is a JSON merge patch (RFC 7386); the same one twice is no change.
- **Errors** have one form: `code`, `message`, `field`, `cause`, `hint`, `task`, `params`, `request_id`. Codes are at the end.

'''


def _cell(text):
    return str(text).replace('|', '\\|').replace('\n', ' ')


def _type(f):
    kind = f.base_kind
    name = {
        'BOOL': 'boolean', 'INT': 'integer', 'DOUBLE': 'number', 'STRING': f.format or 'string', 'TIME': 'time', 'ANYREF': 'id',
        'MAP': 'map of strings', 'ANY': 'any',
    }.get(kind)
    if kind == 'ENUM':
        name = ', '.join(f'`{v}`' for v in f.enum.values)
    elif kind == 'REF':
        name = f'id of a [{f.ref}](#{f.ref.lower()})'
    elif kind == 'OBJECT':
        name = f'[{f.sub.name}](#{f.sub.name.lower()})'
    return f'list of {name}' if f.kind == 'ARRAY' else name


def _range(low, high):
    return f'{low} to {high}' if low else f'up to {high}'


def _limits(f):
    out = []
    if f.base_kind == 'INT':
        if f.minimum != INT_MIN and f.maximum != INT_MAX:
            out.append(f'{f.minimum} to {f.maximum}')
        elif f.minimum != INT_MIN:
            out.append(f'at least {f.minimum}')
        if f.multiple_of:
            out.append(f'multiple of {f.multiple_of}')
    if f.base_kind == 'STRING' and not f.format:
        out.append(f'`{f.pattern}`' if f.pattern else f'{_range(f.minimum, f.maximum)} characters')
    if f.kind == 'ARRAY':
        out.append(f'{_range(f.min_items, f.max_items)} items')
    if f.unit and f.unit != 'bytes':
        out.append(f'in {f.unit}')
    if f.default is not MISSING:
        out.append(f'default `{json.dumps(f.default, ensure_ascii=False)}`')
    return ', '.join(out)


def _marks(f):
    return ', '.join(word for flag, word in (
        ('REQUIRED', 'required'), ('READ_ONLY', 'read-only'), ('IMMUTABLE', 'set once'), ('SECRET', 'write-only'),
        ('UNIQUE', 'unique'), ('INDEXED', 'indexed')) if flag in f.flags)


def _fields(t):
    rows = [f for f in t.fields if 'INTERNAL' not in f.flags]
    if not rows:
        return ''
    out = ['| field | type | limits | | |\n|---|---|---|---|---|\n']
    for f in rows:
        out.append(f'| `{f.name}` | {_cell(_type(f))} | {_cell(_limits(f))} | {_marks(f)} | {_cell(f.description or "")} |\n')
    return ''.join(out) + '\n'


def _operation(o):
    out = [f'#### `{o.method} {BASE}{o.path}`\n\n{o.summary}\n\n']
    facts = [f'right `{o.permission}`']
    facts += [f'`{name}`: right `{right}` too' for name, right in o.field_rights.items()]
    if o.audit_kind:
        facts.append(f'audited as {o.audit_kind.replace("_", " ")}, risk {o.risk}')
    if o.task or o.kind == 'BATCH':
        facts.append('runs as a task')
    if o.socket:
        facts.append('answers with a WebSocket')
    if o.allowed:
        facts.append('allowed while ' + ' and '.join(f'`{a.path}` is {" or ".join(a.values)}' for a in o.allowed))
    out.append(' · '.join(facts) + '\n\n')
    if o.query:
        out.append('Query:\n\n' + _fields_of(o.query))
    if o.body and o.kind not in ('CREATE', 'UPDATE') and not o.body.resource:
        out.append('Body:\n\n' + _fields(o.body))
    if o.result:
        out.append('Answer:\n\n' + _fields(o.result))
    return ''.join(out)


def _fields_of(query):
    return ''.join(f'- `{f.name}`{" (required)" if "REQUIRED" in f.flags else ""}: {f.description or ""}\n' for f in query) + '\n'


def reference_md(contract):
    out = [_HEAD]
    shown = reachable(contract)
    resources = [r for r in contract.resources if r.operations]
    out.append('| resource | path | |\n|---|---|---|\n')
    out += [f'| [{r.type.name}](#{r.type.name.lower()}) | `{BASE}/{r.plural}` | {_cell(r.type.description)} |\n' for r in resources]
    out.append('\n')
    for r in resources:
        out.append(f'## {r.type.name}\n\n{r.type.description} Ids are `{r.prefix}-<number>`.\n\n')
        out.append('Besides `id` and `revision`:\n\n' + _fields(r.type))
        out += [_operation(o) for o in r.operations]
    out.append('## Other routes\n\n')
    out += [_operation(o) for o in contract.fixed]
    out.append('## Parts\n\n')
    for t in shown:
        if t.role == 'part':
            out.append(f'### {t.name}\n\n' + (f'{t.description.strip()}\n\n' if t.description else '') + _fields(t))
    out.append('## Error codes\n\n| code | status | message | what to do |\n|---|---|---|---|\n')
    for code, e in contract.errors.items():
        out.append(f'| `{code}` | {e["status"]} | {_cell(e["en"])} | {_cell(e.get("hint_en", ""))} |\n')
    return ''.join(out)
