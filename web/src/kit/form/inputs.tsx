// SPDX-License-Identifier: Apache-2.0
// Inputs of single values: sizes in any unit, references by search, labels.
import { useEffect, useMemo, useState } from 'react'
import { Button, Input, Select } from 'antd'
import { quoted, type Obj } from '../../api/client'
import { pluralOfType, resource } from '../../api/contract'
import { nameNow, namesOf, useName, useRows } from '../../live/store'
import { t } from '../../texts'
import { bytes, middle, parseBytes, visible } from '../format'
import { Icon } from '../state/glyphs'
import { StateGlyph } from '../state/State'

/** A size: "8g", "8 GiB", "8192M" are all understood; what was typed stays as it was typed. */
export function BytesInput({ value, onChange, id, label, placeholder, suffix, disabled }: { value?: number; onChange: (v: number | undefined) => void; id?: string; label?: string; placeholder?: string; suffix?: string; disabled?: boolean }) {
  const [text, setText] = useState(value == null ? '' : bytes(value))
  const [sent, setSent] = useState(value)
  useEffect(() => {
    if (value !== sent) {
      setText(value == null ? '' : bytes(value))
      setSent(value)
    }
  }, [value, sent])
  const bad = text.trim() !== '' && parseBytes(text) === null
  return (
    <Input
      id={id} aria-label={label} value={text} placeholder={placeholder ?? '8 GiB'} suffix={suffix} status={bad ? 'error' : undefined} disabled={disabled} spellCheck={false}
      onChange={(event) => {
        const next = event.target.value
        setText(next)
        const parsed = next.trim() === '' ? undefined : parseBytes(next)
        if (parsed !== null) {
          setSent(parsed)
          onChange(parsed)
        }
      }}
    />
  )
}

/** By what objects of one name are told apart where one is chosen: room, size, the host of a network. */
function useNotes(type: string): (row: Obj) => string | undefined {
  const { rows: switches } = useRows(type === 'PortGroup' ? 'switches' : undefined, {}, 500)
  const [, drawAgain] = useState(0)
  useEffect(() => {
    if (switches.length) void namesOf(switches.map((one) => one.host)).then(() => drawAgain((n) => n + 1))
  }, [switches])
  switch (type) {
    case 'Pool': return (row) => (row.available_bytes === undefined ? undefined : t('free_space_of', { size: bytes(row.available_bytes), all: bytes(row.capacity_bytes) }))
    case 'Volume': return (row) => (row.size_bytes === undefined ? undefined : bytes(row.size_bytes))
    case 'PortGroup': return (row) => {
      const of = switches.find((one) => one.id === row.switch)
      return of && [of.name, nameNow(of.host)].join(' · ')
    }
    default: return () => undefined
  }
}

interface RefProps { type: string; value?: string; onChange: (v: string | undefined) => void; filter?: string; id?: string; label?: string; placeholder?: string; extra?: (object: Obj) => string | undefined; among?: (object: Obj) => boolean; disabled?: boolean; clear?: boolean }

/** An object of a type, found as one types. */
export function RefSelect({ type, value, onChange, filter, id, label, placeholder, extra, among, disabled, clear = true }: RefProps) {
  const plural = pluralOfType(type)
  const [text, setText] = useState('')
  const terms = [filter, text && `name~${quoted(text)}`].filter(Boolean).join(' and ')
  const { rows: found, loading } = useRows(plural, { filter: terms || undefined, sort: 'name' }, among ? 500 : 50)
  const rows = among ? found.filter(among) : found
  const note = useNotes(type)
  const name = useName(value)
  const options = useMemo(() => {
    const all = rows.map((row) => ({ value: row.id, label: row.name ?? row.id, row }))
    if (value && !rows.some((row) => row.id === value)) all.unshift({ value, label: name ?? value, row: { id: value, revision: 0 } })
    return all
  }, [found, among, value, name])
  return (
    <Select
      id={id} aria-label={label} value={value} disabled={disabled} loading={loading} allowClear={clear} placeholder={placeholder ?? t('choose', { what: resource(plural ?? '')?.one ?? type })}
      showSearch={{ filterOption: false, onSearch: setText }} options={options} notFoundContent={loading ? t('loading') : t('none_found')} popupMatchSelectWidth={false}
      onChange={(next) => {
        setText('')
        onChange(next ?? undefined)
      }}
      labelRender={(item) => <bdi>{middle(String(item.label ?? nameNow(String(item.value))), 40)}</bdi>}
      optionRender={(option) => {
        const row = (option.data as { row: Obj }).row
        return (
          <span className="option">
            {row.revision > 0 && <StateGlyph type={type} object={row} />}
            <bdi>{visible(String(option.label))}</bdi>
            <span className="faint">{extra?.(row) ?? note(row) ?? row.id}</span>
          </span>
        )
      }}
    />
  )
}

interface RefsProps { type: string; value?: string[]; onChange: (v: string[]) => void; filter?: string; label?: string; among?: (row: Obj) => boolean }

/** Several objects of a type, found as one types. */
export function RefsSelect({ type, value = [], onChange, filter, label, among }: RefsProps) {
  const plural = pluralOfType(type)
  const [text, setText] = useState('')
  const terms = [filter, text && `name~${quoted(text)}`].filter(Boolean).join(' and ')
  const { rows, loading } = useRows(plural, { filter: terms || undefined, sort: 'name' }, 500)
  const there = new Set(rows.map((row) => row.id))
  const options = rows.filter((row) => value.includes(row.id) || !among || among(row)).map((row) => ({ value: row.id, label: visible(row.name ?? row.id) }))
  for (const id of value) if (!there.has(id)) options.unshift({ value: id, label: nameNow(id) })
  return (
    <Select
      mode="multiple" aria-label={label} value={value} maxTagCount={8} showSearch={{ filterOption: false, onSearch: setText }} placeholder={t('choose', { what: resource(plural ?? '')?.many ?? type })} notFoundContent={loading ? t('loading') : t('none_found')} popupMatchSelectWidth={false}
      options={options} onChange={(next) => {
        setText('')
        onChange(next)
      }}
    />
  )
}

/** Key-value pairs, one in a row. */
export function MapInput({ value = {}, onChange, label }: { value?: Record<string, string>; onChange: (v: Record<string, string>) => void; label?: string }) {
  const [rows, setRows] = useState<[string, string][]>(Object.entries(value))
  const put = (next: [string, string][]) => {
    setRows(next)
    onChange(Object.fromEntries(next.filter(([key]) => key)))
  }
  return (
    <div className="rows" role="group" aria-label={label}>
      {rows.map(([key, text], i) => (
        <div className="pair" key={i}>
          <Input aria-label={t('key')} value={key} placeholder={t('key')} onChange={(e) => put(rows.map((r, j) => (j === i ? [e.target.value, r[1]] : r)))} />
          <Input aria-label={t('value')} value={text} placeholder={t('value')} onChange={(e) => put(rows.map((r, j) => (j === i ? [r[0], e.target.value] : r)))} />
          <Button type="text" aria-label={t('remove')} icon={<Icon name="close" />} onClick={() => put(rows.filter((_, j) => j !== i))} />
        </div>
      ))}
      <Button size="small" icon={<Icon name="plus" size={12} />} onClick={() => put([...rows, ['', '']])}>{t('add')}</Button>
    </div>
  )
}

