// SPDX-License-Identifier: Apache-2.0
// Short lists for dashboards: events, alarms, whoever uses most.
import { alarmTexts, look, sentence, word } from '../api/contract'
import { may } from '../live/session'
import { useRows } from '../live/store'
import { t } from '../texts'
import { useState } from 'react'
import { Segmented } from 'antd'
import { Card } from './Details'
import { ago, bits, bytes, percent, rate } from './format'
import { usePref } from './prefs'
import { Name, Ref, To } from './Name'
import { Glyph } from './state/glyphs'
import { StateGlyph } from './state/State'
import { typeOf } from '../api/contract'
import type { ReactNode } from 'react'
import type { Obj } from '../api/client'

export function LastEvents({ filter, n = 6 }: { filter?: string; n?: number }) {
  const { rows, loading } = useRows('events', { filter }, n)
  if (!loading && !rows.length) return <p className="faint">{t('no_events')}</p>
  return (
    <ul className="short">
      {rows.slice(0, n).map((row) => (
        <li key={row.id}>
          <Glyph name={look('Event.level', row.level).glyph} colour={look('Event.level', row.level).colour} title={word(row.level)} size={14} />
          {!filter && row.object && typeOf(row.object) && <Ref id={row.object} max={28} />}
          <span className="grow cut" dir="auto" title={sentence(row.text, row.params)}>{sentence(row.text, row.params)}</span>
          <span className="faint">{ago(row.time)}</span>
        </li>
      ))}
    </ul>
  )
}

/** `of`: of these objects alone, which no filter can name together. */
export function OpenAlarms({ filter, of }: { filter?: string; of?: Set<string> }) {
  const { rows: all, loading } = useRows('alarms', { filter, sort: '-since' }, of ? 1000 : 8)
  const rows = of ? all.filter((row) => of.has(row.object)) : all
  if (!loading && !rows.length) return <p className="allwell"><Glyph name="tick" colour="ok" /> {t('no_alarms')}</p>
  return (
    <ul className="short">
      {rows.slice(0, 8).map((row) => (
        <li key={row.id}>
          <Glyph name={look('Alarm.level', row.level).glyph} colour={look('Alarm.level', row.level).colour} title={word(row.level)} size={14} />
          <span className="cut" title={alarmTexts(row.kind).means}>{word(String(row.kind))}</span>
          <span className="grow">{row.object && <Ref id={row.object} max={28} />}</span>
          <span className="faint">{ago(row.since)}</span>
        </li>
      ))}
    </ul>
  )
}

/** Alarms of one object in full: what each means, and what to do. Nothing while there is none. */
export function AlarmBoxes({ id }: { id: string }) {
  const { rows } = useRows(may('alarm.read') ? 'alarms' : undefined, { filter: `object=${id}`, sort: '-since' }, 8)
  return rows.map((row) => {
    const { means, hint } = alarmTexts(row.kind)
    return (
      <div className="trouble" key={row.id} data-test="alarm">
        <div className={`errorbox ${row.level}`} role="status">
          <Glyph name={look('Alarm.level', row.level).glyph} colour={look('Alarm.level', row.level).colour} title={word(row.level)} />
          <div className="grow">
            <div className="what"><To to={`/alarms/${row.id}`}>{word(String(row.kind))}</To> <span className="faint">{ago(row.since)}</span></div>
            <div dir="auto">{means}</div>
            {hint && <div className="hint" dir="auto">{hint}</div>}
          </div>
        </div>
      </div>
    )
  })
}

const USES: Record<string, { title: () => string; fields: string[]; text: (sum: number) => ReactNode; max?: number }> = {
  cpu: { title: () => 'CPU', fields: ['cpu_percent'], text: percent, max: 100 },
  memory: { title: () => t('memory'), fields: ['memory_used_bytes'], text: bytes },
  disk: { title: () => t('disks'), fields: ['disk_read_bytes_per_s', 'disk_write_bytes_per_s'], text: rate },
  network: { title: () => t('network'), fields: ['net_rx_bytes_per_s', 'net_tx_bytes_per_s'], text: bits },
}
const AMONG = 50 // of each direction: who has most of both together is among those

/** VMs that use most of a processor, memory, disks or network, as is chosen. */
export function TopVms({ filter, n = 5, by: wanted }: { filter: string; n?: number; by?: string }) {
  const [kept, keep] = usePref('top-vms', 'cpu')
  const [here, choose] = useState(wanted)
  const by = here ?? kept
  const use = USES[by] ?? USES.cpu!
  const query = (field: string | undefined) => ({ filter: `${filter} and power.state=running and usage.${field}!=""`, sort: `-usage.${field}` })
  const first = useRows('vms', query(use.fields[0]), use.fields[1] ? AMONG : n)
  const other = useRows(use.fields[1] ? 'vms' : undefined, query(use.fields[1]), AMONG)
  const sum = (vm: Obj): number => use.fields.reduce((all, field) => all + (vm.usage?.[field] ?? 0), 0)
  const rows = [...new Map([...first.rows, ...other.rows].map((row) => [row.id, row])).values()].sort((a, b) => sum(b) - sum(a)).slice(0, n)
  const most = use.max ?? Math.max(1, ...rows.map(sum))
  return (
    <Card title={t('busiest_vms')} actions={<Segmented size="small" value={by} onChange={(next) => (wanted ? choose(next) : keep(next))} aria-label={t('busiest_by')} data-test="top-vms" options={Object.entries(USES).map(([value, one]) => ({ value, label: one.title() }))} />}>
      {!first.loading && !rows.length ? <p className="faint">{t('no_figures')}</p> : (
        <ul className="top">
          {rows.map((row) => (
            <li key={row.id}>
              <span className="topname"><StateGlyph type="Vm" object={row} size={14} /> <To to={`/vms/${row.id}`}><Name text={row.name} max={28} /></To></span>
              <span className="track"><i className="fill" style={{ width: `${Math.min(100, (100 * sum(row)) / most)}%` }} /></span>
              <span className="nums">{use.text(sum(row))}</span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}

/** Who has most of something, with a bar. */
export function Top({ plural, sort, value, text, filter, n = 5, max }: { plural: string; sort: string; value: (o: Obj) => number | undefined; text: (o: Obj) => ReactNode; filter?: string; n?: number; max?: number }) {
  const { rows, loading } = useRows(plural, { sort: '-' + sort, filter: [filter, `${sort}!=""`].filter(Boolean).join(' and ') }, n)
  const shown = rows.filter((row) => value(row) !== undefined).sort((a, b) => value(b)! - value(a)!).slice(0, n)
  const most = max ?? Math.max(1, ...shown.map((row) => value(row)!))
  if (!loading && !shown.length) return <p className="faint">{t('no_figures')}</p>
  return (
    <ul className="top">
      {shown.map((row) => (
        <li key={row.id}>
          <span className="topname"><StateGlyph type={typeOf(row.id)!} object={row} size={14} /> <To to={`/${plural}/${row.id}`}><Name text={row.name} max={28} /></To></span>
          <span className="track"><i className="fill" style={{ width: `${Math.min(100, (100 * value(row)!) / most)}%` }} /></span>
          <span className="nums">{text(row)}</span>
        </li>
      ))}
    </ul>
  )
}
