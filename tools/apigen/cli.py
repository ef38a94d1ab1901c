# SPDX-License-Identifier: Apache-2.0
"""Reads the contract in api/ and writes one group of generated files into a folder."""
import argparse
import os
import sys

from . import contract, emit_center, emit_cli, emit_docs, emit_inventory, emit_model, emit_openapi, emit_rpc, emit_ts, errors, texts
from .problem import Problem, Problems

# part -> {file name: function of the Contract giving its text}
PARTS = {
    'documents': {
        'openapi.json': emit_openapi.openapi_json,
        'types.ts': emit_ts.types_ts,
        'reference.md': emit_docs.reference_md,
    },
    'base': {
        'error-codes.h': lambda k: errors.codes_h(k.errors),
        'error-catalogue.h': lambda k: errors.catalogue_h(k.errors),
        'error-catalogue.c': lambda k: errors.catalogue_c(k.errors),
    },
    'model': {
        'model.h': emit_model.model_h,
        'model.c': emit_model.model_c,
        'openapi.h': emit_openapi.openapi_h,
        'openapi.c': emit_openapi.openapi_c,
        'texts-tables.c': texts.tables_c,
    },
    'inventory': {
        'typed.h': emit_inventory.typed_h,
    },
    'rpc': {
        'methods.h': emit_rpc.methods_h,
        'methods.c': emit_rpc.methods_c,
    },
    'center': {
        'verbs.h': emit_center.verbs_h,
        'verbs.c': emit_center.verbs_c,
        'routes.c': emit_center.routes_c,
        'services.c': emit_rpc.services_c('center', 'host'),
    },
    'cli': {
        'commands.c': emit_cli.commands_c,
    },
    'host': {
        'services.c': emit_rpc.services_c('host', 'manager'),
    },
}


def main(argv=None):
    parser = argparse.ArgumentParser(prog='apigen', description=__doc__)
    parser.add_argument('--api', required=True, metavar='DIR', help='folder of the contract')
    parser.add_argument('part', choices=sorted(PARTS), help='group of files')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
    args = parser.parse_args(argv)
    try:
        api = contract.load(args.api)
        files = {name: emit(api) for name, emit in PARTS[args.part].items()}
    except (Problem, Problems) as problem:
        print('\n'.join('apigen: ' + line for line in str(problem).split('\n')), file=sys.stderr)
        return 1
    for name, text in files.items():
        with open(os.path.join(args.out, name), 'w', encoding='utf-8') as f:
            f.write(text)
    return 0
