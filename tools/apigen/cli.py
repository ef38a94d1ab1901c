# SPDX-License-Identifier: Apache-2.0
"""Reads the contract in api/ and writes one group of generated files into a folder, or looks after the stored shape."""
import argparse
import os
import sys

from . import (contract, emit_center, emit_cli, emit_console, emit_docs, emit_inventory, emit_model, emit_openapi, emit_rpc, emit_ts, errors,
               stored, texts)
from .problem import Problem, Problems

# part -> {file name: function of the Contract giving its text}
PARTS = {
    'base': {
        'error-codes.h': lambda k: errors.codes_h(k.errors),
        'error-catalogue.h': lambda k: errors.catalogue_h(k.errors),
        'error-catalogue.c': errors.catalogue_c,
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
        'schema.h': stored.schema_h,
        'schema.c': stored.schema_c,
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
    'host': {
        'services.c': emit_rpc.services_c('host', 'manager'),
    },
    'cli': {
        'commands.c': emit_cli.commands_c,
    },
    'documents': {
        'openapi.json': emit_openapi.openapi_json,
        'types.ts': emit_ts.types_ts,
        'reference.md': emit_docs.reference_md,
    },
    'console': {
        'types.ts': emit_ts.types_ts,
        'contract.en.json': emit_console.console_json('en'),
        'contract.zh.json': emit_console.console_json('zh'),
        'steps.json': emit_console.steps_json,
        'phrases.zh.json': emit_console.phrases_json,
        'help.en.json': emit_console.help_json,
        'help.zh.json': emit_console.help_zh_json,
    },
}


def _write(args):
    api = contract.load(args.api)
    files = {name: emit(api) for name, emit in PARTS[args.command].items()}
    for name, text in files.items():
        with open(os.path.join(args.out, name), 'w', encoding='utf-8') as f:
            f.write(text)


def _schema(args):
    api = contract.load(args.api)
    print((stored.record if args.new else stored.check)(args.api, api))


def main(argv=None):
    parser = argparse.ArgumentParser(prog='apigen', description=__doc__)
    parser.add_argument('--api', required=True, metavar='DIR', help='folder of the contract')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for part, files in PARTS.items():
        command = commands.add_parser(part, help='write ' + ', '.join(files))
        command.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
        command.set_defaults(run=_write)
    command = commands.add_parser('schema', help='is the stored shape the recorded one? (stored.py)')
    command.add_argument('--new', action='store_true', help='record it and write the next migration')
    command.set_defaults(run=_schema)
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except (Problem, Problems) as problem:
        print('\n'.join('apigen: ' + line for line in str(problem).split('\n')), file=sys.stderr)
        return 1
    return 0
