// SPDX-License-Identifier: Apache-2.0
// What explains fields and verbs. It is as long as the rest of the contract and nobody waits for it, so it comes after the first page.
import { useEffect, useSyncExternalStore } from 'react'
import { language } from '../texts'
import { fieldsOf, resource } from './contract'

interface Help { types: Record<string, Record<string, string>>; ops: Record<string, Record<string, string>> }

let state: 'none' | 'asked' | 'there' = 'none'
const listeners = new Set<() => void>()

function subscribe(tell: () => void) {
  listeners.add(tell)
  return () => void listeners.delete(tell)
}

function take(help: Help) {
  for (const [type, fields] of Object.entries(help.types)) for (const [name, text] of Object.entries(fields)) if (fieldsOf(type)[name]) fieldsOf(type)[name]!.d = text
  for (const [plural, ops] of Object.entries(help.ops)) for (const op of resource(plural)?.ops ?? []) op.d = ops[op.name] ?? op.d
  state = 'there'
  for (const tell of listeners) tell()
}

function load() {
  if (state !== 'none') return
  state = 'asked'
  ;(language === 'zh' ? import('./generated/help.zh.json') : import('./generated/help.en.json')).then((file) => take(file.default as unknown as Help), () => (state = 'none'))
}

/** Descriptions (`d` of fields and verbs) are shown here: they come, and the component is drawn anew. */
export function useHelp() {
  useEffect(load, [])
  useSyncExternalStore(subscribe, () => state === 'there')
}
