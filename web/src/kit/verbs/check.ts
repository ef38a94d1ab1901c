// SPDX-License-Identifier: Apache-2.0
// May this verb be asked of this object now? From the contract's table, the same one by which the manager refuses.
import type { Obj } from '../../api/client'
import { fieldsOf, resource, valueAt, word, type Op } from '../../api/contract'
import { staleSince } from '../../live/link'
import { may } from '../../live/session'
import { t } from '../../texts'
import { clock } from '../format'

/** Verbs that speak to a task, or that do not wait for the one under way. */
const BESIDE = new Set(['console', 'screenshot', 'send_keys', 'cancel', 'abandon', 'acknowledge', 'change_password', 'update', 'leave_maintenance'])

/** Verbs of one object, in the order of the contract; update last but one, delete last. */
export function verbsOf(plural: string): Op[] {
  const ops = resource(plural)?.ops ?? []
  return [...ops.filter((o) => o.kind === 'verb'), ...ops.filter((o) => o.kind === 'delete')]
}

/** Why nothing is offered that takes this right: the user lacks it, or what is shown is old. */
export function withheld(right: string): string | undefined {
  if (!may(right)) return t('lacks_right', { right })
  const since = staleSince()
  return since === undefined ? undefined : t('stale_since', { time: clock(since) })
}

/** Why it cannot be asked; undefined: it can. */
export function refusal(op: Op, object: Obj | undefined): string | undefined {
  return withheld(op.right) ?? against(op, object)
}

/** What in the object itself stands against it: which buttons there are does not change with the link. */
export function against(op: Op, object: Obj | undefined): string | undefined {
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
