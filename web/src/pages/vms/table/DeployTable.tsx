// SPDX-License-Identifier: Apache-2.0
// Many VMs from a spreadsheet: each row is checked by the manager before anything is made; then all at once, with what became of each.
import { useEffect, useRef, useState, type DragEvent } from 'react'
import { Button } from 'antd'
import { call, dryRun, list, quoted } from '../../../api/client'
import { pluralOf, word } from '../../../api/contract'
import { ErrorBox, tell } from '../../../kit/error/ErrorBox'
import { bytes } from '../../../kit/format'
import { Name, Ref, To } from '../../../kit/Name'
import { Glyph, Icon } from '../../../kit/state/glyphs'
import { isEnded, noteMade } from '../../../live/follow'
import { useRows } from '../../../live/store'
import { go } from '../../../router'
import { t } from '../../../texts'
import { readTable, type Fault, type Order } from './columns'

const AT_A_TIME = 6

/** An order and how far it has come. */
interface Line extends Order { state: 'checking' | 'good' | 'bad' | 'sending' | 'sent'; told?: string; task?: string }

async function each<T>(items: T[], work: (item: T) => Promise<void>) {
  const rest = [...items]
  await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item)
  }))
}

/** All names that the cells hold, looked up once. */
async function lookUp(cells: unknown[][]): Promise<(plural: string, name: string) => string[]> {
  const asked = new Map<string, string[]>()
  readTable(cells, (plural, name) => (asked.set(`${plural} ${name}`, []), ['']))
  await each([...asked.keys()], async (key) => {
    const [plural, name] = [key.slice(0, key.indexOf(' ')), key.slice(key.indexOf(' ') + 1)]
    const byId = pluralOf(name) === plural ? await call('GET', `/${plural}/${name}`).then((o) => [o.id], () => []) : []
    asked.set(key, byId.length ? byId : (await list(plural, { filter: `name=${quoted(name)}`, fields: 'name', limit: 3 })).items.map((row) => row.id))
  })
  return (plural, name) => asked.get(`${plural} ${name}`) ?? []
}

export default function DeployTable() {
  const [file, setFile] = useState<File>()
  const [over, setOver] = useState(false)
  const [faults, setFaults] = useState<Fault[]>([])
  const [lines, setLines] = useState<Line[]>([])
  const [error, setError] = useState<unknown>()
  const [busy, setBusy] = useState(false)
  const change = (row: number, part: Partial<Line>) => setLines((all) => all.map((line) => (line.row === row ? { ...line, ...part } : line)))

  const last = useRef<File>(undefined)
  const take = async (chosen: File | undefined) => {
    if (!chosen) return
    last.current = chosen
    setFile(chosen)
    setLines([])
    setFaults([])
    setError(undefined)
    try {
      const { readFile } = await import('./sheet')
      const cells = await readFile(chosen)
      const read = readTable(cells, await lookUp(cells))
      if (last.current !== chosen) return // another one by now
      setFaults(read.faults)
      if (!read.faults.length) setLines(read.orders.map((order) => ({ ...order, state: order.faults.length ? 'bad' : 'checking' })))
    } catch (failed) {
      if (last.current === chosen) setError(failed)
    }
  }
  // Each row by the manager's own rules.
  useEffect(() => {
    let here = true
    void each(lines.filter((line) => line.state === 'checking'), async (line) => {
      if (!here) return
      await dryRun('POST', '/vms/deploy', line.body).then(() => here && change(line.row, { state: 'good' }), (failed) => here && change(line.row, { state: 'bad', told: tell(failed).message }))
    })
    return () => void (here = false)
  }, [file, lines.length])

  const good = lines.filter((line) => line.state === 'good')
  const sent = lines.filter((line) => line.task)
  const tasks = useRows(sent.length ? 'tasks' : undefined, { filter: 'kind=vm_deploy', sort: '-created' }, 1000)
  const stateOf = new Map(tasks.rows.map((row) => [row.id, row]))
  const send = async () => {
    setBusy(true)
    await each(good, async (line) => {
      change(line.row, { state: 'sending' })
      await call('POST', '/vms/deploy', line.body).then(
        (task) => (noteMade(task), change(line.row, { state: 'sent', task: task.id })),
        (failed) => change(line.row, { state: 'bad', told: tell(failed).message }),
      )
    })
    setBusy(false)
  }
  const drop = (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    void take(event.dataTransfer.files[0])
  }
  const checking = lines.filter((line) => line.state === 'checking').length
  const bad = lines.filter((line) => line.state === 'bad').length
  return (
    <div className="createpage">
      <div className="pagehead"><Icon name="images" size={20} /><h1>{t('deploy_from_table')}</h1></div>
      <div className="createbody whole">
        <form className="stack" onSubmit={(e) => {
          e.preventDefault()
          void send()
        }}>
          <p className="soft">{t('table_how')} <Button type="link" onClick={() => void import('./sheet').then(({ saveTemplate }) => saveTemplate()).catch(setError)} data-test="template">{t('table_template')}</Button></p>
          <label className={`dropzone${over ? ' over' : ''}`} onDragOver={(e) => { e.preventDefault(); setOver(true) }} onDragLeave={() => setOver(false)} onDrop={drop}>
            <input type="file" accept=".xlsx" onChange={(e) => (void take(e.target.files?.[0]), (e.target.value = ''))} data-test="file" />
            <Icon name="upload" size={24} />
            {file ? <span><Name text={file.name} /> · {bytes(file.size)}</span> : <span>{t('choose_table')}</span>}
          </label>
          {error !== undefined && <ErrorBox error={tell(error)} />}
          {faults.length > 0 && <ul className="short" role="alert" data-test="sheet-faults">{faults.map((f) => <li key={f.cell + f.message}><Glyph name="cross" colour="bad" /> <span className="mono">{f.cell}</span> {f.message}</li>)}</ul>}
          {lines.length > 0 && (
            <div className="tablebox">
              <table className="plain" data-test="orders">
                <thead><tr><th>{t('table_row')}</th><th>{t('name')}</th><th>{t('image')}</th><th>vCPU</th><th>{t('memory')}</th><th>{t('placement')}</th><th>{t('table_result')}</th></tr></thead>
                <tbody>
                  {lines.map((line) => (
                    <tr key={line.row} data-state={line.state}>
                      <td className="number">{line.row}</td>
                      <td><Name text={line.name} max={30} /></td>
                      <td>{line.body.image && <Ref id={line.body.image} max={24} />}</td>
                      <td className="number">{line.body.cpu?.vcpus}</td>
                      <td className="number">{line.body.memory_bytes && bytes(line.body.memory_bytes)}</td>
                      <td>{line.body.host ?? line.body.cluster ? <Ref id={line.body.host ?? line.body.cluster} max={24} /> : t('automatic')}</td>
                      <td><Outcome line={line} task={line.task ? stateOf.get(line.task) : undefined} /></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
          {lines.length > 0 && <p role="status" className="soft" data-test="table-summary">{checking ? t('checking') : sent.length ? t('table_sent', { n: sent.length, bad }) : t('table_checked', { n: good.length, bad })}</p>}
          <div className="formfoot">
            <Button type="primary" htmlType="submit" loading={busy} disabled={!good.length || checking > 0} data-test="confirm">{t('deploy_n', { n: good.length })}</Button>
            <Button onClick={() => (sent.length ? go('/vms') : history.back())}>{sent.length ? t('close') : t('cancel')}</Button>
          </div>
        </form>
      </div>
    </div>
  )
}

function Outcome({ line, task }: { line: Line; task?: any }) {
  if (line.faults.length) return <span className="warnword"><Glyph name="cross" colour="bad" /> {line.faults.map((f) => `${f.cell}: ${f.message}`).join(' ')}</span>
  if (line.told) return <span className="warnword" dir="auto"><Glyph name="cross" colour="bad" /> {line.told}</span>
  if (line.task) return <span><Glyph name={isEnded(task) && task.state !== 'done' ? 'cross' : 'tick'} colour={isEnded(task) ? (task.state === 'done' ? 'ok' : 'bad') : 'off'} /> <To to={`/tasks/${line.task}`}>{task ? word(task.state) : line.task}</To></span>
  return line.state === 'good' ? <span><Glyph name="tick" colour="ok" /> {t('checks_passed')}</span> : <span className="faint">{t('checking')}</span>
}
