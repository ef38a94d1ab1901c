# SPDX-License-Identifier: Apache-2.0
"""Command line: apigen --api DIR PART --out DIR. Each part is a group of files for one folder of the build."""
import argparse
import os
import sys

from . import errors, yamlfile
from .problem import Problem


def _base(api):
    catalogue = yamlfile.load(os.path.join(api, 'errors.yaml'), errors.FILE)
    errors.check(catalogue)
    return {'error-codes.h': errors.codes_h(catalogue),
            'error-catalogue.h': errors.catalogue_h(catalogue),
            'error-catalogue.c': errors.catalogue_c(catalogue)}


PARTS = {'base': _base}


def main(argv=None):
    parser = argparse.ArgumentParser(prog='apigen', description=__doc__)
    parser.add_argument('--api', required=True, help='folder of the contract')
    parser.add_argument('part', choices=sorted(PARTS))
    parser.add_argument('--out', required=True, help='folder to write to')
    args = parser.parse_args(argv)
    try:
        files = PARTS[args.part](args.api)
    except Problem as problem:
        print(f'apigen: {problem}', file=sys.stderr)
        return 1
    for name, text in files.items():
        with open(os.path.join(args.out, name), 'w', encoding='utf-8') as f:
            f.write(text)
    return 0
