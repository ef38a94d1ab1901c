# SPDX-License-Identifier: Apache-2.0
"""texts.yaml (sentences), words.yaml (words that stand alone): their checks and the C tables; and what all catalogues have in common."""
import re

from . import c
from .problem import Problem

FILE = 'api/texts.yaml'
WORDS = 'api/words.yaml'
_HAN, _HALF = re.compile(r'[\u4e00-\u9fff]'), re.compile(r'[\u4e00-\u9fff][,:;?!()]')
_KEYS = {'params', 'en', 'zh', 'hint_en', 'hint_zh'}


def placeholders(text):
    return set(re.findall(r'\{([a-z_]+)\}', text))


def check_entry(where, name, entry, common_params=frozenset()):
    """Raises Problem when an entry of a catalogue is not whole: both languages, the same placeholders, all of them parameters."""
    if not c.NAME.match(name):
        raise Problem(where, 'a text is named in lower_case_words')
    if not isinstance(entry, dict) or set(entry) - _KEYS:
        raise Problem(where, f'must be a mapping with some of {", ".join(sorted(_KEYS))}')
    params = entry.get('params', [])
    if not isinstance(params, list) or not all(isinstance(p, str) and c.NAME.match(p) for p in params):
        raise Problem(where, 'params must be a list of lower_case names')
    for pair in (('en', 'zh'), ('hint_en', 'hint_zh')):
        if pair[0] == 'hint_en' and not set(pair) & set(entry):
            continue
        for key in pair:
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                raise Problem(where, f'{key} is missing')
        used = [placeholders(entry[key]) for key in pair]
        if used[0] != used[1]:
            raise Problem(where, f'{pair[0]} and {pair[1]} use different placeholders: {sorted(used[0] ^ used[1])}')
        free = used[0] - set(params) - common_params
        if free:
            raise Problem(where, f'placeholders that are no parameters: {sorted(free)}')


def check(catalogue):
    """Raises Problem for the first text that is not whole."""
    for name, entry in catalogue.items():
        check_entry(f'{FILE}: {name}', name, entry)


def check_words(words, used, choices):
    """`used`: (word, where) of each word that people get to see; `choices`: FIELD.WORD of each enum."""
    for name, entry in words.items():
        if not isinstance(entry, dict) or set(entry) - {'cannot'} != {'en', 'zh'} or not all(isinstance(v, str) and v for v in entry.values()):
            raise Problem(f'{WORDS}: {name}', 'a word is {en: ..., zh: ...}, and for a verb perhaps cannot: ...')
        if '.' in name and not name.startswith('step.') and name not in choices:
            raise Problem(f'{WORDS}: {name}', 'no field of that name has that choice')
    for word, where in used:
        if word not in words:
            raise Problem(where, f'the word {word} is missing in {WORDS}')


def check_about(about, resources, types, problem):
    """Chinese explanations name verbs and fields that are there, and no verb that asks before it acts goes without."""
    verbs = {f'{r.plural}.{o.name}': o for r in resources for o in r.operations if o.kind in ('VERB', 'COLLECTION_VERB')}
    for name, text in about.items():
        left, _, right = name.partition('.')
        known = name in verbs if left[:1].islower() else left in types and any(f.name == right for f in types[left].fields)
        if not known:
            problem(f'api/about.zh.yaml: {name}', 'is no verb and no field')
        if not isinstance(text, str) or not _HAN.search(text) or _HALF.search(text):
            problem(f'api/about.zh.yaml: {name}', 'must be Chinese, with full-width punctuation after Han characters')
    for name, o in verbs.items():
        if o.danger and about and name not in about:
            problem(o.where, f'{name} is missing in api/about.zh.yaml: what it does must be said in Chinese too')


def _row(entry, keys):
    return '{' + ', '.join(c.string(entry.get(k)) for k in keys) + '}'


def tables_c(contract):
    out = [c.head('Sentences and words for people.', f'{FILE} and {WORDS}'), '#include "model/texts.h"\n\nconst WsText ws_texts[] = {\n']
    for name in sorted(contract.texts, key=str.encode):
        e = contract.texts[name]
        params = ', '.join([c.string(p) for p in e.get('params', [])] + ['NULL'])
        out.append(f'  {{{c.string(name)}, {_row(e, ("en", "zh"))}, {_row(e, ("hint_en", "hint_zh"))}, (const char *const[]){{{params}}}}},\n')
    out.append('};\nconst guint ws_n_texts = G_N_ELEMENTS(ws_texts);\n\nconst WsWord ws_words[] = {\n')
    for name in sorted(contract.words, key=str.encode):
        out.append(f'  {{{c.string(name)}, {_row(contract.words[name], ("en", "zh"))}, {c.string(contract.words[name].get("cannot"))}}},\n')
    out.append('};\nconst guint ws_n_words = G_N_ELEMENTS(ws_words);\n')
    return ''.join(out)
