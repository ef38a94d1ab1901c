// SPDX-License-Identifier: Apache-2.0
// Recent tasks at the bottom, live: what, on what, how far, why not; each opens to its steps and log.
import { useEffect, useState, useSyncExternalStore } from 'react'
import { Button, Progress } from 'antd'
import { opOf, taskLabel, typeOf, word } from '../api/contract'
import { ask } from '../kit/verbs/run'
import { against, refusal } from '../kit/verbs/check'
import { tellFailure } from '../kit/error/ErrorBox'
import { ago, duration, visible } from '../kit/format'
import { Name, Ref } from '../kit/Name'
import { usePref } from '../kit/prefs'
import { Icon, Glyph } from '../kit/state/glyphs'
import { State } from '../kit/state/State'
import { TaskDetail } from '../kit/TaskDetail'
import { toastDone, toastError } from '../kit/toast'
import { isEnded, onEnded } from '../live/follow'
import { may } from '../live/session'
import { useRows } from '../live/store'
import { uploads } from '../live/uploads'
import { t } from '../texts'

export function TaskBar() {
  const [open, setOpen] = usePref('tasks-open', false)
  const { rows } = useRows(may('task.read') ? 'tasks' : undefined, { sort: '-created', filter: 'parent=""' }, 100)
  const moving = useSyncExternalStore(uploads.subscribe, uploads.all)
  const living = rows.filter((row) => !isEnded(row))
  const newest = living[0] ?? rows[0]
  useEffect(() => onEnded((task) => {
    if (['failed', 'rolled_back', 'partly_done'].includes(task.state) && task.error) toastError(tellFailure(task.error, task.request_id), `${taskLabel(task)}: ${word(task.state)}`)
    else if (task.state === 'done' && !location.pathname.includes(task.result ?? task.target ?? '-')) toastDone(<>{taskLabel(task)} · {word('done')}</>)
  }), [])
  return (
    <footer className={`taskbar${open ? ' open' : ''}`} aria-label={t('recent_tasks')}>
      <div className="taskhead">
        <Button type="text" size="small" aria-expanded={open} data-test="tasks" icon={<Icon name={open ? 'down' : 'up'} size={12} />} onClick={() => setOpen(!open)}>{t('recent_tasks')}</Button>
        {living.length > 0 && <span className="state"><Glyph name="dots" colour="busy" /> {t('n_running', { n: living.length })}</span>}
        {!open && newest && <span className="newest" role="status"><State path="Task.state" value={newest.state} soft /> <span>{taskLabel(newest)}</span> <TargetName task={newest} /> {!isEnded(newest) && <Bar task={newest} />}</span>}
        <span className="grow" />
        {moving.map((u) => <span key={u.volume} className="uploading">{visible(u.name)} <Progress percent={u.percent} size="small" status={u.error ? 'exception' : 'active'} /> <Button size="small" type="text" aria-label={t('cancel')} icon={<Icon name="close" size={11} />} onClick={() => uploads.cancel(u.volume)} /></span>)}
      </div>
      {open && <Rows rows={rows} />}
    </footer>
  )
}

function TargetName({ task }: { task: any }) {
  const id = task.target ?? task.result
  return id && typeOf(id) ? <Ref id={id} max={36} /> : task.target_name ? <Name text={task.target_name} max={36} /> : null
}

function Bar({ task }: { task: any }) {
  const percent = task.progress?.percent
  return percent === undefined ? null : <Progress className="taskprogress" percent={percent} size="small" />
}

function Rows({ rows }: { rows: any[] }) {
  const [shown, setShown] = useState<string>()
  const [, tick] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000)
    return () => clearInterval(timer)
  }, [])
  const cancel = opOf('tasks', 'cancel')
  return (
    <div className="taskrows" tabIndex={0} role="region" aria-label={t('recent_tasks')}>
      <table className="plain">
        <thead><tr><th>{t('task')}</th><th>{t('target')}</th><th>{t('state')}</th><th>{t('details')}</th><th>{t('by')}</th><th>{t('started')}</th><th>{t('took')}</th><th /></tr></thead>
        <tbody>
          {rows.slice(0, 60).map((task) => [
            <tr key={task.id} className={shown === task.id ? 'at' : undefined} data-id={task.id}>
              <td><button type="button" className="linklike" aria-expanded={shown === task.id} onClick={() => setShown(shown === task.id ? undefined : task.id)}><Icon name={shown === task.id ? 'down' : 'right'} size={11} /> {taskLabel(task)}</button></td>
              <td><TargetName task={task} /></td>
              <td><State path="Task.state" value={task.state} /> <Bar task={task} /></td>
              <td className="cut" dir="auto">{task.error ? tellFailure(task.error).message : task.waiting ? tellFailure(task.waiting).message : task.children ? t('n_of', { n: task.children.done, all: task.children.total }) : ''}</td>
              <td>{task.owner}</td>
              <td>{ago(task.created)}</td>
              <td>{duration((task.ended ? Date.parse(task.ended) : Date.now()) - Date.parse(task.created))}</td>
              <td>{cancel && may(cancel.right) && !isEnded(task) && !against(cancel, task) && <Button size="small" disabled={!!refusal(cancel, task)} title={refusal(cancel, task)} onClick={() => ask('tasks', cancel, [task])}>{cancel.l}</Button>}</td>
            </tr>,
            shown === task.id && <tr key={task.id + '-detail'}><td colSpan={8}><TaskDetail task={task} /></td></tr>,
          ])}
        </tbody>
      </table>
      {rows.length === 0 && <div className="nothing">{t('no_tasks')}</div>}
    </div>
  )
}
