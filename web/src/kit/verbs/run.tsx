// SPDX-License-Identifier: Apache-2.0
// Asking for a verb: at once where nothing is to be said or confirmed, by its dialog otherwise. What happens then is told by the server.
import { call, type Obj } from '../../api/client'
import { fieldsOf, resource, type Op } from '../../api/contract'
import { noteMade } from '../../live/follow'
import { learn } from '../../live/store'
import { t } from '../../texts'
import { tell } from '../error/ErrorBox'
import { visible } from '../format'
import { openOverlay } from '../overlay'
import { toastError } from '../toast'
import { VerbDialog } from './VerbDialog'
import { verbForm } from './forms'

export const verbPath = (plural: string, op: Op, id: string) => (op.kind === 'delete' ? `/${plural}/${id}` : `/${plural}/${id}/${op.name}`)
export const verbMethod = (op: Op) => (op.kind === 'delete' ? 'DELETE' : 'POST')

/** Sends it; an answer that is a task is followed by the task bar. */
export async function send(plural: string, op: Op, id: string, body: Record<string, unknown> = {}): Promise<any> {
  const answer = await call(verbMethod(op), verbPath(plural, op, id), op.kind === 'delete' && !Object.keys(body).length ? undefined : body)
  if (answer?.id?.startsWith('task-')) noteMade(answer)
  else learn(answer)
  return answer
}

const asks = (op: Op) => (op.danger ?? 0) > 0 || Object.values(fieldsOf(op.body ?? '')).some((field) => field.req)

/** What was asked for and is not answered yet: a second click asks for nothing. */
const under = new Set<string>()

/** Runs it, or opens the dialog that it needs. */
export function ask(plural: string, op: Op, objects: Obj[]) {
  const form = verbForm(plural, op.name)
  if (form?.run) return form.run(objects)
  if (objects.length !== 1 || asks(op) || form?.fields || form?.intro) return openOverlay(<VerbDialog plural={plural} op={op} objects={objects} />)
  const object = objects[0]!
  const key = `${object.id} ${op.name}`
  if (under.has(key)) return
  under.add(key)
  void send(plural, op, object.id).catch((error) => toastError(tell(error), t('verb_failed', { verb: op.l, name: visible(object.name ?? object.id), kind: resource(plural)?.one ?? '' }))).finally(() => under.delete(key))
}
