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
