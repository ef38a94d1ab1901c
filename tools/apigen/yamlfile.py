# SPDX-License-Identifier: Apache-2.0
"""YAML as the contract uses it: the 1.2 core schema, and no key twice.

PyYAML speaks YAML 1.1, where `off`, `no` and `on` are booleans, 0600 is 384 and 12:30:00 is a number; power states and
times would be garbled silently. So only the plain forms of null, true, false and decimal numbers are recognised here.
"""
import re

import yaml

from .problem import Problem

_Base = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


class _Loader(_Base):
    yaml_implicit_resolvers = {}


for tag, pattern, first in (
        ('null', r'^(?:null|~|)$', ['n', '~', '']),
        ('bool', r'^(?:true|false)$', ['t', 'f']),
        ('int', r'^[-+]?[0-9]+$', list('-+0123456789')),
        ('float', r'^[-+]?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?$', list('-+0123456789'))):
    _Loader.add_implicit_resolver('tag:yaml.org,2002:' + tag, re.compile(pattern), first)


def _mapping(loader, node):
    seen = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, f'key {key!r} is not a string', key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f'key {key!r} appears twice', key_node.start_mark)
        seen[key] = True
    return {loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value}


def _decimal(loader, node):
    if re.match(r'^[-+]?0[0-9]', node.value):
        raise yaml.constructor.ConstructorError(None, None, f'{node.value} begins with 0: quote it, or write it decimal',
                                                node.start_mark)
    return int(node.value)


_Loader.add_constructor('tag:yaml.org,2002:map', _mapping)
_Loader.add_constructor('tag:yaml.org,2002:int', _decimal)


def load(path, shown):
    """The mapping in the file `path`; `shown` names it in problems. An empty file is an empty mapping."""
    try:
        with open(path, encoding='utf-8') as f:
            value = yaml.load(f, Loader=_Loader)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark
        raise Problem(f'{shown}:{mark.line + 1}:{mark.column + 1}' if mark else shown, e.problem) from None
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise Problem(shown, str(e)) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Problem(shown, 'the file must hold a mapping')
    return value
