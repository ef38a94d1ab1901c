#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The stored shape: the contract's is the recorded one; a change of it yields SQL that turns old rows into new ones. TAP.

Each case changes a small contract, and runs the migration that follows on real rows in SQLite.
"""
import json
import os
import sqlite3
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tools'))
sys.dont_write_bytecode = True
from apigen import contract, stored  # noqa: E402
from apigen.problem import Problem, Problems  # noqa: E402

FRAME = {
    'errors.yaml': 'gone: {status: 404, params: [], en: Gone., zh: 已消失。}\n',
    'openapi.yaml': "info: {title: T, version: '1'}\n",
}
THING = '''
Thing:
  x-resource: {prefix: thing, plural: things, zh: 物}
  description: A thing.
  type: object
  properties:
    name:  {type: string, description: N., x-zh: 名}
    size:  {type: integer, description: S., x-zh: 大}
    mood:  {type: string, enum: [good, bad], description: M., x-zh: 情}
    inner: {$ref: '#/ThingInner'}
ThingInner: {type: object, description: I., x-zh: 内, properties: {word: {type: string}}}
'''


class Tree:
    """A contract in a folder of its own, released once as THING."""

    def __init__(self, folder):
        self.folder = folder
        for name, text in FRAME.items():
            self.write(name, text)
        self.write('thing.yaml', THING)
        stored.record(folder, contract.load(folder))

    def write(self, name, text):
        with open(os.path.join(self.folder, name), 'w', encoding='utf-8') as f:
            f.write(text)

    def change(self, old, new):
        assert old in THING
        self.write('thing.yaml', THING.replace(old, new))

    def check(self):
        """None when all is well, else what is wrong."""
        try:
            stored.check(self.folder, contract.load(self.folder))
        except (Problem, Problems) as e:
            return str(e)
        return None

    def migrate(self, bodies):
        """Records the next version and runs its SQL over rows with these bodies; the bodies afterwards."""
        stored.record(self.folder, contract.load(self.folder))
        db = sqlite3.connect(':memory:')
        db.execute('CREATE TABLE things (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, body TEXT NOT NULL) STRICT')
        db.executemany('INSERT INTO things VALUES (?, 1, ?)', enumerate((json.dumps(b) for b in bodies), 1))
        db.executescript(contract.load(self.folder).migrations[-1])
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        return {t: [json.loads(row[0]) for row in db.execute(f'SELECT body FROM "{t}" ORDER BY id')] for t in tables}


def same(got, expected):
    return None if got == expected else f'expected {expected!r}, got {got!r}'


def before_the_first_release_nothing_is_asked(tree):
    for name in ('001.sql', 'shape.txt'):
        os.unlink(os.path.join(tree.folder, 'schema', name))
    tree.change('    size:  {type: integer, description: S., x-zh: 大}\n', '')
    return tree.check()


def an_unchanged_shape_passes(tree):
    return tree.check()


def a_changed_shape_is_refused_until_recorded(tree):
    tree.change('size: ', 'bulk: ')
    before = tree.check()
    tree.migrate([])
    return same((bool(before and 'apigen schema --new' in before), tree.check()), (True, None))


def limits_and_texts_are_not_shape(tree):
    tree.change('{type: integer, description: S.', '{type: integer, maximum: 5, description: Size.')
    return tree.check()


def a_field_that_goes_is_taken_out(tree):
    tree.change('    size:  {type: integer, description: S., x-zh: 大}\n', '')
    return same(tree.migrate([{'name': 'a', 'size': 5}, {'name': 'b'}]), {'things': [{'name': 'a'}, {'name': 'b'}]})


def a_new_field_gets_its_default(tree):
    tree.change('    mood:', "    tone: {type: string, enum: [low, high], default: low, description: T., x-zh: 调}\n    mood:")
    return same(tree.migrate([{'name': 'a'}, {'name': 'b', 'tone': 'high'}]),
                {'things': [{'name': 'a', 'tone': 'low'}, {'name': 'b', 'tone': 'high'}]})


def a_new_boolean_needs_nothing(tree):
    tree.change('    mood:', '    loud: {type: boolean, default: true, description: L., x-zh: 响}\n    mood:')
    return same(tree.migrate([{'name': 'a'}]), {'things': [{'name': 'a'}]})


def more_words_need_nothing(tree):
    tree.change('[good, bad]', '[good, bad, ugly]')
    return same(tree.migrate([{'mood': 'bad'}]), {'things': [{'mood': 'bad'}]}) or tree.check()


def a_table_is_renamed(tree):
    tree.change('plural: things', 'plural: gadgets')
    return same(tree.migrate([{'name': 'a'}]), {'gadgets': [{'name': 'a'}]})


def undecided(old, new, words):
    def run(tree):
        tree.change(old, new)
        tree.migrate([])
        told = tree.check()
        return None if told and 'DECIDE' in told and words in told else f'said {told!r}'
    return run


a_word_that_goes_must_be_decided = undecided('[good, bad]', '[good]', 'no longer has the words bad')
another_kind_must_be_decided = undecided('size:  {type: integer', 'size:  {type: string', 'was INT and is STRING')
another_prefix_must_be_decided = undecided('prefix: thing', 'prefix: stuff', 'were thing-N and are stuff-N')
a_part_that_loses_a_field_must_be_decided = undecided('{word: {type: string}}', '{term: {type: string}}', 'ThingInner.word is gone')


def files_have_no_gaps(tree):
    tree.write('schema/003.sql', '')
    told = tree.check()
    return None if told and '002.sql is next' in told else f'said {told!r}'


def the_contract_is_as_recorded():
    api = os.path.join(ROOT, 'api')
    try:
        stored.check(api, contract.load(api))
    except (Problem, Problems) as e:
        return str(e)
    return None


CASES = (before_the_first_release_nothing_is_asked, an_unchanged_shape_passes, a_changed_shape_is_refused_until_recorded,
         limits_and_texts_are_not_shape, a_field_that_goes_is_taken_out, a_new_field_gets_its_default, a_new_boolean_needs_nothing,
         more_words_need_nothing, a_table_is_renamed, files_have_no_gaps)
DECISIONS = ('a_word_that_goes_must_be_decided', 'another_kind_must_be_decided', 'another_prefix_must_be_decided',
             'a_part_that_loses_a_field_must_be_decided')


def in_a_tree(case):
    with tempfile.TemporaryDirectory() as folder:
        return case(Tree(folder))


def main():
    tests = [(case.__name__, lambda case=case: in_a_tree(case)) for case in CASES]
    tests += [(name, lambda name=name: in_a_tree(globals()[name])) for name in DECISIONS]
    tests.append(('the_contract_is_as_recorded', the_contract_is_as_recorded))
    print(f'1..{len(tests)}')
    failed = False
    for number, (name, run) in enumerate(tests, 1):
        complaint = run()
        failed |= complaint is not None
        print(f'{"ok" if complaint is None else "not ok"} {number} {name}')
        if complaint:
            print(f'# {complaint}')
    return failed


sys.exit(main())
