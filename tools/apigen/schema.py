# SPDX-License-Identifier: Apache-2.0
"""Types, fields and enums of the contract, built from checked JSON Schema.

A Builder turns the mappings of the YAML files into Type objects. What it accepts is what the C engine (src/model) can hold:
each field is one of the KINDS below. Everything else is a Problem naming file and path; problems are collected, so that an
author sees all of them at once.
"""
import difflib
import re
from dataclasses import dataclass, field as dc_field
from typing import Any, Optional

from . import c
from .problem import Problem

RIGHT = re.compile(r'^[a-z][a-z_]*\.[a-z][a-z_]*$')  # noun.verb

KINDS = ('BOOL', 'INT', 'DOUBLE', 'STRING', 'ENUM', 'REF', 'ANYREF', 'TIME', 'OBJECT', 'ARRAY', 'MAP', 'ANY')

# Formats that src/model/format.c knows; a unit test compares.
FORMATS = ('ipv4', 'ipv6', 'ip', 'cidr', 'mac', 'hostname', 'uuid', 'sha256', 'ssh-key', 'url', 'email', 'date', 'time-of-day', 'base64')

MISSING = object()
INT_MIN, INT_MAX = -2**63 + 1, 2**63 - 1  # -2^63 says "absent" in C
# Limits of what states none: every input has one.
DEFAULT_STRING, DEFAULT_ITEMS, DEFAULT_ENTRIES = 4096, 1024, 256
PEER_STRING, PEER_ITEMS, PEER_ENTRIES = 1 << 20, 1 << 20, 65536  # from a peer that has a certificate

_FLAGS = {  # key of the contract -> WS_FIELD_*
    'readOnly': 'READ_ONLY', 'writeOnly': 'SECRET', 'x-internal': 'INTERNAL', 'x-index': 'INDEXED', 'x-unique': 'UNIQUE',
    'x-immutable': 'IMMUTABLE', 'x-volatile': 'VOLATILE', 'x-person-text': 'NAME_LIKE', 'x-transient': 'TRANSIENT',
    'nullable': 'NULLABLE', 'x-weak': 'WEAK', 'x-search': 'SEARCH',
    'x-dispensable': 'DISPENSABLE',
}
_ANY_KIND = {'description', 'x-zh', 'x-unit', 'examples', 'deprecated', *_FLAGS}
_BY_KIND = {
    'BOOL': {'type', 'default'},
    'INT': {'type', 'format', 'default', 'minimum', 'maximum', 'multipleOf'},
    'DOUBLE': {'type', 'format', 'default', 'minimum', 'maximum'},
    'STRING': {'type', 'format', 'default', 'minLength', 'maxLength', 'pattern'},
    'ENUM': {'type', 'enum', 'default'},
    'TIME': {'type', 'format'},
    'REF': {'x-ref', 'x-use'},
    'ANYREF': {'x-ref'},
    'OBJECT': {'type', 'properties', 'required', 'default'},
    'ARRAY': {'type', 'items', 'minItems', 'maxItems', 'default'},
    'MAP': {'type', 'additionalProperties', 'maxProperties', 'minProperties', 'default'},
    'ANY': set(),
}
_TYPE_KEYS = {'type', 'description', 'x-zh', 'required', 'properties', 'readOnly', 'x-volatile',
              'x-resource', 'x-columns', 'x-methods', 'x-verbs', 'x-views'}


@dataclass(eq=False)
class Enum:
    c_name: str          # WsVolumeFormat
    prefix: str          # WS_VOLUME_FORMAT
    values: list

    def constant(self, value):
        return f'{self.prefix}_{re.sub(r"[^A-Za-z0-9]", "_", value).upper()}'


@dataclass(eq=False)
class Field:
    name: str
    kind: str
    where: str
    schema: dict                      # as written, $ref merged
    flags: set = dc_field(default_factory=set)
    description: Optional[str] = None
    zh: Optional[str] = None
    unit: Optional[str] = None
    item_kind: Optional[str] = None   # of an ARRAY
    item_schema: dict = dc_field(default_factory=dict)
    sub: Optional['Type'] = None      # OBJECT (or items): its type; REF: the target
    ref: Optional[str] = None         # name of the target, or 'any'
    enum: Optional[Enum] = None
    minimum: Any = None
    maximum: Any = None
    multiple_of: int = 0
    min_items: int = 0
    max_items: int = 0
    pattern: Optional[str] = None
    format: Optional[str] = None
    default: Any = MISSING
    use: Optional[str] = None         # REF: right that it takes to name an object here

    @property
    def base_kind(self):
        """The kind of the value, or of each item."""
        return self.item_kind if self.kind == 'ARRAY' else self.kind

    @property
    def c_name(self):
        return self.name + '_' if self.name in c.C_WORDS else self.name


@dataclass(eq=False)
class Type:
    name: str                         # "VmDisk"
    where: str
    role: str                         # resource, part, body, rpc
    description: Optional[str] = None
    zh: Optional[str] = None
    fields: list = dc_field(default_factory=list)
    required: set = dc_field(default_factory=set)
    resource: Optional[object] = None  # contract.Resource
    peer: bool = False                # travels between manager and agent only

    @property
    def c_name(self):
        return 'Ws' + self.name

    @property
    def snake(self):
        return c.snake(self.name)

    def field(self, name):
        return next((f for f in self.fields if f.name == name), None)

    def path(self, dotted):
        """The fields along a path such as power.state, or None."""
        out, where = [], self
        for step in dotted.split('.'):
            f = where.field(step) if where else None
            if f is None:
                return None
            out.append(f)
            where = f.sub if f.base_kind == 'OBJECT' else None
        return out


def suggest(word, known):
    near = difflib.get_close_matches(word, sorted(known), 1)
    return f' (did you mean {near[0]}?)' if near else ''


class Builder:
    """Reads named schemas on demand. `files` maps "volume.yaml" to its mapping."""

    def __init__(self, files):
        self.files = files
        self.types = {}      # name -> Type, in order of definition
        self.enums = {}      # c_name -> Enum
        self.problems = []
        self._waiting = []   # REF fields whose target is looked up at the end
        self._snippets = {}  # (file, key) -> scalar definitions, checked once used

    def problem(self, where, what):
        self.problems.append(Problem(where, what))

    # ---- named things ----

    def is_object(self, schema):
        return isinstance(schema, dict) and ('properties' in schema or 'x-resource' in schema)

    def add_named(self, file, name, role, peer=False):
        """Builds the type `name` of `file`, unless done already."""
        where = f'api/{file}: {name}'
        known = self.types.get(name)
        if known:
            if known.where != where:
                self.problem(where, f'the name is taken by {known.where}')
            return known
        if not c.TYPE_NAME.match(name):
            self.problem(where, 'a type is named in CamelCase')
            return None
        schema = self.files[file][name]
        for key in set(schema) - _TYPE_KEYS:
            self.problem(where, f'unknown key {key}{suggest(key, _TYPE_KEYS)}')
        return self.add_object(name, schema, file, where, role, peer)

    def add_object(self, name, schema, file, where, role, peer):
        if name in self.types:
            self.problem(where, f'it would be type {name}, which is already {self.types[name].where}')
            return self.types[name]
        type_ = Type(name, where, role, schema.get('description'), schema.get('x-zh'), peer=peer)
        self.types[name] = type_
        if schema.get('type', 'object') != 'object':
            self.problem(where, 'type must be object')
        properties = schema.get('properties', {})
        if not isinstance(properties, dict):
            self.problem(where, 'properties must be a mapping')
            return type_
        required = schema.get('required', [])
        if not isinstance(required, list) or not all(isinstance(r, str) for r in required):
            self.problem(where, 'required must be a list of names')
            required = []
        for name_ in required:
            if name_ not in properties:
                self.problem(where, f'required names {name_}, which is no property{suggest(name_, properties)}')
        type_.required = set(required)
        for key, value in properties.items():
            f = self._field(type_, key, value, file, f'{where}.{key}')
            if f:
                if key in type_.required:
                    f.flags.add('REQUIRED')
                type_.fields.append(f)
        return type_

    def _lookup(self, ref, file, where):
        """(file, key) of a $ref such as 'common.yaml#/Name', or None. Files are named from api/, also in api/rpc/."""
        m = re.match(r'^([^#]*)#/([A-Za-z0-9]+)$', ref) if isinstance(ref, str) else None
        if not m:
            self.problem(where, f'$ref {ref!r}: write file.yaml#/Name, or #/Name for this file')
            return None
        target = m[1] or file
        if target not in self.files:
            self.problem(where, f'$ref {ref}: there is no file api/{target}')
            return None
        if m[2] not in self.files[target]:
            self.problem(where, f'$ref {ref}: api/{target} has no {m[2]}{suggest(m[2], self.files[target])}')
            return None
        return target, m[2]

    # ---- fields ----

    def _field(self, owner, name, schema, file, where):
        if not c.NAME.match(name):
            self.problem(where, 'a field is named in lower_case_words of letters and digits')
            return None
        if owner.role == 'resource' and name in ('id', 'revision', 'type', 'ref_count'):
            self.problem(where, f'{name} is given to every resource by the system')
            return None
        f = self._value(owner, name, schema, file, where)
        if f is None:
            return None
        if f.kind == 'ARRAY' and 'default' in f.schema and f.schema['default'] != []:
            self.problem(where, 'the default of a list can only be []')
        if 'UNIQUE' in f.flags:
            f.flags.add('INDEXED')
        if 'INDEXED' in f.flags and f.kind not in ('REF', 'ANYREF', 'STRING', 'ENUM', 'TIME'):
            self.problem(where, 'only references, strings, enums and times can be indexed')
        if 'INDEXED' in f.flags and owner.role != 'resource':
            self.problem(where, 'only fields of the resource itself can be indexed')
        if 'SECRET' in f.flags and f.base_kind != 'STRING':
            self.problem(where, 'writeOnly is for strings')
        if 'NAME_LIKE' in f.flags and f.base_kind != 'STRING':
            self.problem(where, 'x-person-text is for strings')
        if {'READ_ONLY', 'SECRET'} <= f.flags:
            self.problem(where, 'readOnly and writeOnly exclude each other')
        if owner.role == 'resource' and 'READ_ONLY' in f.flags and name in owner.required:
            self.problem(where, 'it is required on create, but readOnly')
        return f

    def _value(self, owner, name, schema, file, where):
        if not isinstance(schema, dict):
            self.problem(where, f'must be a mapping such as {{type: string}}, is {schema!r}')
            return None
        sub = shared = None
        if '$ref' in schema:
            at = self._lookup(schema['$ref'], file, where)
            if at is None:
                return None
            target = self.files[at[0]][at[1]]
            siblings = {k: v for k, v in schema.items() if k != '$ref'}
            if self.is_object(target):
                sub = self.add_named(at[0], at[1], 'resource' if 'x-resource' in target else 'part',
                                     peer=at[0].startswith('rpc/'))
                schema = {k: target[k] for k in ('description', 'x-zh', 'readOnly', 'x-volatile') if k in target} | siblings
                schema['type'] = 'object'
            else:
                schema = target | siblings
                shared = at[1] if 'enum' in target and 'enum' not in siblings else None
                file = at[0] if 'properties' not in siblings else file
        kind = self._kind(schema, sub, where)
        if kind is None:
            return None
        known = _ANY_KIND | _BY_KIND[kind]
        for key in sorted(set(schema) - known):
            if key in set().union(*_BY_KIND.values()):
                self.problem(where, f'{key} has no meaning for {kind.lower()}')
            else:
                self.problem(where, f'unknown key {key}{suggest(key, known)}')
        f = Field(name, kind, where, schema, description=schema.get('description'), zh=schema.get('x-zh'),
                  unit=schema.get('x-unit'))
        for key, flag in _FLAGS.items():
            if key in schema:
                if not isinstance(schema[key], bool):
                    self.problem(where, f'{key} must be true or false')
                elif schema[key]:
                    f.flags.add(flag)
        for key in ('description', 'x-zh', 'x-unit'):
            if key in schema and (not isinstance(schema[key], str) or not schema[key].strip()):
                self.problem(where, f'{key} must be a text')
                return None
        f.sub = sub
        getattr(self, '_kind_' + kind.lower())(f, owner, schema, file, where, shared)
        if 'default' in schema:
            self._default(f, schema['default'], where)
        return f

    def _kind(self, schema, sub, where):
        if sub is not None:
            return 'OBJECT'
        if 'x-ref' in schema:
            return 'ANYREF' if schema['x-ref'] == 'any' else 'REF'
        t = schema.get('type')
        if 'enum' in schema and t in (None, 'string'):
            if t is None:
                self.problem(where, 'type: string is missing beside enum')
            return 'ENUM'
        if t == 'string':
            return 'TIME' if schema.get('format') == 'date-time' else 'STRING'
        if t == 'object':
            if ('properties' in schema) == ('additionalProperties' in schema):
                self.problem(where, 'an object has either properties or additionalProperties')
                return None
            return 'OBJECT' if 'properties' in schema else 'MAP'
        simple = {'boolean': 'BOOL', 'integer': 'INT', 'number': 'DOUBLE', 'array': 'ARRAY'}
        if t in simple:
            return simple[t]
        if t is not None:
            self.problem(where, f'type {t!r} is not one of string, integer, number, boolean, array, object')
            return None
        told = set(schema) - _ANY_KIND
        if told:
            self.problem(where, f'type is missing (there is {", ".join(sorted(told))})')
            return None
        return 'ANY'

    # Each of these checks and takes over what is particular to one kind.

    def _kind_bool(self, f, owner, schema, file, where, shared):
        pass

    _kind_any = _kind_bool

    def _number(self, schema, key, default, where, integer=True):
        value = schema.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int if integer else (int, float)):
            self.problem(where, f'{key} must be a{"n integer" if integer else " number"}')
            return default
        return value

    def _range(self, schema, keys, defaults, where, integer=True):
        low, high = (self._number(schema, k, d, where, integer) for k, d in zip(keys, defaults))
        if low > high:
            self.problem(where, f'{keys[0]} {low} is above {keys[1]} {high}')
        return low, high

    def _kind_int(self, f, owner, schema, file, where, shared):
        if schema.get('format') not in (None, 'int32', 'int64'):
            self.problem(where, 'format of an integer: int32 or int64')
        f.minimum, f.maximum = self._range(schema, ('minimum', 'maximum'), (INT_MIN, INT_MAX), where)
        if f.minimum < INT_MIN or f.maximum > INT_MAX:
            self.problem(where, 'an integer has 64 bits, and -2^63 is not offered')
        f.multiple_of = self._number(schema, 'multipleOf', 0, where)
        if 'multipleOf' in schema and f.multiple_of < 1:
            self.problem(where, 'multipleOf must be positive')

    def _kind_double(self, f, owner, schema, file, where, shared):
        f.minimum, f.maximum = self._range(schema, ('minimum', 'maximum'), (float('-inf'), float('inf')), where, False)

    def _kind_string(self, f, owner, schema, file, where, shared):
        most = PEER_STRING if owner.peer else DEFAULT_STRING
        f.minimum, f.maximum = self._range(schema, ('minLength', 'maxLength'), (0, most), where)
        f.format = schema.get('format')
        if f.format == 'password':
            f.format = None
        if f.format is not None and f.format not in FORMATS:
            self.problem(where, f'unknown format {f.format}{suggest(str(f.format), FORMATS)}; known: {", ".join(FORMATS)}')
        f.pattern = schema.get('pattern')
        if f.pattern is not None:
            if not isinstance(f.pattern, str) or not (f.pattern.startswith('^') and f.pattern.endswith('$')):
                self.problem(where, 'pattern must begin with ^ and end with $')
            else:
                try:
                    re.compile(f.pattern)
                except re.error as e:
                    self.problem(where, f'pattern: {e}')

    def _kind_enum(self, f, owner, schema, file, where, shared):
        values = schema['enum']
        if not isinstance(values, list) or not values or not all(isinstance(v, str) and v for v in values):
            self.problem(where, 'enum must be a list of words (quote those that YAML reads as something else)')
            f.enum = Enum('', '', ['?'])
            return
        name = shared or owner.name + c.camel(f.name)
        f.enum = Enum('Ws' + name, 'WS_' + c.snake(shared or owner.name).upper() + ('' if shared else '_' + f.name.upper()), values)
        constants = [f.enum.constant(v) for v in values]
        if len(set(constants)) != len(values) or len(values) > 64:
            self.problem(where, 'the words of an enum must differ (in letters and digits), and be at most 64')
        known = self.enums.setdefault(f.enum.c_name, f.enum)
        if known.values != values:
            self.problem(where, f'enum {f.enum.c_name} is defined twice, differently')

    def _kind_time(self, f, owner, schema, file, where, shared):
        pass

    def _kind_ref(self, f, owner, schema, file, where, shared):
        f.ref = schema['x-ref']
        if not isinstance(f.ref, str):
            self.problem(where, 'x-ref must name a resource type')
            return
        f.use = schema.get('x-use')
        if f.use is not None and (not isinstance(f.use, str) or not RIGHT.match(f.use)):
            self.problem(where, 'x-use: write a right, noun.verb')
        self._waiting.append(f)

    def _kind_anyref(self, f, owner, schema, file, where, shared):
        f.ref = 'any'

    def _kind_object(self, f, owner, schema, file, where, shared):
        if f.sub is None:
            f.sub = self.add_object(owner.name + c.camel(f.name), schema, file, where, 'part', owner.peer)

    def _kind_map(self, f, owner, schema, file, where, shared):
        most = PEER_ENTRIES if owner.peer else DEFAULT_ENTRIES
        f.minimum, f.maximum = self._range(schema, ('minProperties', 'maxProperties'), (0, most), where)
        value = schema['additionalProperties']
        if not isinstance(value, dict) or value.get('type') != 'string' or set(value) - {'type', 'maxLength'}:
            self.problem(where, 'additionalProperties can only be {type: string, maxLength: n}')
            return
        f.item_schema = value
        f.max_items = self._number(value, 'maxLength', PEER_STRING if owner.peer else DEFAULT_STRING, where)

    def _kind_array(self, f, owner, schema, file, where, shared):
        most = PEER_ITEMS if owner.peer else DEFAULT_ITEMS
        f.min_items, f.max_items = self._range(schema, ('minItems', 'maxItems'), (0, most), where)
        if 'items' not in schema:
            self.problem(where, 'items is missing')
            f.item_kind = 'ANY'
            return
        items = schema['items']
        holder = Type(owner.name, owner.where, owner.role, peer=owner.peer)
        inline = isinstance(items, dict) and 'properties' in items
        item = self._value(holder, f.name + ('_item' if inline else ''), items, file, where + '[]')
        if item is None or item.kind == 'ARRAY' or item.kind == 'MAP':
            if item is not None:
                self.problem(where, 'items can be neither lists nor maps: make them objects')
            f.item_kind = 'ANY'
            return
        if item.flags - {'READ_ONLY'}:
            self.problem(where + '[]', 'x- extensions belong to the list, not to its items')
        if item.default is not MISSING:
            self.problem(where + '[]', 'an item has no default')
        f.item_kind, f.sub, f.ref, f.enum, f.use = item.kind, item.sub, item.ref, item.enum, item.use
        f.minimum, f.maximum, f.multiple_of = item.minimum, item.maximum, item.multiple_of
        f.pattern, f.format, f.item_schema = item.pattern, item.format, item.schema
        f.description = f.description or item.description
        f.zh = f.zh or item.zh
        if item in self._waiting:
            self._waiting[self._waiting.index(item)] = f

    def _default(self, f, value, where):
        ok = {
            'BOOL': lambda v: isinstance(v, bool),
            'INT': lambda v: isinstance(v, int) and not isinstance(v, bool) and f.minimum <= v <= f.maximum
                             and (not f.multiple_of or v % f.multiple_of == 0),
            'DOUBLE': lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and f.minimum <= v <= f.maximum,
            'STRING': lambda v: isinstance(v, str) and f.minimum <= len(v) <= f.maximum
                                and (not f.pattern or re.match(f.pattern, v)),
            'ENUM': lambda v: v in f.enum.values,
            'OBJECT': lambda v: isinstance(v, dict),
            'ARRAY': lambda v: v == [],
            'MAP': lambda v: v == {},
        }[f.kind]
        if not ok(value):
            self.problem(where, f'the default {value!r} is not a valid value of it')
        f.default = value

    # ---- the end ----

    def resolve_refs(self):
        """Gives each reference its target type."""
        resources = {n: t for n, t in self.types.items() if t.role == 'resource'}
        for f in self._waiting:
            f.sub = resources.get(f.ref)
            if f.sub is None:
                self.problem(f.where, f'x-ref {f.ref} is no resource type{suggest(f.ref, resources)}')

    def check_c_names(self):
        seen = {}
        for what, where in [(t.c_name, t.where) for t in self.types.values()] + [(e, 'enum') for e in self.enums]:
            if what in seen:
                self.problem(where, f'its C name {what} is also that of {seen[what]}')
            seen[what] = where
