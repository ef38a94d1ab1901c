# SPDX-License-Identifier: Apache-2.0
"""errors.yaml: the catalogue of error codes, its checks, and the C that base/error.c reads."""
from . import c, texts
from .problem import Problem

FILE = 'api/errors.yaml'
# Parameters that every error may carry besides its own.
COMMON_PARAMS = {'field'}



def check(catalogue):
    """Raises Problem for the first entry that is not whole."""
    for code, entry in catalogue.items():
        where = f'{FILE}: {code}'
        if not isinstance(entry, dict):
            raise Problem(where, 'must be a mapping')
        status = entry.get('status')
        if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
            raise Problem(where, 'status must be an HTTP status from 400 to 599')
        texts.check_entry(where, code, {k: v for k, v in entry.items() if k != 'status'}, COMMON_PARAMS)


def codes_h(catalogue):
    out = [c.head('Error codes. The numbers are of this build only: over the wire goes the name.', FILE), '#pragma once\n\n',
           'typedef enum {\n']
    for i, code in enumerate(catalogue, 1):
        out.append(f'  WS_ERROR_{code.upper()} = {i},\n')
    out.append('} WsErrorCode;\n')
    return ''.join(out)


def phrases(contract):
    """{English: Chinese} of all that may stand in a message as a piece of it: api/phrases.yaml, verbs of routes, words. Longer and plainer ones first."""
    out = {}
    for o in contract.operations:
        if o.kind in ('VERB', 'COLLECTION_VERB'):
            out.setdefault(o.name, o.zh)
    for word, entry in contract.words.items():
        if '.' not in word:
            out.setdefault(word, entry['zh'])
    out.update(contract.phrases)
    return dict(sorted(out.items(), key=lambda item: ('{}' in item[0], -len(item[0]), item[0])))


def check_phrases(table):
    for en, zh in table.items():
        if not isinstance(en, str) or not isinstance(zh, str) or not zh:
            raise Problem(f'api/phrases.yaml: {en}', 'must be a text and its Chinese (in quotes where YAML takes it for something else)')
        if en.count('{}') != zh.count('{}'):
            raise Problem(f'api/phrases.yaml: {en}', 'both have the same number of {}')


def catalogue_h(catalogue):
    return c.head('The catalogue behind base/error.c: facts and texts of each error code.', FILE) + '''#pragma once
#include <glib.h>

typedef struct {
  const char *name;     /* "not_found" */
  int status;           /* HTTP */
  const char *text[2];  /* by WsLang; with {placeholders} */
  const char *hint[2];  /* NULL: none */
} WsErrorText;

/* Indexed by WsErrorCode; [0] is empty. */
extern const WsErrorText ws_error_texts[];
extern const guint ws_n_error_texts; /* entries, [0] included */

/* A piece of a sentence that stands in a message as a parameter; "{}" for what is put in. Those without "{}" first. */
typedef struct {
  const char *en, *zh;
} WsPhrase;
extern const WsPhrase ws_phrases[];
extern const guint ws_n_phrases;
'''


def catalogue_c(contract):
    catalogue = contract.errors
    out = [c.head('The catalogue of errors.', FILE), '#include "base/error-catalogue.h"\n#include "base/error-codes.h"\n\n',
           'const WsErrorText ws_error_texts[] = {\n']
    for code, e in catalogue.items():
        out.append(f'  [WS_ERROR_{code.upper()}] = {{{c.string(code)}, {e["status"]},\n'
                   f'    {{{c.string(e["en"])},\n     {c.string(e["zh"])}}},\n'
                   f'    {{{c.string(e.get("hint_en"))},\n     {c.string(e.get("hint_zh"))}}}}},\n')
    out.append('};\nconst guint ws_n_error_texts = G_N_ELEMENTS(ws_error_texts);\n\nconst WsPhrase ws_phrases[] = {\n')
    out += [f'  {{{c.string(en)}, {c.string(zh)}}},\n' for en, zh in phrases(contract).items()]
    out.append('};\nconst guint ws_n_phrases = G_N_ELEMENTS(ws_phrases);\n')
    return ''.join(out)
