// SPDX-License-Identifier: Apache-2.0
// One verb on many objects: as few batches as the manager's limit allows, which together go no faster than one alone.
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
export async function sendMany(plural: string, op: Op, objects: Obj[], args: Record<string, unknown>): Promise<Sent> {
  const { ids, parallel } = fieldsOf('Batch')
  const most = ids?.items ?? MOST
  const parts = Math.ceil(objects.length / most)
  const tasks: string[] = []
  for (let i = 0; i < parts; i++) {
    try {
      const task = await post(`/${plural}/batch`, {
        verb: op.name, ids: objects.slice(i * most, (i + 1) * most).map((o) => o.id), args: Object.keys(args).length ? args : undefined,
        parallel: parts > 1 ? Math.max(1, Math.floor(Number(parallel?.def ?? PARALLEL) / parts)) : undefined,
      })
      noteMade(task)
      tasks.push(task.id)
    } catch (error) {
      if (!tasks.length) throw error
      return { tasks, unsent: objects.slice(i * most), error }
    }
  }
  return { tasks, unsent: [] }
}
