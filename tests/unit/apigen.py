#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The generator refuses mistakes with words that help, and writes the same text for the same contract. TAP.

Each file in apigen-mistakes/ is a contract file with a mistake; "# expect:" lines are the problems it must give, all of them (a text that
ends in ": " may go on), "# file:" is where it goes in api/ (thing.yaml if not said). The rest of the contract is below and whole.
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, 'tools'))
sys.dont_write_bytecode = True
from apigen import contract  # noqa: E402
from apigen.cli import PARTS  # noqa: E402
from apigen.problem import Problems  # noqa: E402

WHOLE = {
    'common.yaml': 'Name: {type: string, description: Name., x-zh: 名称}\n',
    'errors.yaml': 'gone: {status: 404, params: [object], en: "{object} is gone.", zh: "{object} 已消失。"}\n',
    'texts.yaml': 'began: {params: [], en: "It began.", zh: "已开始。"}\n',
    'words.yaml': 'poking: {en: Poking, zh: 正在戳}\n',
    'looks.yaml': 'Other.state: {a: {glyph: tick, colour: ok}}\n',
    'openapi.yaml': "info: {title: T, version: '1'}\n",
    'other.yaml': '''
Other:
  x-resource: {prefix: other, plural: others, zh: 他物}
  description: Another thing.
  type: object
  properties: {name: {$ref: common.yaml#/Name}, state: {type: string, enum: [a], description: State., x-zh: 状态}}
''',
}


def problems_of(files):
    """Lines of problems that a contract gives."""
    with tempfile.TemporaryDirectory() as api:
        for name, text in files.items():
            path = os.path.join(api, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w', encoding='utf-8') as f:
                f.write(text)
        try:
            contract.load(api)
        except Problems as e:
            return str(e).split('\n')
        return []


def check_mistake(path):
    with open(path, encoding='utf-8') as f:
        lines = f.read().split('\n')
    expected = [line[10:] for line in lines if line.startswith('# expect: ')]
    where = next((line[8:] for line in lines if line.startswith('# file: ')), 'thing.yaml')
    text = '\n'.join(line for line in lines if not line.startswith(('# expect: ', '# file: ')))
    got = problems_of({**WHOLE, where: text})
    fits = len(got) == len(expected) and all(
        any(g == e or (e.endswith(': ') and g.startswith(e)) for g in got) for e in expected)
    return [] if fits else ['expected:', *expected, 'got:', *got]


def check_whole():
    return problems_of(WHOLE)


def generate(seed):
    """All texts that the real contract yields, made by a fresh interpreter with its own order of hashes."""
    with tempfile.TemporaryDirectory() as out:
        for part in PARTS:
            subprocess.run([sys.executable, '-B', os.path.join(ROOT, 'tools/apigen'), '--api', os.path.join(ROOT, 'api'), part, '--out', out],
                           env={**os.environ, 'PYTHONHASHSEED': str(seed)}, check=True)
        texts = {}
        for name in sorted(os.listdir(out)):
            with open(os.path.join(out, name), encoding='utf-8') as f:
                texts[name] = f.read()
        return texts


def check_same_twice():
    one, two = generate(1), generate(2)
    return [f'{name} differs' for name in one if one[name] != two.get(name)]


def main():
    folder = os.path.join(HERE, 'apigen-mistakes')
    tests = [('a_whole_contract_is_accepted', check_whole), ('output_is_the_same_for_the_same_contract', check_same_twice)]
    tests += [('refused: ' + name[:-5], lambda name=name: check_mistake(os.path.join(folder, name))) for name in sorted(os.listdir(folder))]
    print(f'1..{len(tests)}')
    failed = False
    for number, (name, run) in enumerate(tests, 1):
        complaint = run()
        failed |= bool(complaint)
        print(f'{"not ok" if complaint else "ok"} {number} {name}')
        for line in complaint:
            print(f'# {line}')
    return failed


sys.exit(main())
