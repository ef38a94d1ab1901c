// SPDX-License-Identifier: Apache-2.0
// One verb on many objects: as few batches as the manager's limit and differing settings allow, which together go about as fast as one alone.
import { post, type Obj } from '../../api/client'
import { fieldsOf, type Op } from '../../api/contract'
import { noteMade } from '../../live/follow'

export interface Sent {
  /** Parent tasks, one for each batch. */
  tasks: string[]
  /** What was not asked for any more, because a batch was refused. */
  unsent: Obj[]
  error?: unknown
}

const MOST = 10000
const PARALLEL = 16

/** Throws where nothing was begun; what was begun before a refusal goes on, and the rest is told. */
export async function sendMany(plural: string, op: Op, objects: Obj[], argsOf: (object: Obj) => Record<string, unknown>): Promise<Sent> {
  const { ids, parallel } = fieldsOf('Batch')
  const most = ids?.items ?? MOST
  const alike = new Map<string, Obj[]>() // a batch has the same settings for all
  for (const object of objects) {
    const args = JSON.stringify(argsOf(object))
    const others = alike.get(args)
    if (others) others.push(object)
    else alike.set(args, [object])
  }
  const parts = [...alike].flatMap(([args, those]) => Array.from({ length: Math.ceil(those.length / most) }, (_, i) => ({ args, those: those.slice(i * most, (i + 1) * most) })))
  const tasks: string[] = []
  for (const [i, { args, those }] of parts.entries()) {
    try {
      const task = await post(`/${plural}/batch`, {
        verb: op.name, ids: those.map((o) => o.id), args: args === '{}' ? undefined : JSON.parse(args),
        parallel: parts.length > 1 ? Math.max(1, Math.floor(Number(parallel?.def ?? PARALLEL) / parts.length)) : undefined,
      })
      noteMade(task)
      tasks.push(task.id)
    } catch (error) {
      if (!tasks.length) throw error
      return { tasks, unsent: parts.slice(i).flatMap((part) => part.those), error }
    }
  }
  return { tasks, unsent: [] }
}
