# SPDX-License-Identifier: Apache-2.0
"""errors.yaml: the catalogue of error codes, its checks, and the C that base/error.c reads."""
import re

from . import c
from .problem import Problem

FILE = 'api/errors.yaml'
_KEYS = {'status', 'params', 'en', 'zh', 'hint_en', 'hint_zh'}
# Parameters that every error may carry besides its own.
COMMON_PARAMS = {'field'}


def placeholders(text):
    return set(re.findall(r'\{([a-z_]+)\}', text))


def check(catalogue):
    """Raises Problem for the first entry that is not whole."""
    for code, entry in catalogue.items():
        where = f'{FILE}: {code}'
        if not c.NAME.match(code):
            raise Problem(where, 'a code is written in lower_case_words')
        if not isinstance(entry, dict) or set(entry) - _KEYS:
            raise Problem(where, f'unknown keys {sorted(set(entry) - _KEYS)}; known are {sorted(_KEYS)}')
        for key in ('status', 'params', 'en', 'zh'):
            if key not in entry:
                raise Problem(where, f'{key} is missing')
        if not isinstance(entry['status'], int) or not 400 <= entry['status'] <= 599:
            raise Problem(where, 'status must be an HTTP status from 400 to 599')
        params = entry['params']
        if not isinstance(params, list) or not all(isinstance(p, str) and c.NAME.match(p) for p in params):
            raise Problem(where, 'params must be a list of lower_case names')
        if ('hint_en' in entry) != ('hint_zh' in entry):
            raise Problem(where, 'a hint needs both hint_en and hint_zh')
        for pair in (('en', 'zh'), ('hint_en', 'hint_zh')):
            if pair[0] not in entry:
                continue
            used = [placeholders(entry[key]) for key in pair]
            if used[0] != used[1]:
                raise Problem(where, f'{pair[0]} and {pair[1]} use different placeholders: {sorted(used[0] ^ used[1])}')
            if used[0] - set(params) - COMMON_PARAMS:
                raise Problem(where, f'placeholders without a parameter: {sorted(used[0] - set(params) - COMMON_PARAMS)}')


def codes_h(catalogue):
    out = [c.head('Error codes. The numbers are of this build only: over the wire goes the name.', FILE), '#pragma once\n\n',
           'typedef enum {\n']
    for i, code in enumerate(catalogue, 1):
        out.append(f'  WS_ERROR_{code.upper()} = {i},\n')
    out.append('} WsErrorCode;\n')
    return ''.join(out)


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
'''


def catalogue_c(catalogue):
    out = [c.head('The catalogue of errors.', FILE), '#include "base/error-catalogue.h"\n#include "base/error-codes.h"\n\n',
           'const WsErrorText ws_error_texts[] = {\n']
    for code, e in catalogue.items():
        out.append(f'  [WS_ERROR_{code.upper()}] = {{{c.string(code)}, {e["status"]},\n'
                   f'    {{{c.string(e["en"])},\n     {c.string(e["zh"])}}},\n'
                   f'    {{{c.string(e.get("hint_en"))},\n     {c.string(e.get("hint_zh"))}}}}},\n')
    out.append('};\nconst guint ws_n_error_texts = G_N_ELEMENTS(ws_error_texts);\n')
    return ''.join(out)
