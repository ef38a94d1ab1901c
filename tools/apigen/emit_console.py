# SPDX-License-Identifier: Apache-2.0
"""contract.en.json and contract.zh.json: what the console must know of the API while it runs, in one language each; and help.en.json and
help.zh.json, what explains fields and verbs, phrases.zh.json, pieces of sentences, and steps.json, how steps of tasks are called, which nobody waits for.

Types with their fields (label, kind, unit, limits, words of enums), resources with their verbs (right, danger, states that allow
them, body), looks of states, and the catalogues of words, sentences and errors. Short keys: each browser loads one of the files.
"""
import json
import re

from . import errors
from .emit_openapi import reachable
from .schema import INT_MAX, INT_MIN, MISSING

# Words that are no English ones: how they are written in a label.
_ACRONYMS = {
    'bios': 'BIOS', 'bmc': 'BMC', 'ca': 'CA', 'cd': 'CD', 'cdroms': 'CD drives', 'cidr': 'CIDR', 'cpu': 'CPU', 'cpus': 'CPUs', 'dhcp': 'DHCP', 'dns': 'DNS', 'drs': 'DRS', 'dpm': 'DPM',
    'id': 'ID', 'io': 'I/O', 'iommu': 'IOMMU', 'iops': 'IOPS', 'ip': 'IP', 'ips': 'IP addresses', 'iqn': 'IQN', 'lacp': 'LACP', 'libvirt': 'libvirt', 'mac': 'MAC', 'mtu': 'MTU', 'nat': 'NAT',
    'nic': 'NIC', 'nics': 'NICs', 'numa': 'NUMA', 'os': 'OS', 'ovs': 'Open vSwitch', 'pci': 'PCI', 'qemu': 'QEMU', 'rng': 'RNG', 'rx': 'received', 'sha256': 'SHA-256',
    'sriov': 'SR-IOV', 'ssh': 'SSH', 'tpm': 'TPM', 'tx': 'sent', 'usb': 'USB', 'uuid': 'UUID', 'vcpu': 'vCPU', 'vcpus': 'vCPUs', 'vfs': 'VFs', 'vlan': 'VLAN',
    'vm': 'VM', 'vms': 'VMs', 'wwn': 'WWN',
}
_UNIT_ENDING = re.compile(r'_(bytes_per_s|kib_per_s|packets_per_s|per_s|bytes|percent|ms|s|mhz|mbps|kib|hours)$')


def _label(name, unit):
    short = _UNIT_ENDING.sub('', name) if unit else name
    words = [_ACRONYMS.get(w, w) for w in short.split('_')]
    text = ' '.join(words)
    return text[0].upper() + text[1:] if not words[0] in ('vCPU', 'vCPUs') else text


def _own_words(f, contract, language):
    """Words of its choices that mean something else in this field than elsewhere: FIELD.WORD of words.yaml."""
    return {value: entry[language] for value in f.enum.values if (entry := contract.words.get(f'{f.name}.{value}'))}


def _field(f, contract, language):
    kind = f.item_kind if f.kind == 'ARRAY' else f.kind
    out = {'l': (f.zh if language == 'zh' else None) or _label(f.name, f.unit), 't': kind.lower()}
    if f.kind == 'ARRAY':
        out['many'] = True
    if f.unit:
        out['u'] = f.unit
    if f.base_kind == 'ENUM':
        out['e'] = f.enum.values
        if own := _own_words(f, contract, language):
            out['w'] = own
    elif f.base_kind == 'REF':
        out['r'] = f.ref
    elif f.base_kind == 'OBJECT':
        out['o'] = f.sub.name
    for key, flag in (('ro', 'READ_ONLY'), ('im', 'IMMUTABLE'), ('req', 'REQUIRED'), ('sec', 'SECRET'), ('vol', 'VOLATILE'), ('idx', 'INDEXED')):
        if flag in f.flags:
            out[key] = True
    if kind in ('INT', 'DOUBLE'):
        if f.minimum is not None and f.minimum != INT_MIN:
            out['min'] = f.minimum
        if f.maximum is not None and f.maximum != INT_MAX:
            out['max'] = f.maximum
        if f.multiple_of > 1:
            out['mult'] = f.multiple_of
    elif kind == 'STRING':
        out['max'] = f.maximum
        for key, value in (('fmt', f.format), ('pat', f.pattern)):
            if value:
                out[key] = value
    if f.kind == 'ARRAY':
        out['items'] = f.max_items
    if f.default is not MISSING:
        out['def'] = f.default
    return out


def _type(t, contract, language):
    return {f.name: _field(f, contract, language) for f in t.fields if 'INTERNAL' not in f.flags}


def _verb_label(o, contract, language):
    if language == 'zh':
        return o.zh
    word = contract.words.get(o.name, {}).get('en', o.name.replace('_', ' '))
    return word[0].upper() + word[1:]


def _operation(o, contract, language):
    out = {'name': o.name, 'kind': o.kind.lower(), 'l': _verb_label(o, contract, language), 'right': o.permission}
    if o.danger:
        out['danger'] = o.danger
    if o.field_rights:
        out['fields'] = o.field_rights
    if o.activity:
        out['activity'] = o.activity
    if o.task or o.kind == 'BATCH':
        out['task'] = True
    if o.allowed:
        out['allowed'] = {a.path: a.values for a in o.allowed}
    if o.body and o.kind not in ('CREATE', 'UPDATE', 'BATCH') and o.body.fields:
        out['body'] = o.body.name
    return out


def _is_offered(o):
    """Verbs without a login are steps of logging in: the login page has them, no button."""
    return o.kind not in ('VIEW', 'BATCH') and not (o.permission == 'public' and o.kind in ('VERB', 'COLLECTION_VERB'))


def _resource(r, contract, language):
    own = r.one[0].upper() + r.one[1:], r.many[0].upper() + r.many[1:]
    one, many = (r.zh, r.zh) if language == 'zh' else own
    out = {'type': r.type.name, 'prefix': r.prefix, 'one': one, 'many': many, 'columns': r.columns,
           'ops': [_operation(o, contract, language) for o in r.operations if _is_offered(o)]}
    if r.history:
        out['history'] = True
    return out


def _texts(catalogue, language):
    hint = f'hint_{language}'
    return {name: [e[language], e[hint]] if e.get(hint) else [e[language]] for name, e in catalogue.items()}


def console_json(language):
    def emit(contract):
        whole = {
            'types': {t.name: _type(t, contract, language) for t in reachable(contract)},
            'resources': {r.plural: _resource(r, contract, language) for r in contract.resources if r.operation('list')},
            'looks': contract.looks,
            'words': {w: e[language] for w, e in contract.words.items() if '.' not in w},
            'texts': _texts(contract.texts, language),
            'errors': _texts(contract.errors, language),
        }
        return json.dumps(whole, ensure_ascii=False, separators=(',', ':'), sort_keys=False) + '\n'
    return emit


def help_zh_json(contract):
    """What is said in Chinese of verbs and fields: api/about.zh.yaml."""
    types, ops = {}, {}
    for name, text in contract.about.items():
        left, right = name.split('.')
        (types if left[0].isupper() else ops).setdefault(left, {})[right] = text
    return json.dumps({'types': types, 'ops': ops}, ensure_ascii=False, separators=(',', ':')) + '\n'


def help_json(contract):
    types = {t.name: {f.name: f.description for f in t.fields if 'INTERNAL' not in f.flags and f.description} for t in reachable(contract)}
    ops = {r.plural: {o.name: o.summary for o in r.operations if _is_offered(o) and o.kind in ('VERB', 'COLLECTION_VERB')}
           for r in contract.resources if r.operation('list')}
    whole = {'types': {name: fields for name, fields in types.items() if fields}, 'ops': {plural: verbs for plural, verbs in ops.items() if verbs}}
    return json.dumps(whole, ensure_ascii=False, separators=(',', ':')) + '\n'


def phrases_json(contract):
    """Pieces of sentences in tasks' failures and in events, for browsers that speak Chinese; plainer and longer ones first."""
    return json.dumps(errors.phrases(contract), ensure_ascii=False, separators=(',', ':')) + '\n'


def steps_json(contract):
    """Steps of tasks in both languages; the page of a task asks for them."""
    steps = {name.removeprefix('step.'): [e['en'], e['zh']] for name, e in contract.words.items() if name.startswith('step.')}
    return json.dumps(steps, ensure_ascii=False, separators=(',', ':')) + '\n'
