// SPDX-License-Identifier: Apache-2.0
// May this verb be asked of this object now? From the contract's table, the same one by which the manager refuses.
import type { Obj } from '../../api/client'
import { fieldsOf, resource, valueAt, word, type Op } from '../../api/contract'
import { may } from '../../live/session'
import { t } from '../../texts'

/** Verbs that speak to a task, or that do not wait for the one under way. */
const BESIDE = new Set(['console', 'screenshot', 'send_keys', 'cancel', 'abandon', 'acknowledge', 'change_password', 'update', 'leave_maintenance'])

/** Verbs of one object, in the order of the contract; update last but one, delete last. */
export function verbsOf(plural: string): Op[] {
  const ops = resource(plural)?.ops ?? []
  return [...ops.filter((o) => o.kind === 'verb'), ...ops.filter((o) => o.kind === 'delete')]
}

/** Why it cannot be asked; undefined: it can. */
export function refusal(op: Op, object: Obj | undefined): string | undefined {
  if (!may(op.right)) return t('lacks_right', { right: op.right })
  if (!object) return undefined
  if (object.activity && !BESIDE.has(op.name)) return t('busy_with', { activity: word(object.activity.verb) })
  for (const [path, values] of Object.entries(op.allowed ?? {})) {
    const value = valueAt(object, path)
    if (typeof value === 'string' && !values.includes(value)) return t('not_while', { state: word(value), possible: values.map((one) => word(one)).join(t('list_mark')) })
  }
  if (op.name === 'cancel' && object.cancellable === false) return t('not_cancellable')
  return undefined
}

/** Fields of objects of this kind that this user may change. */
export function changeable(plural: string, type: string, names: string[]): string[] {
  const rights = resource(plural)?.ops.find((o) => o.name === 'update')?.fields
  return names.filter((n) => !fieldsOf(type)[n]!.ro && !fieldsOf(type)[n]!.im && (!rights?.[n] || may(rights[n]!)))
}

/** Why it cannot be asked of some of many: [objects that can, reasons with counts]. */
export function sift(op: Op, objects: Obj[]): { able: Obj[]; refused: [string, Obj[]][] } {
  const able: Obj[] = []
  const refused = new Map<string, Obj[]>()
  for (const object of objects) {
    const why = refusal(op, object)
    if (!why) able.push(object)
    else refused.set(why, [...(refused.get(why) ?? []), object])
  }
  return { able, refused: [...refused] }
}
