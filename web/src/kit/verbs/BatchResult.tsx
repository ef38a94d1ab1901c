// SPDX-License-Identifier: Apache-2.0
// What became of one verb on many objects: one summary, each failure with its reason, and the rest again.
import { Button, Modal, Progress } from 'antd'
import { type Obj } from '../../api/client'
import { resource, word, type Op } from '../../api/contract'
import { isEnded } from '../../live/follow'
import { useObject, useRows } from '../../live/store'
import { t } from '../../texts'
import { ErrorBox, tell, tellFailure } from '../error/ErrorBox'
import { Ref } from '../Name'
import { closeOverlay, openOverlay } from '../overlay'
import { Glyph } from '../state/glyphs'
import { State } from '../state/State'
import type { Sent } from './many'
import { VerbDialog } from './VerbDialog'

/** Failures that are read: all of one batch. The table has the first. */
const READ = 10000
const SHOWN = 200
const NOT_FAILED = ['queued', 'running', 'cancelling', 'rolling_back', 'done', 'partly_done']

export function BatchResult({ sent, plural, op, objects, args, refused }: { sent: Sent; plural: string; op: Op; objects: Obj[]; args: Record<string, any>; refused: [string, Obj[]][] }) {
  // As many as there were when the dialog opened: these hooks are always the same ones.
  const parents = sent.tasks.map((task) => useObject(task).object)
  const refusedNow = sent.answered.filter((one) => one.error).map((one) => ({ id: one.id, target: one.id, message: tell(one.error).message }))
  const failedTasks = sent.tasks.flatMap((task) => useRows('tasks', { filter: [`parent=${task}`, ...NOT_FAILED.map((state) => `state!=${state}`)].join(' and '), fields: 'target,state,error' }, READ).rows)
  const failed = [...refusedNow, ...failedTasks.map((row) => ({ id: row.id, target: row.target, message: row.error ? tellFailure(row.error).message : word(row.state) }))]
  const sum = (field: string): number => parents.reduce((n, parent) => n + (parent?.children?.[field] ?? 0), 0)
  const ended = parents.every(isEnded)
  const lost = new Set(failed.map((row) => row.target))
  const unsent = new Set(sent.unsent.map((o) => o.id))
  const again = objects.filter((o) => lost.has(o.id) || unsent.has(o.id))
  const done = sum('done') + sent.answered.length - refusedNow.length
  const bad = Math.max(failed.length, refusedNow.length + sum('failed') + sum('cancelled'))
  const total = objects.length
  return (
    <Modal
      open title={t('verb_on_many', { verb: op.l, n: total, kind: resource(plural)!.many })} onCancel={closeOverlay} width={640} destroyOnHidden
      footer={[
        ended && again.length > 0 && <Button key="again" onClick={() => openOverlay(<VerbDialog plural={plural} op={op} objects={again} initial={args} />)}>{t('retry_failed', { n: again.length })}</Button>,
        <Button key="close" type="primary" onClick={closeOverlay}>{ended ? t('close') : t('hide')}</Button>,
      ]}
    >
      <div className="stack" aria-live="polite">
        <Progress percent={total ? Math.floor((100 * (done + bad)) / total) : 0} status={bad || sent.unsent.length ? 'exception' : ended ? 'success' : 'active'} />
        <div className="counts" data-test="batch-summary">
          <span><Glyph name="tick" colour="ok" /> {t('n_done', { n: done })}</span>
          <span><Glyph name="cross" colour={bad ? 'bad' : 'off'} /> {t('n_failed', { n: bad })}</span>
          {sent.unsent.length > 0 && <span><Glyph name="dash" colour="bad" /> {t('n_unsent', { n: sent.unsent.length })}</span>}
          {refused.length > 0 && <span><Glyph name="dash" colour="off" /> {t('n_skipped', { n: refused.reduce((n, [, o]) => n + o.length, 0) })}</span>}
          {parents.length === 1 && parents[0] && <State path="Task.state" value={parents[0].state} />}
        </div>
        {sent.error !== undefined && <ErrorBox error={tell(sent.error)} />}
        {failed.length > 0 && (
          <table className="plain">
            <tbody>
              {failed.slice(0, SHOWN).map((row) => (
                <tr key={row.id}>
                  <td><Ref id={row.target} /></td>
                  <td dir="auto">{row.message}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
        {failed.length > SHOWN && <p className="faint">{t('and_more', { n: failed.length - SHOWN })}</p>}
      </div>
    </Modal>
  )
}
