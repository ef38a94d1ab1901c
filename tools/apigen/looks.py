# SPDX-License-Identifier: Apache-2.0
"""looks.yaml: glyph and colour of each value of an enum that is shown as a state; its checks."""
import re

FILE = 'api/looks.yaml'
COLOURS = ('ok', 'busy', 'warn', 'bad', 'off', 'unknown')


def check(looks, types, problem):
    """`types`: {name: Type}. Tells problem(where, what) of each look that fits nothing, and of each value without one."""
    for path, values in looks.items():
        where = f'{FILE}: {path}'
        name, _, rest = path.partition('.')
        fields = types[name].path(rest) if name in types else None
        if not fields or fields[-1].base_kind != 'ENUM':
            problem(where, 'must be the path of an enum, such as Vm.power.state')
            continue
        words = fields[-1].enum.values
        if not isinstance(values, dict) or set(values) != set(words):
            problem(where, f'must have a look for each of {", ".join(words)}, and for nothing else')
            continue
        for word, look in values.items():
            if not isinstance(look, dict) or set(look) != {'glyph', 'colour'}:
                problem(f'{where}.{word}', 'a look is {glyph: ..., colour: ...}')
                continue
            if look['colour'] not in COLOURS:
                problem(f'{where}.{word}.colour', f'must be one of {", ".join(COLOURS)}')
            if not isinstance(look['glyph'], str) or not re.match(r'^[a-z][a-z_]*$', look['glyph']):
                problem(f'{where}.{word}.glyph', 'is the lower_case name of a glyph')
