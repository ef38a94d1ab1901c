# SPDX-License-Identifier: Apache-2.0
"""The whole contract as objects: types, resources with their operations, RPC calls, fixed routes.

load() reads every file of api/, checks it and returns a Contract; with mistakes it raises Problems, which tells all of them.
Everything that is written out (emit_*.py) is derived from the Contract alone and in its order, so the output is the same for
the same input.
"""
import os
import re
from dataclasses import dataclass, field as dc_field
from typing import Optional

from . import c, errors, looks, stored, texts, yamlfile
from .problem import Problem, Problems
from .schema import RIGHT, Builder, Type, suggest

_NO_TYPES = {'about.zh.yaml', 'errors.yaml', 'looks.yaml', 'phrases.yaml', 'texts.yaml', 'words.yaml', 'openapi.yaml'}
RISKS = ('low', 'medium', 'high')

_RESOURCE_KEYS = {'prefix', 'plural', 'zh', 'en', 'history', 'noun'}
_METHODS = ('list', 'get', 'create', 'update', 'delete')
_METHOD_KEYS = {
    'list': {'permission', 'summary', 'zh'},
    'get': {'permission', 'summary', 'zh'},
    'create': {'permission', 'audit', 'task', 'call', 'activity', 'query', 'body', 'result', 'summary', 'zh', 'danger'},
    'update': {'permission', 'fields', 'audit', 'task', 'call', 'activity', 'allowed', 'summary', 'zh', 'danger'},
    'delete': {'permission', 'audit', 'task', 'call', 'activity', 'allowed', 'body', 'summary', 'zh', 'danger'},
}
_VERB_KEYS = {'summary', 'zh', 'permission', 'audit', 'task', 'call', 'activity', 'danger', 'allowed', 'query', 'body', 'result', 'on'}
_VIEW_KEYS = {'summary', 'zh', 'permission', 'view', 'query', 'result', 'on', 'asks_host'}
_RPC_KEYS = {'from', 'summary', 'params', 'result', 'deadline_ms', 'notification'}
_PATH_KEYS = {'operationId', 'summary', 'description', 'parameters', 'x-zh', 'x-permission', 'x-audit', 'x-call', 'x-type', 'x-socket',
              'x-body', 'x-result', 'x-view'}
# public: no login; any: whoever is logged in; self: the user itself, or whoever has <type>.write; host-certificate: an enrolled host
_PERMISSION = re.compile(r'^(public|any|self|host-certificate|[a-z][a-z_]*\.[a-z][a-z_]*)$')


@dataclass(eq=False)
class Allowed:
    """One condition of a verb: the enum at `path` has one of `values`."""
    path: str
    fields: list
    values: list


@dataclass(eq=False)
class Operation:
    """A method or verb of a resource, or a fixed route."""
    name: str                 # list, get, create, update, delete, or the verb
    kind: str                 # LIST GET CREATE UPDATE DELETE VERB COLLECTION_VERB VIEW BATCH FIXED
    where: str
    method: str               # GET POST PATCH DELETE PUT
    path: str                 # "/volumes/{id}/resize"
    id: str                   # operation id: volume_resize
    permission: str
    resource: Optional['Resource'] = None
    summary: str = ''
    zh: str = ''
    audit_kind: Optional[str] = None
    risk: Optional[str] = None
    task: Optional[str] = None
    call: Optional[str] = None
    view: Optional[str] = None      # function that answers from a snapshot
    asks_host: bool = False         # the view asks a host: it runs in a coroutine
    activity: Optional[str] = None
    danger: int = 0
    field_rights: dict = dc_field(default_factory=dict)  # of an update: field -> right that it needs beside `permission`
    allowed: list = dc_field(default_factory=list)
    body: Optional[Type] = None     # its JSON body
    result: Optional[Type] = None   # of a call or a view
    query: list = dc_field(default_factory=list)  # Fields
    takes_bytes: bool = False       # the body is a stream of bytes
    socket: bool = False            # answers with a WebSocket

    @property
    def mutating(self):
        return self.method not in ('GET', 'HEAD')


@dataclass(eq=False)
class Resource:
    type: Type
    prefix: str
    plural: str
    zh: str
    history: bool
    file: str
    one: str                  # "port group", "VM"
    many: str
    noun: str                 # of winctl's commands: port-group
    columns: list = dc_field(default_factory=list)      # dotted paths
    operations: list = dc_field(default_factory=list)

    def operation(self, name):
        return next((o for o in self.operations if o.name == name), None)


@dataclass(eq=False)
class Rpc:
    name: str                 # volume.create
    where: str
    sender: str               # manager, host, both
    summary: str
    params: Optional[Type]
    result: Optional[Type]
    deadline_ms: int
    notification: bool

    @property
    def snake(self):
        return self.name.replace('.', '_')


@dataclass(eq=False)
class Contract:
    types: list
    enums: list
    resources: list           # in order of their files
    rpcs: list
    fixed: list               # Operations of openapi.yaml
    api: dict                 # openapi.yaml: info, servers, ...
    errors: dict
    texts: dict
    words: dict
    phrases: dict
    looks: dict               # "Vm.power.state": {value: {glyph, colour}}
    about: dict               # "vms.power_off" or "VmDisk.bus": what it does or means, in Chinese
    migrations: list = dc_field(default_factory=list)  # texts of api/schema/NNN.sql

    @property
    def operations(self):
        """All routes."""
        return [o for r in self.resources for o in r.operations] + self.fixed


class _Loader:
    def __init__(self, api):
        self.files = {}
        self.problems = []
        for root, dirs, names in os.walk(api):
            dirs.sort()
            for name in sorted(names):
                if name.endswith('.yaml'):
                    path = os.path.join(root, name)
                    shown = os.path.relpath(path, api).replace(os.sep, '/')
                    try:
                        self.files[shown] = yamlfile.load(path, 'api/' + shown)
                    except Problem as problem:
                        self.problems.append(problem)
                        self.files[shown] = {}
        self.builder = Builder(self.files)
        self.builder.problems = self.problems

    def problem(self, where, what):
        self.problems.append(Problem(where, what))

    def load(self):
        resources, rpcs = [], []
        named = [f for f in sorted(self.files) if f not in _NO_TYPES]
        for file in named:
            for key, value in self.files[file].items():
                if self.builder.is_object(value):
                    self.builder.add_named(file, key, 'resource' if 'x-resource' in value else 'part', peer=file.startswith('rpc/'))
                elif file.startswith('rpc/') and isinstance(value, dict) and key[:1].islower():
                    rpcs.append(self._rpc(file, key, value))
                elif not isinstance(value, dict):
                    self.problem(f'api/{file}: {key}', 'must be a mapping')
        for file in named:
            for key, value in self.files[file].items():
                if isinstance(value, dict) and 'x-resource' in value and key in self.builder.types:
                    resources.append(self._resource(file, key, value))
        fixed = self._paths()
        self._batches(resources)
        self.builder.resolve_refs()
        for r in resources:
            self._finish_resource(r)
        self.builder.check_c_names()
        self._check_unique(resources, fixed)
        catalogue = self.files.get('errors.yaml', {})
        sentences, words = self.files.get('texts.yaml', {}), self.files.get('words.yaml', {})
        phrases = self.files.get('phrases.yaml', {})
        for check in (lambda: errors.check(catalogue), lambda: errors.check_phrases(phrases), lambda: texts.check(sentences),
                      lambda: texts.check_words(words, self._words_used(resources), self._choices())):
            try:
                check()
            except Problem as problem:
                self.problems.append(problem)
        texts.check_about(self.files.get('about.zh.yaml', {}), resources, self.builder.types, self.problem)
        looks.check(self.files.get('looks.yaml', {}), self.builder.types, self.problem)
        if self.problems:
            raise Problems(self.problems)
        return Contract(list(self.builder.types.values()), list(self.builder.enums.values()), resources, [r for r in rpcs if r],
                        [f for f in fixed if f],
                        {k: v for k, v in self.files.get('openapi.yaml', {}).items() if k != 'paths'}, catalogue, sentences, words,
                        phrases, self.files.get('looks.yaml', {}), self.files.get('about.zh.yaml', {}))

    def _choices(self):
        """FIELD.WORD of every enum of a field: what may have a word of its own."""
        return {f'{f.name}.{value}' for t in self.builder.types.values() for f in t.fields if f.base_kind == 'ENUM' for value in f.enum.values}

    def _words_used(self, resources):
        """Activities, and the words of enums that are columns of a table: people see these in their language."""
        used = [(o.activity, f'{o.where}.activity') for r in resources for o in r.operations if o.activity]
        for r in resources:
            for column in r.columns:
                path = r.type.path(column)
                last = path[-1] if path else None
                if last and last.kind == 'OBJECT' and last.sub and last.sub.field('state'):
                    last = last.sub.field('state')
                if last and last.base_kind == 'ENUM':
                    used += [(word, last.where) for word in last.enum.values]
        return used

    # ---- resources ----

    def _resource(self, file, name, value):
        where = f'api/{file}: {name}'
        type_ = self.builder.types[name]
        x = value['x-resource']
        if not isinstance(x, dict):
            self.problem(where, 'x-resource must be a mapping')
            x = {}
        self._keys(x, _RESOURCE_KEYS, where + '.x-resource')
        prefix, plural = x.get('prefix', ''), x.get('plural', '')
        if not isinstance(prefix, str) or not re.match(r'^[a-z][a-z0-9]{0,10}$', prefix):
            self.problem(where, 'x-resource.prefix must be 1 to 11 lower-case letters or digits')
        if not isinstance(plural, str) or not re.match(r'^[a-z][a-z0-9]*(-[a-z0-9]+)*$', plural):
            self.problem(where, 'x-resource.plural must be lower-case words joined by -, such as port-groups')
        if not x.get('zh'):
            self.problem(where, 'x-resource.zh (Chinese name) is missing')
        if not type_.description:
            self.problem(where, 'description is missing')
        r = Resource(type_, str(prefix), str(plural), str(x.get('zh', '')), x.get('history', False) is True, file,
                     str(x.get('en', type_.snake.replace('_', ' '))), f"{x['en']}s" if 'en' in x else str(plural).replace('-', ' '),
                     str(x.get('noun', type_.snake.replace('_', '-'))))
        type_.resource = r
        for f in type_.fields:
            if 'INTERNAL' in f.flags:
                continue
            if not f.description:
                self.problem(f.where, 'description is missing: every field of a resource has one')
            if not f.zh:
                self.problem(f.where, 'x-zh (Chinese label) is missing: every field of a resource has one')
        methods, verbs = value.get('x-methods', {}), value.get('x-verbs', {})
        if r.history and (set(methods) - {'list', 'get'} or any(not isinstance(v, dict) or v.get('on') != 'collection' for v in verbs.values())):
            self.problem(where, 'a history type has only list, get and verbs of the collection')
        base = f'/{r.plural}'
        for key in methods:
            if key not in _METHODS:
                self.problem(f'{where}.x-methods.{key}', f'is none of {", ".join(_METHODS)}')
        for key in _METHODS:
            if key in methods:
                one = key in ('get', 'update', 'delete')
                http = {'list': 'GET', 'get': 'GET', 'create': 'POST', 'update': 'PATCH', 'delete': 'DELETE'}[key]
                self._operation(r, key, key.upper(), http, base + ('/{id}' if one else ''), methods[key],
                                f'{where}.x-methods.{key}', _METHOD_KEYS[key])
        for key, verb in verbs.items():
            at = f'{where}.x-verbs.{key}'
            if not c.NAME.match(key) or key in _METHODS or key == 'batch':
                self.problem(at, 'a verb is named in lower_case_words, and is none of list, get, create, update, delete, batch')
                continue
            on = isinstance(verb, dict) and verb.get('on', 'object')
            if on not in ('object', 'collection', False):
                self.problem(at, 'on must be object or collection')
            if on == 'collection':
                self._operation(r, key, 'COLLECTION_VERB', 'POST', f'{base}/{key}', verb, at, _VERB_KEYS)
            else:
                self._operation(r, key, 'VERB', 'POST', f'{base}/{{id}}/{key}', verb, at, _VERB_KEYS)
        for key, view in value.get('x-views', {}).items():
            at = f'{where}.x-views.{key}'
            if not c.NAME.match(key) or key in _METHODS or key in verbs:
                self.problem(at, 'a view is named in lower_case_words, and is neither a method nor a verb')
                continue
            if key == 'verbs':
                self.problem(at, 'the view verbs is there for every resource that has verbs')
                continue
            many = isinstance(view, dict) and view.get('on') == 'collection'
            self._operation(r, key, 'VIEW', 'GET', f'{base}/{key}' if many else f'{base}/{{id}}/{key}', view, at, _VIEW_KEYS)
        if 'get' in methods and any(isinstance(v, dict) and v.get('on') != 'collection' for v in verbs.values()):
            spec = {'summary': 'What can be done with it now, and why not.', 'zh': '可用操作', 'permission': methods['get'].get('permission'),
                    'result': {'$ref': 'common.yaml#/AllowedVerbs'}, 'view': 'allowed_verbs'}
            self._operation(r, 'verbs', 'VIEW', 'GET', f'{base}/{{id}}/verbs', spec, f'{where}.x-verbs', _VIEW_KEYS)
        return r

    _SUMMARIES = {
        'list': ('List {plural}.', '查询{zh}列表'), 'get': ('Show one {one}.', '查询{zh}'), 'create': ('Make a {one}.', '创建{zh}'),
        'update': ('Change a {one}.', '修改{zh}'), 'delete': ('Delete a {one}.', '删除{zh}'),
    }

    def _operation(self, r, name, kind, method, path, spec, where, keys):
        if not isinstance(spec, dict):
            self.problem(where, 'must be a mapping')
            return
        self._keys(spec, keys, where)
        o = Operation(name, kind, where, method, path, f'{r.type.snake}_{name}', spec.get('permission'), r)
        if name in self._SUMMARIES and kind == name.upper():
            en, zh = (t.format(one=r.one, plural=r.many, zh=r.zh) for t in self._SUMMARIES[name])
        else:
            en = zh = ''
            for key in ('summary', 'zh'):
                if not spec.get(key):
                    self.problem(where, f'{key} is missing')
        o.summary, o.zh = str(spec.get('summary', en)), str(spec.get('zh', zh))
        if re.search(r'\ba [aeiouA]', o.summary) and 'summary' not in spec:
            o.summary = re.sub(r'\ba ([aeiouA])', r'an \1', o.summary)
        self._served(o, spec, where)
        o.danger = spec.get('danger', 0)
        if o.danger not in (0, 1, 2, 3) or isinstance(o.danger, bool):
            self.problem(where, 'danger is 0 (run), 1 (one line), 2 (list) or 3 (type the name)')
            o.danger = 0
        if 'body' in spec:
            o.body = self._body(r.type.name + c.camel(name), spec['body'], r.file, where + '.body')
        elif kind == 'CREATE' or kind == 'UPDATE':
            o.body = r.type
        if 'result' in spec:
            if not o.call and kind != 'VIEW':
                self.problem(where, 'only a call or a view has a result; what a task made is its object')
            o.result = self._body(r.type.name + c.camel(name) + 'Result', spec['result'], r.file, where + '.result')
        if kind == 'VIEW' and not o.result:
            self.problem(where, 'a view has a result')
        if not isinstance(spec.get('asks_host', False), bool):
            self.problem(where, 'asks_host is true or false')
        o.asks_host = spec.get('asks_host') is True
        self._query(o, spec.get('query', {}), r.file, where + '.query')
        if kind == 'COLLECTION_VERB' and spec.get('allowed'):
            self.problem(where, 'a verb of the collection has no object whose state could allow it')
        self._field_rights(o, spec.get('fields', {}), where + '.fields')
        o.allowed = spec.get('allowed', {})  # resolved by _finish_resource()
        r.operations.append(o)

    def _field_rights(self, o, spec, where):
        """What it takes to change a field beside the right to change the object."""
        if not isinstance(spec, dict):
            self.problem(where, 'must be a mapping of fields to rights')
            return
        fields = {f.name: f for f in o.resource.type.fields}
        for name, right in spec.items():
            if name not in fields:
                self.problem(where, f'{name} is no field{suggest(str(name), list(fields))}')
            elif not isinstance(right, str) or not RIGHT.match(right):
                self.problem(where, f'{name}: write a right, noun.verb')
            else:
                o.field_rights[name] = right

    def _served(self, o, spec, where):
        """What methods, verbs and fixed routes have in common: permission, audit, and who does the work."""
        if not isinstance(o.permission, str) or not _PERMISSION.match(o.permission):
            self.problem(where, 'permission is missing: every route needs one, such as volume.read (or public, or self)'
                         if o.permission is None else f'permission {o.permission!r}: write noun.verb, public, any or self')
            o.permission = ''
        for key in ('task', 'call', 'view', 'activity'):
            value = spec.get(key)
            if value is not None and (not isinstance(value, str) or not c.NAME.match(value)):
                self.problem(where, f'{key} must be one lower_case name')
                continue
            setattr(o, key, value)
        if o.task and o.call:
            self.problem(where, 'it is served by a task or a call, not both')
        if o.task and not o.activity:
            self.problem(where, 'activity is missing: the word shown while the task runs')
        if o.kind in ('VERB', 'COLLECTION_VERB') and not o.task and not o.call:
            self.problem(where, 'a verb is served by task: or call:')
        if o.kind == 'VIEW' and not o.view:
            self.problem(where, 'a view is served by view:')
        if o.view and o.method != 'GET':
            self.problem(where, 'a view only reads: it answers GET')
        audit = spec.get('audit')
        if o.mutating or audit is not None:
            if not isinstance(audit, dict):
                self.problem(where, 'audit is missing: every mutating call is recorded, {kind: ..., risk: low|medium|high}')
                return
            self._keys(audit, {'kind', 'risk'}, where + '.audit')
            o.audit_kind, o.risk = audit.get('kind'), audit.get('risk')
            if not isinstance(o.audit_kind, str) or not c.NAME.match(o.audit_kind):
                self.problem(where, 'audit.kind must be a lower_case name')
            if o.risk not in RISKS:
                self.problem(where, f'audit.risk must be one of {", ".join(RISKS)}')

    def _body(self, name, spec, file, where, role='body'):
        """Type of a body, a result or parameters; None when it has no fields."""
        if not isinstance(spec, dict):
            self.problem(where, 'must be a mapping {required: [...], properties: {...}}')
            return None
        if '$ref' in spec:
            at = self.builder._lookup(spec['$ref'], file, where)
            return at and self.builder.add_named(at[0], at[1], 'part', peer=at[0].startswith('rpc/'))
        self._keys(spec, {'type', 'required', 'properties', 'description', 'x-zh'}, where)
        if not spec.get('properties'):
            if spec.get('required'):
                self.problem(where, 'required names what properties does not have')
            return None
        return self.builder.add_object(name, spec, file, where, role, peer=role == 'rpc')

    def _batches(self, resources):
        """POST /<plural>/batch for each resource with something to do to its objects. The right is that of the verb, on each object."""
        batch = self.builder.types.get('Batch')
        for r in resources:
            many = [o for o in r.operations if o.kind in ('VERB', 'DELETE')]
            if not many or batch is None:
                continue
            r.operations.append(Operation(
                'batch', 'BATCH', f'api/{r.file}: {r.type.name}', 'POST', f'/{r.plural}/batch', f'{r.type.snake}_batch',
                'any', r, f'Run one verb on many {r.many}.', f'批量操作{r.zh}',
                audit_kind='resource_operation', risk='high', body=batch))

    def _finish_resource(self, r):
        where = f'api/{r.file}: {r.type.name}'
        source = self.files[r.file][r.type.name]
        r.columns = source.get('x-columns', [])
        if not isinstance(r.columns, list) or not all(isinstance(x, str) for x in r.columns):
            self.problem(where, 'x-columns must be a list of field paths')
            r.columns = []
        if not r.columns and any(o.kind == 'LIST' for o in r.operations):
            self.problem(where, 'x-columns is missing: what winctl shows of a list')
        for column in r.columns:
            path = r.type.path(column)
            if column not in ('id', 'revision') and path is None:
                self.problem(f'{where}.x-columns', f'{column} is no field{suggest(column, [f.name for f in r.type.fields])}')
            elif path and any('INTERNAL' in f.flags or 'SECRET' in f.flags for f in path):
                self.problem(f'{where}.x-columns', f'{column} is never shown to clients')
        if r.history and not any(f.name == 'time' and f.kind == 'TIME' for f in r.type.fields):
            self.problem(where, 'a history type needs a field time (date-time)')
        for o in r.operations:
            conditions = o.allowed if isinstance(o.allowed, dict) else {}
            if conditions is not o.allowed and o.allowed:
                self.problem(o.where, 'allowed must be a mapping {field: [words]}')
            o.allowed = []
            for path, values in conditions.items():
                self._allow(o, r.type, path, values)

    def _allow(self, o, type_, path, values):
        where = f'{o.where}.allowed.{path}'
        fields = type_.path(path)
        if fields and fields[-1].kind == 'OBJECT' and fields[-1].sub and fields[-1].sub.field('state'):
            fields = fields + [fields[-1].sub.field('state')]  # power means power.state
        if not fields or fields[-1].kind != 'ENUM' or len(fields) > 2 or fields[0].kind == 'ARRAY':
            self.problem(where, f'{path} must be an enum of {type_.name}, or a part with an enum named state')
            return
        words = fields[-1].enum.values
        if not isinstance(values, list) or not values or set(values) - set(words):
            self.problem(where, f'must be a list of some of {", ".join(words)}')
            return
        o.allowed.append(Allowed('.'.join(f.name for f in fields), fields, values))

    # ---- the rest ----

    def _rpc(self, file, name, value):
        where = f'api/{file}: {name}'
        self._keys(value, _RPC_KEYS, where)
        if not re.match(r'^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$', name):
            self.problem(where, 'a call is named noun.verb')
            return None
        if value.get('from') not in ('manager', 'host', 'both'):
            self.problem(where, 'from must be manager, host or both: who calls')
        if not value.get('summary'):
            self.problem(where, 'summary is missing')
        deadline, notification = value.get('deadline_ms', 0), value.get('notification', False)
        if not isinstance(deadline, int) or isinstance(deadline, bool) or not 0 <= deadline <= 3600000:
            self.problem(where, 'deadline_ms must be 0 (none) to 3600000')
        if notification is not True and 'deadline_ms' not in value:
            self.problem(where, 'deadline_ms is missing (0: it lives while it makes progress)')
        if notification is True and ('result' in value or 'deadline_ms' in value):
            self.problem(where, 'a notification has neither result nor deadline')
        camel = 'Rpc' + c.camel(name)
        params = self._body(camel, value.get('params', {}), file, where + '.params', 'rpc')
        result = self._body(camel + 'Result', value.get('result', {}), file, where + '.result', 'rpc')
        return Rpc(name, where, value.get('from'), value.get('summary', ''), params, result, deadline, notification is True)

    def _paths(self):
        """The routes of openapi.yaml: those that are no method or verb of a resource."""
        out = []
        for path, item in self.files.get('openapi.yaml', {}).get('paths', {}).items():
            where = f'api/openapi.yaml: {path}'
            if not re.match(r'^(/([a-z0-9][a-z0-9._-]*|\{id\}))+$', path) or not isinstance(item, dict):
                self.problem(where, 'a path is such as /volumes/{id}/data, and holds get, post, put, patch or delete')
                continue
            for method, spec in item.items():
                if method not in ('get', 'post', 'put', 'patch', 'delete') or not isinstance(spec, dict):
                    self.problem(f'{where}.{method}', 'must be get, post, put, patch or delete with a mapping')
                    continue
                o = self._fixed(path, method.upper(), spec, f'{where}.{method}')
                if o:
                    out.append(o)
        return out

    def _fixed(self, path, method, spec, where):
        self._keys(spec, _PATH_KEYS, where)
        name = spec.get('operationId')
        if not isinstance(name, str) or not c.NAME.match(name):
            self.problem(where, 'operationId must be a lower_case name')
            return None
        o = Operation(name, 'FIXED', where, method, path, name, spec.get('x-permission'),
                      summary=str(spec.get('summary', '')), zh=str(spec.get('x-zh', '')), socket=spec.get('x-socket') is True)
        for key in ('summary', 'x-zh'):
            if not spec.get(key):
                self.problem(where, f'{key} is missing')
        self._served(o, {k[2:]: v for k, v in spec.items() if k.startswith('x-')}, where)
        if 'x-type' in spec:
            o.resource = next((t.resource for t in self.builder.types.values() if t.name == spec['x-type'] and t.resource), None)
            if o.resource is None:
                self.problem(where, f'x-type {spec["x-type"]} is no resource type')
        if ('{id}' in path) != (o.resource is not None):
            self.problem(where, 'a path with {id} names its type with x-type, others do not')
        body = spec.get('x-body', 'none')
        if body == 'bytes':
            o.takes_bytes = True
        elif body != 'none':
            o.body = self._body(c.camel(name), body, 'openapi.yaml', where + '.x-body')
        if 'x-result' in spec:
            o.result = self._body(c.camel(name) + 'Result', spec['x-result'], 'openapi.yaml', where + '.x-result')
        if o.view and not o.result:
            self.problem(where, 'a view has x-result')
        self._query(o, spec.get('parameters', {}), 'openapi.yaml', where + '.parameters')
        return o

    def _query(self, o, parameters, file, where):
        holder = Type(c.camel(o.id) + 'Query', where, 'body')
        for key, value in parameters.items():
            value = dict(value)
            required = value.pop('required', False) is True
            f = self.builder._field(holder, key, value, file, f'{where}.{key}')
            if f:
                if required:
                    f.flags.add('REQUIRED')
                o.query.append(f)

    def _check_unique(self, resources, fixed):
        seen = {}
        things = [(what, value, f'api/{r.file}: {r.type.name}') for r in resources
                  for what, value in (('prefix', r.prefix), ('plural', r.plural))]
        things += [('operation', o.id, o.where) for r in resources for o in r.operations]
        things += [('operation', o.id, o.where) for o in fixed if o]
        things += [('route', f'{o.method} {o.path}', o.where) for r in resources for o in r.operations]
        things += [('route', f'{o.method} {o.path}', o.where) for o in fixed if o]
        for what, value, where in things:
            if (what, value) in seen:
                self.problem(where, f'{what} {value} is taken by {seen[what, value]}')
            seen[what, value] = where
        users = {}  # a C function has one signature and one body type
        for o in [o for r in resources for o in r.operations] + [o for o in fixed if o]:
            for how in ('task', 'call', 'view'):
                name = getattr(o, how)
                if name and users.setdefault(name, how) != how:
                    self.problem(o.where, f'{name} is both a {how} and a {users[name]}')

    def _keys(self, mapping, known, where):
        if isinstance(mapping, dict):
            for key in sorted(set(mapping) - set(known)):
                self.problem(where, f'unknown key {key}{suggest(key, known)}')


def load(api):
    contract = _Loader(api).load()
    contract.migrations = stored.migrations(api)
    return contract
