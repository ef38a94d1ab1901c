// SPDX-License-Identifier: Apache-2.0
// Forms made from the contract: each field gets the input of its kind, its label, its limits and what the server says about it.
import { useId, useState, type ReactNode } from 'react'
import { Button, Checkbox, Input, InputNumber, Select } from 'antd'
import { choice, fieldsOf, type Field } from '../../api/contract'
import { useHelp } from '../../api/help'
import { t } from '../../texts'
import type { Obj } from '../../api/client'
import { bytes, withUnit } from '../format'
import { Icon } from '../state/glyphs'
import type { Among } from './shape'
import { BytesInput, MapInput, RefSelect, RefsSelect } from './inputs'

export type Values = Record<string, any>
/** What the server said about a field: its path and why. */
export interface FieldError { path: string; message: string }

/** Absent, the manager chooses one of these; of other types it is none. */
const PLACED = new Set(['Host', 'Cluster', 'Pool'])

/** Text of many lines. Where the contract gives no shorter limit, what has a form (a MAC address, a key) has one line. */
const isLong = (field: Field) => (field.max ?? 0) > 2000 && !field.pat && !field.fmt

const unitWord = (unit: string | undefined) => (unit === 'percent' ? '%' : unit && unit !== 'bytes' ? unit : undefined)

function limits(field: Field): string | undefined {
  if ((field.t !== 'int' && field.t !== 'double') || field.min === undefined || field.max === undefined || field.max > 1e15) return undefined
  if (field.u === 'bytes/s') return t('at_least', { least: withUnit(field.min, field.u) })
  return field.u === 'bytes' ? `${bytes(field.min)} – ${bytes(field.max)}` : `${field.min} – ${withUnit(field.max, field.u === 'percent' ? 'percent' : undefined)}`
}

export function Labelled({ label, help, error, required, children, id, wide, changed, onUndo }: { label: string; help?: ReactNode; error?: string; required?: boolean; children: ReactNode; id?: string; wide?: boolean; changed?: boolean; onUndo?: () => void }) {
  return (
    <div className={`field${wide ? ' wide' : ''}${changed ? ' changed' : ''}${error ? ' haserror' : ''}`}>
      <label htmlFor={id}>
        {label}
        {required && <span className="required" aria-hidden>*</span>}
        {onUndo && <button type="button" className="undo" onClick={onUndo}>{t('undo')}</button>}
      </label>
      {children}
      {error ? <div className="fielderror" role="alert">{error}</div> : help ? <div className="help">{help}</div> : null}
    </div>
  )
}

function Scalar({ field, value, change, id, label }: { field: Field; value: any; change: (v: any) => void; id: string; label: string }) {
  switch (field.t) {
    case 'bool':
      return <Checkbox id={id} checked={value ?? field.def ?? false} onChange={(e) => change(e.target.checked)}>{label}</Checkbox>
    case 'int':
    case 'double':
      if (field.u === 'bytes') return <BytesInput id={id} value={value} onChange={change} placeholder={typeof field.def === 'number' ? bytes(field.def) : undefined} />
      if (field.u === 'bytes/s') return <BytesInput id={id} value={value} onChange={change} placeholder="100 MiB" suffix="/s" />
      return (
        <InputNumber
          id={id} value={value} min={field.min} max={field.max} step={field.mult ?? (field.t === 'double' ? 0.1 : 1)} suffix={unitWord(field.u)} placeholder={field.def === undefined ? undefined : String(field.def)}
          onChange={(v) => change(v ?? undefined)}
        />
      )
    case 'enum':
      return (
        <Select
          id={id} aria-label={label} value={value} allowClear={!field.req} placeholder={field.def === undefined ? (field.req ? t('choose', { what: label }) : t('automatic')) : choice(field, String(field.def))}
          options={field.e?.filter((v) => !field.never?.includes(v)).map((v) => ({ value: v, label: choice(field, v) }))} onChange={(v) => change(v ?? undefined)} popupMatchSelectWidth={false}
        />
      )
    case 'ref':
      return <RefSelect id={id} label={label} type={field.r!} value={value} onChange={change} placeholder={field.req ? undefined : PLACED.has(field.r!) ? t('automatic') : t('not_set')} />
    case 'map':
      return <MapInput label={label} value={value} onChange={change} />
    default:
      if (field.sec) return <Input.Password id={id} value={value} maxLength={field.max} autoComplete="new-password" onChange={(e) => change(e.target.value || undefined)} />
      if (isLong(field)) return <Input.TextArea id={id} value={value} maxLength={field.max} rows={3} onChange={(e) => change(e.target.value || undefined)} dir="auto" />
      return <Input id={id} value={value} maxLength={field.max} onChange={(e) => change(e.target.value || undefined)} dir="auto" placeholder={field.def === undefined ? undefined : String(field.def)} />
  }
}

interface ManyProps { field: Field; value: any[]; change: (v: any[]) => void; label: string; path: string; errors: FieldError[]; among?: (row: Obj) => boolean }

function Many({ field, value = [], change, label, path, errors, among }: ManyProps) {
  if (field.t === 'ref') return <RefsSelect label={label} type={field.r!} value={value} onChange={change} among={among} />
  if (field.t === 'enum') return <Select mode="multiple" aria-label={label} value={value} onChange={change} options={field.e?.map((v) => ({ value: v, label: choice(field, v) }))} />
  if (field.offers) return <Select mode="tags" aria-label={label} value={value} onChange={change} options={field.offers()} optionLabelProp="value" popupMatchSelectWidth={false} placeholder={t('choose', { what: label })} />
  if (field.t !== 'object') return <Select mode="tags" aria-label={label} value={value} onChange={(v: any[]) => change(field.t === 'int' ? v.map(Number).filter((n) => !Number.isNaN(n)) : v)} open={false} suffixIcon={null} />
  return (
    <div className="rows" role="group" aria-label={label}>
      {value.map((item, i) => (
        <div className="part" key={i}>
          <div className="parthead">
            <span>{item.key ?? i + 1}</span>
            <Button size="small" type="text" aria-label={t('remove')} icon={<Icon name="close" size={12} />} onClick={() => change(value.filter((_, j) => j !== i))} />
          </div>
          <Fields type={field.o!} value={item} change={(next) => change(value.map((one, j) => (j === i ? next : one)))} path={`${path}[${i}]`} errors={errors} />
        </div>
      ))}
      <Button size="small" icon={<Icon name="plus" size={12} />} onClick={() => change([...value, {}])}>{t('add')}</Button>
    </div>
  )
}

interface FieldProps { field: Field; value: any; change: (v: any) => void; path: string; errors: FieldError[]; required?: boolean; before?: any; among?: (row: Obj) => boolean; open?: boolean }

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

/** One field with its label. */
export function FieldRow({ field, value, change, path, errors, required, before, among, open: first = false }: FieldProps) {
  const id = useId()
  const [open, setOpen] = useState(first)
  const error = errors.find((e) => e.path === path)?.message
  const changed = before !== undefined && !same(before.value, value)
  if (field.t === 'object' && !field.many) {
    return (
      <div className="group wide">
        <button type="button" className="grouphead" aria-expanded={open} onClick={() => setOpen(!open)}>
          <Icon name={open ? 'down' : 'right'} size={12} /> {field.l}
        </button>
        {open && <Fields type={field.o!} value={value ?? {}} change={change} path={path} errors={errors} />}
      </div>
    )
  }
  const wide = (field.many && field.t === 'object') || field.t === 'map' || (field.t === 'string' && !field.many && isLong(field)) || !!field.offers
  const help = field.d
  return (
    <Labelled label={field.t === 'bool' && !field.many ? '' : field.l} help={[help, limits(field)].filter(Boolean).join(' · ')} error={error} required={required ?? field.req} id={id} wide={wide} changed={changed} onUndo={changed ? () => change(before.value) : undefined}>
      {field.many ? <Many field={field} value={value} change={change} label={field.l} path={path} errors={errors} among={among} /> : <Scalar field={field} value={value} change={change} id={id} label={field.l} />}
    </Labelled>
  )
}

interface FieldsProps { type: string; value: Values; change: (v: Values) => void; path?: string; errors?: FieldError[]; only?: string[]; except?: string[]; before?: Values; among?: Among }

/** All fields of a type that may be set. */
export function Fields({ type, value, change, path = '', errors = [], only, except = [], before, among = {} }: FieldsProps) {
  useHelp()
  const fields = fieldsOf(type)
  const names = (only ?? Object.keys(fields)).filter((name) => fields[name] && !fields[name].ro && fields[name].t !== 'any' && fields[name].t !== 'anyref' && fields[name].t !== 'time' && !except.includes(name))
  return (
    <div className="fields">
      {names.map((name) => (
        <FieldRow
          key={name} field={fields[name]!} value={value[name]} path={path ? `${path}.${name}` : name} errors={errors} before={before && { value: before[name] }} among={among[name]} open={names.length === 1}
          change={(next) => {
            const copy = { ...value }
            if (next === undefined) delete copy[name]
            else copy[name] = next
            change(copy)
          }}
        />
      ))}
    </div>
  )
}

/** Empty parts are not sent: absent means the default. */
export function clean(value: any): any {
  if (Array.isArray(value)) return value.map(clean)
  if (value && typeof value === 'object') {
    const out: Values = {}
    for (const [key, item] of Object.entries(value)) {
      const inner = clean(item)
      if (inner === undefined || (inner && typeof inner === 'object' && !Array.isArray(inner) && !Object.keys(inner).length)) continue
      out[key] = inner
    }
    return out
  }
  return value
}

export const fieldErrors = (error: unknown): FieldError[] => {
  const told = error as { field?: string; message: string }
  return told?.field ? [{ path: told.field, message: told.message }] : []
}
