# SPDX-License-Identifier: Apache-2.0
"""texts.yaml: sentences of task logs and events, state words, labels; English and Chinese."""
from . import c
from .errors import placeholders
from .problem import Problem

FILE = 'api/texts.yaml'


def check(catalogue):
    """Raises Problem for the first text that is not whole."""
    for name, entry in catalogue.items():
        where = f'{FILE}: {name}'
        if not c.NAME.match(name):
            raise Problem(where, 'a text is named in lower_case_words')
        if not isinstance(entry, dict) or set(entry) - {'en', 'zh'}:
            raise Problem(where, 'a text is {en: ..., zh: ...}')
        for lang in ('en', 'zh'):
            if not isinstance(entry.get(lang), str) or not entry[lang].strip():
                raise Problem(where, f'{lang} is missing')
        differ = placeholders(entry['en']) ^ placeholders(entry['zh'])
        if differ:
            raise Problem(where, f'en and zh use different placeholders: {sorted(differ)}')
