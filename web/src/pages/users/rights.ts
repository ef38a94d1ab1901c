// SPDX-License-Identifier: Apache-2.0
// Rights that there are, each with what it allows: those that the verbs of the contract ask for.
import { resources } from '../../api/contract'

export function rights(): { value: string; label: string }[] {
  const allows = new Map<string, Set<string>>()
  const add = (right: string, what: string) => allows.set(right, (allows.get(right) ?? new Set()).add(what))
  for (const kind of Object.values(resources())) {
    for (const op of kind.ops) {
      if (!op.right.includes('.')) continue // "public", "session": of everybody
      add(op.right, op.kind === 'list' || op.kind === 'get' ? kind.many : op.l)
      for (const right of Object.values(op.fields ?? {})) add(right, op.l)
    }
  }
  for (const right of [...allows.keys()]) add(`${right.split('.')[0]}.*`, '')
  add('*.read', '')
  add('*', '')
  return [...allows].sort(([a], [b]) => a.localeCompare(b)).map(([value, what]) => ({ value, label: [value, [...what].filter(Boolean).slice(0, 6).join(', ')].filter(Boolean).join(' — ') }))
}
