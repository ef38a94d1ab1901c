# SPDX-License-Identifier: Apache-2.0
"""openapi.json: the API as OpenAPI 3.1, and the same text as a C array for GET /api/v1/openapi.json.

What OpenAPI has no word for are extensions: x-zh (Chinese text), x-ref (type an id belongs to), x-permission, x-field-permissions, x-audit, x-danger,
x-activity, x-allowed (states in which a verb is offered), x-unit, x-immutable, x-volatile.
"""
import json

from . import c
from .schema import INT_MAX, INT_MIN, MISSING

_ERRORS = {  # answers that several routes share: name -> (status, English, Chinese)
    'BadRequest': ('400', 'The request is not valid; `field` names the field.', '请求无效；field 指出字段。'),
    'Unauthenticated': ('401', 'Not logged in.', '未登录。'),
    'Forbidden': ('403', 'The caller lacks the right.', '无权限。'),
    'NotFound': ('404', 'There is no such object.', '对象不存在。'),
    'Conflict': ('409', 'The state of the object does not allow it, or somebody else holds it.', '对象状态不允许或被占用。'),
    'PreconditionFailed': ('412', 'If-Match names an older revision.', '版本不匹配。'),
    'Unprocessable': ('422', 'Understood, but it cannot be done.', '无法处理。'),
    'Problem': ('default', 'Any other error.', '其他错误。'),
}


def _value(f, item):
    """Schema of the value (of each item, when item) without what belongs to the field."""
    kind = f.item_kind if item else f.kind
    if kind == 'BOOL':
        return {'type': 'boolean'}
    if kind == 'INT':
        s = {'type': 'integer', 'format': 'int64'}
        if f.minimum != INT_MIN:
            s['minimum'] = f.minimum
        if f.maximum != INT_MAX:
            s['maximum'] = f.maximum
        if f.multiple_of:
            s['multipleOf'] = f.multiple_of
        return s
    if kind == 'DOUBLE':
        s = {'type': 'number'}
        if f.minimum != float('-inf'):
            s['minimum'] = f.minimum
        if f.maximum != float('inf'):
            s['maximum'] = f.maximum
        return s
    if kind == 'STRING':
        s = {'type': 'string', 'maxLength': f.maximum}
        if f.minimum:
            s['minLength'] = f.minimum
        if f.pattern:
            s['pattern'] = f.pattern
        if f.format:
            s['format'] = f.format
        return s
    if kind == 'ENUM':
        return {'type': 'string', 'enum': f.enum.values}
    if kind == 'TIME':
        return {'type': 'string', 'format': 'date-time'}
    if kind == 'REF':
        return {'type': 'string', 'pattern': id_pattern(f.sub.resource.prefix), 'x-ref': f.ref}
    if kind == 'ANYREF':
        return {'type': 'string', 'pattern': id_pattern('[a-z][a-z0-9]*'), 'x-ref': 'any'}
    if kind == 'OBJECT':
        return {'$ref': f'#/components/schemas/{f.sub.name}'}
    if kind == 'MAP':
        s = {'type': 'object', 'additionalProperties': {'type': 'string', 'maxLength': f.max_items}, 'maxProperties': f.maximum}
        if f.minimum:
            s['minProperties'] = f.minimum
        return s
    return {}


def id_pattern(prefix):
    return f'^{prefix}-[1-9][0-9]{{0,18}}$'


def _field(f):
    if f.kind == 'ARRAY':
        s = {'type': 'array', 'items': _value(f, True), 'maxItems': f.max_items}
        if f.min_items:
            s['minItems'] = f.min_items
    else:
        s = _value(f, False)
    if f.description:
        s['description'] = f.description
    if f.zh:
        s['x-zh'] = f.zh
    if f.unit:
        s['x-unit'] = f.unit
    if f.default is not MISSING:
        s['default'] = f.default
    if f.use:
        s['x-use'] = f.use
    if 'NULLABLE' in f.flags and 'type' in s:
        s['type'] = [s['type'], 'null']
        if 'enum' in s:
            s['enum'] = s['enum'] + [None]
    for flag, key in (('READ_ONLY', 'readOnly'), ('SECRET', 'writeOnly'), ('IMMUTABLE', 'x-immutable'), ('VOLATILE', 'x-volatile'),
                      ('INDEXED', 'x-index')):
        if flag in f.flags:
            s[key] = True
    return s


def _object(t):
    """Schema of a type as clients see it."""
    properties = {}
    required = [f.name for f in t.fields if 'REQUIRED' in f.flags]
    if t.resource:
        properties['id'] = {'type': 'string', 'pattern': id_pattern(t.resource.prefix), 'readOnly': True,
                            'description': 'Id; never used again.', 'x-zh': 'ID'}
        properties['revision'] = {'type': 'integer', 'format': 'int64', 'minimum': 0, 'readOnly': True,
                                  'description': 'Revision of the inventory in which it was last changed; its ETag.', 'x-zh': '版本'}
        required = ['id', 'revision'] + required
    properties |= {f.name: _field(f) for f in t.fields if 'INTERNAL' not in f.flags}
    s = {'type': 'object', 'properties': properties}
    if t.description:
        s['description'] = t.description
    if required:
        s['required'] = required
    if t.role == 'body':
        s['additionalProperties'] = False
    if t.resource:
        s['x-zh'] = t.resource.zh
        s['x-resource'] = {'prefix': t.resource.prefix, 'plural': t.resource.plural, 'columns': t.resource.columns}
        if t.resource.history:
            s['x-resource']['history'] = True
    elif t.zh:
        s['x-zh'] = t.zh
    return s


def _patch(t):
    """Schema of a merge patch: every settable field, none required, null resets."""
    properties = {}
    for f in t.fields:
        if f.flags & {'INTERNAL', 'READ_ONLY', 'IMMUTABLE'}:
            continue
        s = _field(f)
        s.pop('default', None)
        if 'REQUIRED' not in f.flags:
            if '$ref' in s:
                s = {'anyOf': [{'$ref': s.pop('$ref')}, {'type': 'null'}]} | s
            elif 'type' in s and not isinstance(s['type'], list):
                s['type'] = [s['type'], 'null']
                if 'enum' in s:
                    s['enum'] = s['enum'] + [None]
        properties[f.name] = s
    return {'type': 'object', 'description': f'Changes of a {t.name}: JSON merge patch (RFC 7386); null resets a field to its default. '
                                             'Parts are merged, too: give only what changes.',
            'properties': properties, 'additionalProperties': False}


def reachable(contract):
    """Types that clients meet, in order of the contract."""
    seen = set()

    def visit(t):
        if t.name in seen:
            return
        seen.add(t.name)
        for f in t.fields:
            if f.base_kind == 'OBJECT' and 'INTERNAL' not in f.flags:
                visit(f.sub)

    for o in contract.operations:
        for t in (o.resource.type if o.resource else None, o.body, o.result):
            if t:
                visit(t)
    return [t for t in contract.types if t.name in seen]


# ---- paths ----

_LIST_QUERY = ('Filter', 'Sort', 'Fields', 'Limit', 'Cursor')


def _ref(kind, name):
    return {'$ref': f'#/components/{kind}/{name}'}


def _json(schema):
    return {'application/json': {'schema': schema}}


def _schema(t):
    return _ref('schemas', t.name)


def _parameters(o):
    out = []
    if '{id}' in o.path:
        out.append({'name': 'id', 'in': 'path', 'required': True, 'description': f'Id of the {o.resource.type.name}.',
                    'schema': {'type': 'string', 'pattern': id_pattern(o.resource.prefix)}})
    if o.kind == 'LIST':
        out += [_ref('parameters', n) for n in _LIST_QUERY]
    elif o.kind == 'GET':
        out.append(_ref('parameters', 'Fields'))
    for f in o.query:
        s = _field(f)
        s.pop('description', None)
        out.append({'name': f.name, 'in': 'query', 'required': 'REQUIRED' in f.flags, 'description': f.description or f.name, 'schema': s})
    if o.mutating and o.kind != 'FIXED':
        out.append(_ref('parameters', 'DryRun'))
        if '{id}' in o.path:
            out.append(_ref('parameters', 'IfMatch'))
        if o.method == 'POST':
            out.append(_ref('parameters', 'IdempotencyKey'))
    elif o.mutating and o.call:
        out.append(_ref('parameters', 'DryRun'))
    return out


def _success(o):
    """The good answers: status -> response."""
    one = o.resource.type if o.resource else None
    if o.view:
        return {'200': {'description': 'The answer, of one moment.', 'content': _json(_schema(o.result))}}
    if o.socket:
        return {'101': {'description': 'The connection goes on as a WebSocket.'}}
    if o.kind == 'LIST':
        return {'200': {'description': f'A page of {o.resource.plural}.', 'content': _json(_ref('schemas', one.name + 'List'))}}
    if o.kind == 'GET':
        return {'200': {'description': f'The {one.name}.', 'headers': {'ETag': _ref('headers', 'ETag')}, 'content': _json(_schema(one))}}
    if o.kind == 'FIXED':
        if o.result:
            return {'200': {'description': 'The answer.', 'content': _json(_schema(o.result))}}
        if o.takes_bytes:
            return {'204': {'description': 'Taken.'}}
        if o.method == 'GET' and o.resource:
            return {'200': {'description': 'The bytes.', 'content': {'application/octet-stream': {}}},
                    '206': {'description': 'The bytes of the Range asked for.', 'content': {'application/octet-stream': {}}}}
        return {'200': {'description': 'The answer.', 'content': _json({'type': 'object'})}}
    dry = {'200': {'description': 'With dry_run: what would happen.', 'content': _json(_ref('schemas', 'DryRun'))}}
    if o.kind == 'BATCH':
        dry = {'200': {'description': 'With dry_run: what would happen; else what became of each object, of a verb that answers at once.',
                       'content': _json({'anyOf': [_ref('schemas', 'DryRun'), _ref('schemas', 'BatchResults')]})}}
    if o.task or o.kind == 'BATCH':
        return dry | {'202': {'description': 'Accepted; the task goes on.', 'headers': {'Location': _ref('headers', 'Location')},
                              'content': _json(_ref('schemas', 'Task'))}}
    if o.result:
        return {'200': {'description': 'The answer; with dry_run: what would happen.',
                        'content': _json({'anyOf': [_schema(o.result), _ref('schemas', 'DryRun')]})}}
    if o.kind == 'CREATE':
        return dry | {'201': {'description': 'Made.', 'headers': {'ETag': _ref('headers', 'ETag'), 'Location': _ref('headers', 'Location')},
                              'content': _json(_schema(one))}}
    if o.kind == 'UPDATE' or (o.call and o.kind != 'DELETE'):
        return {'200': {'description': 'The object as it is now; with dry_run: what would happen.', 'headers': {'ETag': _ref('headers', 'ETag')},
                        'content': _json({'anyOf': [_schema(one), _ref('schemas', 'DryRun')]})},
                '204': {'description': 'Done.'}}
    return dry | {'204': {'description': 'Done.'}}


def _failures(o):
    names = ['BadRequest']
    if o.permission != 'public':
        names += ['Unauthenticated', 'Forbidden']
    if '{id}' in o.path:
        names.append('NotFound')
    if o.mutating and not o.socket:
        names += ['Conflict', 'PreconditionFailed', 'Unprocessable']
    return {_ERRORS[n][0]: _ref('responses', n) for n in names + ['Problem']}


def _body(o):
    if o.kind == 'UPDATE':
        patch = {'schema': _ref('schemas', o.resource.type.name + 'Patch')}
        return {'required': True, 'content': {'application/merge-patch+json': patch, 'application/json': patch}}
    if o.takes_bytes:
        return {'required': True, 'content': {'application/octet-stream': {}}}
    if o.body:
        needed = any('REQUIRED' in f.flags for f in o.body.fields)
        return {'required': needed, 'content': _json(_schema(o.body))}
    return None


def _operation(o):
    s = {'operationId': o.id, 'summary': o.summary, 'x-zh': o.zh, 'tags': [o.resource.plural if o.resource else 'system'],
         'x-permission': o.permission}
    if o.field_rights:
        s['x-field-permissions'] = o.field_rights
    if o.permission == 'public':
        s['security'] = []
    elif o.permission == 'host-certificate':
        s['security'] = [{'host': []}]
    parameters = _parameters(o)
    if parameters:
        s['parameters'] = parameters
    body = _body(o)
    if body:
        s['requestBody'] = body
    s['responses'] = _success(o) | _failures(o)
    if o.audit_kind:
        s['x-audit'] = {'kind': o.audit_kind, 'risk': o.risk}
    if o.activity:
        s['x-activity'] = o.activity
    if o.danger:
        s['x-danger'] = o.danger
    if o.task:
        s['x-task'] = o.task
    if o.allowed:
        s['x-allowed'] = {a.path: a.values for a in o.allowed}
    return s


def _components(contract):
    schemas = {}
    for t in reachable(contract):
        schemas[t.name] = _object(t)
        if t.resource and t.resource.operation('list'):
            schemas[t.name + 'List'] = {
                'type': 'object', 'description': f'A page of {t.resource.plural}.', 'required': ['items', 'revision'],
                'properties': {
                    'items': {'type': 'array', 'items': _schema(t), 'description': 'The objects; with `fields`, only those fields.'},
                    'revision': {'type': 'integer', 'format': 'int64', 'minimum': 0,
                                 'description': 'Revision that the page was read at; watch from here.'},
                    'total': {'type': 'integer', 'format': 'int64', 'minimum': 0,
                              'description': 'Number of objects that pass the filter; absent for history.'},
                    'next_cursor': {'type': 'string', 'description': 'Give it as `cursor` for the next page; absent: this is the last.'}}}
        if t.resource and t.resource.operation('update'):
            schemas[t.name + 'Patch'] = _patch(t)
    schemas['Error'] = {
        'type': 'object', 'description': 'The one form of errors.', 'required': ['code', 'message', 'request_id', 'params'],
        'properties': {
            'code': {'type': 'string', 'enum': list(contract.errors), 'description': 'What it is, for programs.'},
            'message': {'type': 'string', 'description': 'What it is, for people, in the language of Accept-Language (en, zh).'},
            'field': {'type': 'string', 'description': 'Path of the field it is about, such as disks[1].size_bytes.'},
            'cause': {'type': 'string', 'description': 'Technical cause.'},
            'hint': {'type': 'string', 'description': 'What to do next.'},
            'task': {'type': 'string', 'description': 'The task concerned.'},
            'params': {'type': 'object', 'additionalProperties': {'type': 'string'}, 'description': 'Parameters of the message.'},
            'request_id': {'type': 'string', 'description': 'Names the request in logs and audit.'}}}
    schemas['DryRun'] = {
        'type': 'object', 'description': 'Answer to dry_run: all checks have passed, nothing was done.', 'required': ['dry_run', 'steps'],
        'properties': {'dry_run': {'type': 'boolean', 'const': True},
                       'steps': {'type': 'array', 'items': {'type': 'string'}, 'description': 'What would happen, in order.'},
                       'waits_for_restart': {'type': 'array', 'items': {'type': 'string'},
                                             'description': 'Paths of settings of a running VM that would take effect with its next power cycle.'},
                       'check': {**_ref('schemas', 'PoolFindings'), 'description': 'What hosts say of a pool that would be made there, or attached to them.'},
                       'results': {'type': 'array', 'items': _ref('schemas', 'BatchItemResult'), 'description': 'Of a batch: one for each object.'}}}
    schemas['BatchItemResult'] = {
        'type': 'object', 'description': 'What became of one object of a batch.', 'required': ['id'],
        'properties': {'id': {'type': 'string', 'pattern': id_pattern('[a-z][a-z0-9]*'), 'description': 'The object.'},
                       'error': _ref('schemas', 'Error'),
                       'steps': {'type': 'array', 'items': {'type': 'string'}, 'description': 'With dry_run: what would happen.'},
                       'waits_for_restart': {'type': 'array', 'items': {'type': 'string'}, 'description': 'With dry_run: what would wait for a restart.'}}}
    if 'MigrationForecast' in schemas:
        for name in ('DryRun', 'BatchItemResult'):
            schemas[name]['properties']['forecast'] = _ref('schemas', 'MigrationForecast')
    schemas['BatchResults'] = {
        'type': 'object', 'description': 'Answer to a batch of a verb that answers at once; without an error it was done.', 'required': ['results'],
        'properties': {'results': {'type': 'array', 'items': _ref('schemas', 'BatchItemResult'), 'description': 'One for each object.'}}}
    text = {'type': 'string', 'maxLength': 8192}
    return {
        'schemas': schemas,
        'parameters': {
            'Filter': {'name': 'filter', 'in': 'query', 'schema': text, 'example': 'power.state=running and name~web',
                       'description': 'Terms joined by " and ": path, one of = != < <= > >= ~ (contains), value; "" is absent.'},
            'Sort': {'name': 'sort', 'in': 'query', 'schema': text, 'example': 'name,-created',
                     'description': 'Up to four fields, - for descending; ties by id. Of history: id, -id, time or -time.'},
            'Fields': {'name': 'fields', 'in': 'query', 'schema': text, 'example': 'name,power',
                       'description': 'Only these top-level fields; id and revision always.'},
            'Limit': {'name': 'limit', 'in': 'query', 'description': 'Objects on a page; of history at most 10,000.',
                      'schema': {'type': 'integer', 'minimum': 1, 'maximum': 100000}},
            'Cursor': {'name': 'cursor', 'in': 'query', 'schema': text, 'description': 'next_cursor of the page before; same filter and sort.'},
            'DryRun': {'name': 'dry_run', 'in': 'query', 'schema': {'type': 'boolean', 'default': False},
                       'description': 'Run all checks, do nothing, answer what would happen.'},
            'IfMatch': {'name': 'If-Match', 'in': 'header', 'schema': {'type': 'string'},
                        'description': 'ETag that the object must still have.'},
            'IdempotencyKey': {'name': 'Idempotency-Key', 'in': 'header', 'schema': {'type': 'string', 'minLength': 1, 'maxLength': 255},
                               'description': 'Repeating a request with the same key gives the first answer again; kept for a day.'}},
        'headers': {
            'ETag': {'description': 'Revision of the object.', 'schema': {'type': 'string'}},
            'Location': {'description': 'Path of the new object or task.', 'schema': {'type': 'string'}}},
        'responses': {name: {'description': en, 'x-zh': zh, 'content': _json(_ref('schemas', 'Error'))}
                      for name, (_, en, zh) in _ERRORS.items()},
        'securitySchemes': {
            'token': {'type': 'http', 'scheme': 'bearer', 'description': 'Token of a session or an API token.'},
            'cookie': {'type': 'apiKey', 'in': 'cookie', 'name': 'winsphere_session', 'description': 'Session of a browser.'},
            'host': {'type': 'mutualTLS', 'description': 'Certificate of an enrolled host.'}},
    }


def document(contract):
    paths = {}
    for o in contract.operations:
        paths.setdefault(o.path, {})[o.method.lower()] = _operation(o)
    tags = [{'name': r.plural, 'description': r.type.description, 'x-zh': r.zh} for r in contract.resources if r.operations]
    tags.append({'name': 'system', 'description': 'Routes that belong to no resource.', 'x-zh': '系统'})
    return {'openapi': '3.1.0', **contract.api, 'security': [{'token': []}, {'cookie': []}], 'tags': tags,
            'paths': paths, 'components': _components(contract)}


def openapi_json(contract):
    return json.dumps(document(contract), ensure_ascii=False, indent=1) + '\n'


def openapi_h(contract):
    return c.head('The OpenAPI description that GET /api/v1/openapi.json answers.') + '''#pragma once
#include <glib.h>

extern const char ws_openapi_json[];
extern const gsize ws_openapi_json_bytes; /* without the NUL */
'''


def openapi_c(contract):
    text = json.dumps(document(contract), ensure_ascii=False, separators=(',', ':'))
    lines = [text[i:i + 160] for i in range(0, len(text), 160)]
    return (c.head('The OpenAPI description.') + '#include "model/openapi.h"\n\nconst char ws_openapi_json[] =\n'
            + ''.join(f'  {c.string(line)}\n' for line in lines)
            + ';\nconst gsize ws_openapi_json_bytes = sizeof ws_openapi_json - 1;\n')
