# SPDX-License-Identifier: Apache-2.0
"""inventory/typed.h: the inventory's doors with the types of the contract."""
from . import c


def typed_h(contract):
    out = [c.head('Typed forms of inv_find(), inv_edit_id() and inv_create() for each resource that lives in memory.'),
           '#pragma once\n#include "inventory/inventory.h"\n#include "model/model.h"\n\n']
    for r in contract.resources:
        if r.history:
            continue
        ws, name = r.type.c_name, r.type.snake
        out.append(
            f'static inline const {ws} *inv_find_{name}(const InvSnapshot *snap, WsId id) {{ return inv_find(snap, &ws_type_{name}, id); }}\n'
            f'static inline {ws} *inv_edit_{name}(InvTxn *txn, WsId id) {{ return inv_edit_id(txn, &ws_type_{name}, id); }}\n'
            f'static inline {ws} *inv_create_{name}(InvTxn *txn) {{ return inv_create(txn, &ws_type_{name}); }}\n')
    return ''.join(out)
