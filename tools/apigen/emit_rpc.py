# SPDX-License-Identifier: Apache-2.0
"""The calls between manager and host agent: rpc/methods.h/.c for both, center/services.c and host/services.c for who serves."""
from . import c


def _params(r):
    return f'const {r.params.c_name} *params' if r.params else None


def _caller(r):
    """Typed wrapper of rpc_call() or rpc_notify()."""
    method = f'&rpc_method_{r.snake}'
    params = 'params' if r.params else 'NULL'
    if r.notification:
        args = ', '.join(x for x in ('RpcLink *link', _params(r)) if x)
        return f'static inline void rpc_{r.snake}({args}) {{ rpc_notify(link, {method}, {params}); }}\n'
    args = ', '.join(x for x in ('RpcLink *link', _params(r), f'{r.result.c_name} **result' if r.result else None,
                                 'RpcProgress on_progress', 'void *arg', 'volatile gint *cancel', 'GError **error') if x)
    result = '(void **)result' if r.result else 'NULL'
    return (f'static inline bool rpc_{r.snake}({args})\n{{\n'
            f'  return rpc_call(link, {method}, {params}, {result}, on_progress, arg, cancel, error);\n}}\n')


def _serve(r):
    args = ', '.join(x for x in ('RpcCall *call', _params(r), f'{r.result.c_name} **result' if r.result else None, 'GError **error') if x)
    return f'bool serve_{r.snake}({args});\n'


def methods_h(contract):
    out = [c.head('The calls between manager and host agent, typed. rpc/rpc.h tells what calling and serving mean.', 'api/rpc/'),
           '''#pragma once
#include "model/model.h"
#include "rpc/rpc.h"

/* Who serves what: the manager's functions and the host agent's. A function that is missing does not link. */
extern const RpcService rpc_center_services[], rpc_host_services[];
extern const guint rpc_n_center_services, rpc_n_host_services;

''']
    for r in contract.rpcs:
        out.append(f'/* {r.summary} */\nextern const RpcMethod rpc_method_{r.snake};\n')
        if r.sender != 'both':  # those belong to the link itself
            out.append(_caller(r) + _serve(r))
        out.append('\n')
    return ''.join(out)


def methods_c(contract):
    out = [c.head('The calls between manager and host agent.', 'api/rpc/'), '#include "rpc/methods.h"\n\n']
    for r in contract.rpcs:
        row = [f'.name = {c.string(r.name)}']
        if r.params:
            row.append(f'.params = &ws_type_{r.params.snake}')
        if r.result:
            row.append(f'.result = &ws_type_{r.result.snake}')
        row.append(f'.deadline_ms = {r.deadline_ms}')
        if r.notification:
            row.append('.notification = true')
        out.append(f'const RpcMethod rpc_method_{r.snake} = {{{", ".join(row)}}};\n')
    return ''.join(out)


def services_c(side, sender):
    """Text of center/services.c (serves what hosts send) or host/services.c."""
    def emit(contract):
        out = [c.head('The calls that this side serves.', 'api/rpc/'), '#include "rpc/methods.h"\n\n']
        served = [r for r in contract.rpcs if r.sender == sender]
        for r in served:
            args = ['call'] + (['params'] if r.params else []) + ([f'({r.result.c_name} **)result'] if r.result else []) + ['error']
            out.append(f'static bool do_{r.snake}(RpcCall *call, const void *params, void **result, GError **error)\n'
                       f'{{\n  return serve_{r.snake}({", ".join(args)});\n}}\n\n')
        out.append(f'const RpcService rpc_{side}_services[] = {{\n')
        out += [f'  {{&rpc_method_{r.snake}, do_{r.snake}}},\n' for r in served]
        out.append(f'}};\nconst guint rpc_n_{side}_services = G_N_ELEMENTS(rpc_{side}_services);\n')
        return ''.join(out)
    return emit
