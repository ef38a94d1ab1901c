// SPDX-License-Identifier: Apache-2.0
// An object as its contract describes it: plain fields in a list, parts as cards, lists of parts as tables. What can be changed has its pencil.
import type { ReactNode } from 'react'
import { Button } from 'antd'
import type { Obj } from '../api/client'
import { fieldsOf, opOf, type Field } from '../api/contract'
import { useHelp } from '../api/help'
import { t } from '../texts'
import { EditDialog } from './form/CreateDialog'
import { openOverlay } from './overlay'
import { Icon } from './state/glyphs'
import { isNumber, labelOf, Value } from './Value'
import { changeable, refusal } from './verbs/check'

export function Card({ title, children, actions, wide, className = '' }: { title?: ReactNode; children: ReactNode; actions?: ReactNode; wide?: boolean; className?: string }) {
  return (
    <section className={`card${wide ? ' wide' : ''} ${className}`}>
      {(title || actions) && <header><h2>{title}</h2><span className="grow" />{actions}</header>}
      <div className="cardbody">{children}</div>
    </section>
  )
}

/** Label and value, one under the other. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl className="facts">{children}</dl>
}

export function Fact({ label, children, title }: { label: ReactNode; children: ReactNode; title?: string }) {
  return <div><dt title={title}>{label}</dt><dd>{children}</dd></div>
}

/** Facts of an object by the paths of its fields. */
export function FactsOf({ type, object, paths }: { type: string; object: any; paths: string[] }) {
  return <Facts>{paths.map((path) => <Fact key={path} label={labelOf(type, path)}><Value type={type} path={path} object={object} /></Fact>)}</Facts>
}

const isPlain = (field: Field) => field.t !== 'object' || (!field.many && !field.o)
const waits = (object: any, name: string) => (object.pending_restart as string[] | undefined)?.some((path) => path === name || path.startsWith(name + '.') || path.startsWith(name + '['))

export function EditButton({ plural, object, only, title }: { plural: string; object: Obj; only: string[]; title?: string }) {
  const op = opOf(plural, 'update')
  if (!op) return null
  const why = refusal(op, object)
  return <Button size="small" type="text" disabled={!!why} title={why ?? t('change')} aria-label={`${t('change')} ${title ?? ''}`} icon={<Icon name="edit" size={13} />} onClick={() => openOverlay(<EditDialog plural={plural} object={object} only={only} title={title} />)} />
}

/** A column of a table of parts that its rows do not have themselves. */
export interface OwnColumn { title: string; number?: boolean; cell: (row: any) => ReactNode }

interface PartTableProps { type: string; rows: any[]; paths?: string[]; own?: OwnColumn[]; after?: string[]; actions?: (row: any) => ReactNode }

export function PartTable({ type, rows, paths, own = [], after = [], actions }: PartTableProps) {
  const fields = fieldsOf(type)
  const shown = (paths ?? Object.keys(fields).filter((n) => rows.some((row) => row[n] !== undefined && row[n] !== '' && !(Array.isArray(row[n]) && !row[n].length)))).slice(0, 12)
  const side = (n: string) => (isNumber(fields[n]) ? 'number' : undefined)
  const head = (n: string) => <th key={n} className={side(n)}>{labelOf(type, n)}</th>
  const cell = (row: any, n: string) => <td key={n} className={side(n)}><Value type={type} path={n} object={row} /></td>
  if (!rows.length) return <span className="faint">{t('none')}</span>
  return (
    <div className="tablebox" tabIndex={0} role="region" aria-label={fields[shown[0] ?? '']?.l ?? type}>
      <table className="plain">
        <thead><tr>{shown.map(head)}{own.map((one) => <th key={one.title} className={one.number ? 'number' : undefined}>{one.title}</th>)}{after.map(head)}{actions && <th />}</tr></thead>
        <tbody>{rows.slice(0, 500).map((row, i) => <tr key={row.key ?? row.id ?? row.name ?? i}>{shown.map((n) => cell(row, n))}{own.map((one) => <td key={one.title} className={one.number ? 'number' : undefined}>{one.cell(row)}</td>)}{after.map((n) => cell(row, n))}{actions && <td className="actions">{actions(row)}</td>}</tr>)}</tbody>
      </table>
    </div>
  )
}

/** Everything that is set, in cards. */
export function Details({ plural, type, object, except = [] }: { plural: string; type: string; object: Obj; except?: string[] }) {
  useHelp()
  const fields = Object.entries(fieldsOf(type)).filter(([name]) => !except.includes(name))
  const plain = fields.filter(([, f]) => isPlain(f))
  const may = (names: string[]) => changeable(plural, type, names)
  const parts = fields.filter(([name, f]) => !isPlain(f) && object[name] !== undefined)
  return (
    <div className="cards">
      <Card title={t('settings')} actions={may(plain.map(([n]) => n)).length > 0 && <EditButton plural={plural} object={object} only={may(plain.map(([n]) => n))} title={t('settings')} />} wide>
        <Facts>
          <Fact label="ID"><span className="mono">{object.id}</span></Fact>
          {plain.map(([name, f]) => <Fact key={name} label={<>{f.l}{waits(object, name) && <span className="waits">{t('after_restart')}</span>}</>} title={f.d}><Value type={type} path={name} object={object} /></Fact>)}
        </Facts>
      </Card>
      {parts.map(([name, f]) => (
        <Card key={name} wide={f.many} title={<>{f.l}{waits(object, name) && <span className="waits">{t('after_restart')}</span>}</>} actions={may([name]).length > 0 && !(f.many && ['disks', 'nics', 'cdroms'].includes(name)) && <EditButton plural={plural} object={object} only={[name]} title={f.l} />}>
          {f.many ? <PartTable type={f.o!} rows={object[name]} /> : <Part type={f.o!} value={object[name]} />}
        </Card>
      ))}
    </div>
  )
}

function Part({ type, value }: { type: string; value: any }) {
  const fields = Object.entries(fieldsOf(type)).filter(([name, f]) => value[name] !== undefined && f.t !== 'any')
  const parts = fields.filter(([, f]) => f.t === 'object')
  return (
    <>
      <Facts>{fields.filter(([, f]) => f.t !== 'object').map(([name]) => <Fact key={name} label={labelOf(type, name)}><Value type={type} path={name} object={value} /></Fact>)}</Facts>
      {parts.map(([name, f]) => <div key={name} className="inner"><h3>{f.l}</h3>{f.many ? <PartTable type={f.o!} rows={value[name]} /> : <Part type={f.o!} value={value[name]} />}</div>)}
    </>
  )
}
