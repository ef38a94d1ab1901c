// SPDX-License-Identifier: Apache-2.0
// A task in full: its steps with their times, its log, why it failed, its children.
import { sentence, word } from '../api/contract'
import { useSteps } from '../api/steps'
import { useRows } from '../live/store'
import { t } from '../texts'
import { ErrorBox, tellFailure } from './error/ErrorBox'
import { duration, time } from './format'
import { Ref, To } from './Name'
import { Glyph } from './state/glyphs'
import { State } from './state/State'

const STEP: Record<string, [string, string]> = { running: ['dots', 'busy'], done: ['tick', 'ok'], failed: ['cross', 'bad'], undoing: ['turn_back', 'busy'], undone: ['turn_back', 'off'], left: ['dash', 'warn'] }

export function TaskDetail({ task }: { task: any }) {
  const { rows } = useRows(task.children?.total ? 'tasks' : undefined, { filter: `parent=${task.task ?? task.id}` }, 200)
  const stepWords = useSteps()
  return (
    <div className="taskdetail">
      {task.error && <ErrorBox error={tellFailure(task.error, task.request_id)} />}
      <div className="columns">
        <div>
          <h3>{t('steps')}</h3>
          <ol className="steps">
            {(task.steps ?? []).map((step: any, i: number) => (
              <li key={i}>
                <Glyph name={STEP[step.state]?.[0] ?? 'circle'} colour={STEP[step.state]?.[1] ?? 'off'} title={word(step.state)} />
                <span>{stepWords(step.name)}</span>
                <span className="faint">{step.started && step.ended ? duration(Date.parse(step.ended) - Date.parse(step.started)) : ''}</span>
              </li>
            ))}
            {!task.steps?.length && <li className="faint">{t('no_steps')}</li>}
          </ol>
        </div>
        <div className="grow">
          <h3>{t('log')}</h3>
          <ul className="log">
            {(task.log ?? []).map((line: any, i: number) => <li key={i}><time className="faint">{time(line.time).slice(11)}</time> <span dir="auto">{sentence(line.text, line.params)}</span></li>)}
            {!task.log?.length && <li className="faint">{t('log_empty')}</li>}
          </ul>
          {rows.length > 0 && <h3>{t('children')}</h3>}
          <ul className="log">
            {rows.slice(0, 50).map((child) => <li key={child.id}><State path="Task.state" value={child.state} /> <Ref id={child.target ?? child.result} /> {(child.error ?? child.waiting) && <span dir="auto">{tellFailure(child.error ?? child.waiting).message}</span>}</li>)}
          </ul>
          <p className="faint">{task.request_id && <span className="mono">{t('request_id')} {task.request_id} </span>}<To to={`/tasks/${task.task ?? task.id}`}>{t('open_task')}</To></p>
        </div>
      </div>
    </div>
  )
}
