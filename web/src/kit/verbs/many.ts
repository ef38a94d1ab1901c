// SPDX-License-Identifier: Apache-2.0
// One verb on many objects: as few batches as the manager's limit and differing settings allow, which together go about as fast as one alone.
import { ApiError, post, type Obj } from '../../api/client'
import { fieldsOf, type Op } from '../../api/contract'
import { noteMade } from '../../live/follow'

export interface Answered { id: string; error?: ApiError }

export interface Sent {
  /** Parent tasks, one for each batch. */
  tasks: string[]
  /** What became of each object, where the verb answers at once and makes no task. */
  answered: Answered[]
  /** What was not asked for any more, because a batch was refused. */
  unsent: Obj[]
  error?: unknown
}

const MOST = 10000
/** Of a verb that answers at once: its objects wait for the disk one after the other. */
const MOST_AT_ONCE = 1000
const PARALLEL = 16

/** Throws where nothing was begun; what was begun before a refusal goes on, and the rest is told. */
export async function sendMany(plural: string, op: Op, objects: Obj[], argsOf: (object: Obj) => Record<string, unknown>): Promise<Sent> {
  const { ids, parallel } = fieldsOf('Batch')
  const most = Math.min(ids?.items ?? MOST, op.task ? MOST : MOST_AT_ONCE)
  const alike = new Map<string, Obj[]>() // a batch has the same settings for all
  for (const object of objects) {
    const args = JSON.stringify(argsOf(object))
    const others = alike.get(args)
    if (others) others.push(object)
    else alike.set(args, [object])
  }
  const parts = [...alike].flatMap(([args, those]) => Array.from({ length: Math.ceil(those.length / most) }, (_, i) => ({ args, those: those.slice(i * most, (i + 1) * most) })))
  const tasks: string[] = []
  const answered: Answered[] = []
  for (const [i, { args, those }] of parts.entries()) {
    try {
      const answer = await post(`/${plural}/batch`, {
        verb: op.name, ids: those.map((o) => o.id), args: args === '{}' ? undefined : JSON.parse(args),
        parallel: parts.length > 1 ? Math.max(1, Math.floor(Number(parallel?.def ?? PARALLEL) / parts.length)) : undefined,
      })
      if (answer.results) answered.push(...answer.results.map(({ id, error: e }: any) => ({ id, error: e && new ApiError(409, e.code, e.message, e.hint, e.field, e.cause, e.request_id, e.params) })))
      else {
        noteMade(answer)
        tasks.push(answer.id)
      }
    } catch (error) {
      if (!tasks.length && !answered.length) throw error
      return { tasks, answered, unsent: parts.slice(i).flatMap((part) => part.those), error }
    }
  }
  return { tasks, answered, unsent: [] }
}
