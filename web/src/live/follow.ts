// SPDX-License-Identifier: Apache-2.0
// Tasks that this window asked for: failures are told wherever the user is by then.
import { get } from '../api/client'
import { link } from './link'

type Listener = (task: any) => void
const mine = new Set<string>()
const listeners = new Set<Listener>()
const ended = new Set(['done', 'partly_done', 'failed', 'rolled_back', 'cancelled', 'abandoned'])
const waiting = new Map<string, (task: any) => void>()

/** Ended lately: a short task's end may come before the answer that names it. */
const late = new Map<string, any>()

export function noteMade(task: any) {
  const known = late.get(task.id)
  if (known) for (const f of listeners) f(known)
  else mine.add(task.id)
}

/** Called once for each task of ours that has ended. */
export function onEnded(f: Listener) {
  listeners.add(f)
  return () => void listeners.delete(f)
}

export const isEnded = (task: any) => ended.has(task?.state)

/** The task when it has ended. */
export function whenEnded(id: string): Promise<any> {
  const known = late.get(id)
  return known ? Promise.resolve(known) : new Promise((resolve) => waiting.set(id, resolve))
}

function noteEnded(task: any) {
  late.set(task.id, task)
  if (late.size > 500) late.delete(late.keys().next().value!)
  waiting.get(task.id)?.(task)
  waiting.delete(task.id)
  if (mine.delete(task.id)) for (const f of listeners) f(task)
}

const look = (id: string) => void get<any>(`/tasks/${id}`).then((task) => isEnded(task) && noteEnded(task), () => undefined)

link.onChanges((changes) => {
  for (const change of changes) {
    if (change.type !== 'Task' || change.op === 'gone' || !isEnded(change.object)) continue
    if (change.op === 'put') noteEnded(change.object)
    else look(change.id)
  }
})
// Ends that the link could not tell.
link.onRelist(() => {
  for (const id of new Set([...waiting.keys(), ...mine])) look(id)
})
