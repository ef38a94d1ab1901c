// SPDX-License-Identifier: Apache-2.0
// What became of one verb on many objects: one summary, each failure with its reason, and the rest again.
import { Button, Modal, Progress } from 'antd'
import { type Obj } from '../../api/client'
import { resource, word, type Op } from '../../api/contract'
import { isEnded } from '../../live/follow'
import { useObject, useRows } from '../../live/store'
import { t } from '../../texts'
import { tellFailure } from '../error/ErrorBox'
import { Ref } from '../Name'
import { closeOverlay, openOverlay } from '../overlay'
import { Glyph } from '../state/glyphs'
import { State } from '../state/State'
import { VerbDialog } from './VerbDialog'

export function BatchResult({ task, plural, op, objects, args, refused }: { task: string; plural: string; op: Op; objects: Obj[]; args: Record<string, any>; refused: [string, Obj[]][] }) {
  const { object } = useObject(task)
  const { rows } = useRows('tasks', { filter: `parent=${task}` }, 500)
  const children = object?.children
  const ended = isEnded(object)
  const failed = rows.filter((row) => ['failed', 'rolled_back', 'cancelled', 'abandoned'].includes(row.state))
  const again = objects.filter((o) => failed.some((row) => row.target === o.id))
  const done = children?.done ?? 0
  const total = children?.total ?? objects.length
  return (
    <Modal
      open title={t('verb_on_many', { verb: op.l, n: total, kind: resource(plural)!.many })} onCancel={closeOverlay} width={640} destroyOnHidden
      footer={[
        ended && again.length > 0 && <Button key="again" onClick={() => openOverlay(<VerbDialog plural={plural} op={op} objects={again} initial={args} />)}>{t('retry_failed', { n: again.length })}</Button>,
        <Button key="close" type="primary" onClick={closeOverlay}>{ended ? t('close') : t('hide')}</Button>,
      ]}
    >
      <div className="stack" aria-live="polite">
        <Progress percent={total ? Math.round((100 * (done + failed.length)) / total) : 0} status={failed.length ? 'exception' : ended ? 'success' : 'active'} />
        <div className="counts" data-test="batch-summary">
          <span><Glyph name="tick" colour="ok" /> {t('n_done', { n: done })}</span>
          <span><Glyph name="cross" colour={failed.length ? 'bad' : 'off'} /> {t('n_failed', { n: failed.length })}</span>
          {refused.length > 0 && <span><Glyph name="dash" colour="off" /> {t('n_skipped', { n: refused.reduce((n, [, o]) => n + o.length, 0) })}</span>}
          {object && <State path="Task.state" value={object.state} />}
        </div>
        {failed.length > 0 && (
          <table className="plain">
            <tbody>
              {failed.map((row) => (
                <tr key={row.id}>
                  <td><Ref id={row.target} /></td>
                  <td dir="auto">{row.error ? tellFailure(row.error).message : word(row.state)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
    </Modal>
  )
}
