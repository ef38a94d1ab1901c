// SPDX-License-Identifier: Apache-2.0
// A list of one type: filter bar, chosen columns, sorting, picking with verbs on all that are picked, CSV. Filter and sort stand in the URL.
import { useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { Button, Checkbox, Dropdown, Input, Popover, Tooltip } from 'antd'
import type { Obj } from '../../api/client'
import { fieldAt, fieldsOf, resource } from '../../api/contract'
import { may } from '../../live/session'
import { useList, useListState } from '../../live/store'
import { go, setParams, useParam } from '../../router'
import { t } from '../../texts'
import { ErrorBox, tell } from '../error/ErrorBox'
import { count } from '../format'
import { openMenu } from '../menu'
import { Name, To } from '../Name'
import { usePref } from '../prefs'
import { Icon } from '../state/glyphs'
import { ObjectState, StateGlyph } from '../state/State'
import { toastError } from '../toast'
import { isNumber, labelOf, Value } from '../Value'
import { against, sift, verbsOf, withheld } from '../verbs/check'
import { verbForm } from '../verbs/forms'
import { ask } from '../verbs/run'
import { download } from './csv'
import { complete, parse } from './filter'
import { Grid, type Column } from './Grid'
import { columnsFor, type ColumnSpec } from './columns'

interface Props {
  plural: string
  /** Terms that always hold: the list inside of another object's page. */
  base?: string
  sort?: string
  columns?: string[]
  actions?: ReactNode
  empty?: ReactNode
  /** Names under which filter and sort stand in the URL, where a page has several lists. */
  name?: string
  onOpen?: (row: Obj) => void
}

const TYPING_MS = 15 // what is asked for in vain is given up again

export function ListView({ plural, base, sort: firstSort, columns: firstColumns, actions, empty, name = '', onOpen }: Props) {
  const kind = resource(plural)!
  const type = kind.type
  const [text, setText] = useParam('filter' + name)
  const [typed, setTyped] = useState(text)
  const [sortParam] = useParam('sort' + name)
  const spec = columnsFor(plural)
  const sort = sortParam || firstSort || spec?.sort || (kind.history ? '' : fieldsOf(type).name ? 'name' : 'id')
  const [shown, setShown] = usePref<string[]>(`columns-${plural}${firstColumns ? '-' + name : ''}`, firstColumns ?? spec?.columns ?? defaultColumns(plural))
  const [widths, setWidths] = usePref<Record<string, number>>(`widths-${plural}`, {})
  const [picked, setPicked] = useState<Set<string>>(new Set())
  const [pickingAll, setPickingAll] = useState(false)
  const parsed = useMemo(() => parse(type, text), [type, text])
  const filter = [base, parsed.filter].filter(Boolean).join(' and ') || undefined
  const query = useList(plural, { filter, sort: sort || undefined })
  const fresh = useListState(query)
  // What was found before stays until more is known, so that nothing flickers while somebody types or sorts.
  const found = useRef({ of: '', key: '', state: fresh })
  const of = plural + ' ' + (base ?? '')
  if (!fresh.loading) found.current = { of, key: sort + ' ' + filter, state: fresh }
  const stays = fresh.loading && found.current.of === of
  const state = stays ? found.current.state : fresh
  const picking = !kind.history && verbsOf(plural).length > 0
  const typing = useRef(0)
  useEffect(() => setTyped(text), [text])
  useEffect(() => {
    setPicked(new Set())
    setPickingAll(false)
  }, [plural, base])
  const type_ = (next: string) => {
    setTyped(next)
    clearTimeout(typing.current)
    typing.current = window.setTimeout(() => setText(next), TYPING_MS)
  }

  const pick = useCallback((next: Set<string>) => {
    setPickingAll(false)
    setPicked(next)
  }, [])
  const columns = useMemo(() => shown.map((path) => makeColumn(plural, type, path, widths[path], spec)).filter((c): c is Column => !!c), [plural, type, shown, widths, spec])
  const rows = state.rows
  const pickedRows = useMemo(() => rows.filter((row) => picked.has(row.id)), [rows, picked])
  // All of a long list: those that are not read yet are picked as they come.
  useEffect(() => {
    if (!pickingAll || stays) return setPickingAll(false)
    setPicked(new Set(rows.map((r) => r.id)))
    if (rows.length >= state.total || state.error) setPickingAll(false)
  }, [pickingAll, stays, rows, state.total, state.error])
  const hold = (held: boolean) => {
    if (!query) return
    if (held || picked.size > 0) query.held = true
    else query.release()
  }
  useEffect(() => {
    if (query && picked.size === 0) query.release()
    else if (query) query.held = true
  }, [query, picked.size])

  const suggestions = complete(type, typed)
  return (
    <section className="list" aria-label={kind.many}>
      <div className="listbar">
        <div className="filterbox">
          <Input
            allowClear value={typed} spellCheck={false} prefix={<Icon name="search" size={14} />} placeholder={filterExample(type) ? t('filter_hint', { example: filterExample(type) }) : t('filter')} aria-label={t('filter')} data-test="filter" status={parsed.unknown.length ? 'error' : undefined}
            onChange={(e) => type_(e.target.value)} onPressEnter={() => setText(typed)} list={`complete-${plural}`}
          />
          <datalist id={`complete-${plural}`}>
            {suggestions.map((s) => <option key={s} value={typed.slice(0, typed.lastIndexOf(' ') + 1) + s} />)}
          </datalist>
        </div>
        {parsed.unknown.length > 0 && <span className="fielderror">{t('no_field', { name: parsed.unknown.join(', ') })}</span>}
        <span className="counts" data-test="count">{text && rows.length ? t('n_match', { n: count(state.total) }) : state.loading && !rows.length ? '' : count(state.total)}</span>
        {state.stale && <Button size="small" onClick={() => query?.refresh()}>{t('rows_would_move')}</Button>}
        <span className="grow" />
        {actions}
        <ColumnChooser type={type} plural={plural} shown={shown} first={firstColumns} choose={setShown} />
        <Tooltip title={t('export_csv')}>
          <Button
            aria-label={t('export_csv')} icon={<Icon name="download" />} data-test="csv"
            onClick={() => void download(plural, columns.map((c) => (fieldAt(type, c.key) || c.key === 'id' ? c.key : c.sort ?? c.key)), columns.map((c) => c.title), { filter, sort: sort || undefined }).catch((error) => toastError(tell(error), t('export_csv')))}
          />
        </Tooltip>
      </div>
      {picked.size > 0 && <PickedBar plural={plural} rows={pickedRows} clear={() => pick(new Set())} total={state.total} all={stays ? undefined : () => {
        query?.ensure(state.total)
        setPickingAll(true)
      }} />}
      {state.error ? <div className="pad"><ErrorBox error={tell(state.error)} actions={<Button size="small" onClick={() => query?.refresh()}>{t('try_again')}</Button>} /></div>
        : !state.loading && rows.length === 0 ? <Nothing filtered={!!text} clear={() => setText('')} kind={kind.many} empty={empty} />
        : (
          <Grid
            key={plural} of={found.current.key} columns={columns} rows={rows} total={state.loading && !rows.length ? 12 : state.total} sort={sort} label={kind.many} onSort={kind.history ? undefined : (next) => setParams({ ['sort' + name]: next })} onNeed={stays ? undefined : (n) => query?.ensure(n)}
            onOpen={onOpen ?? ((row) => go(openPath(plural, row)))} onMenu={picking ? (row, at) => openMenu(plural, picked.has(row.id) ? pickedRows : [row], at) : undefined} picked={picking ? picked : undefined} onPick={pick}
            onWidth={(key, width) => setWidths({ ...widths, [key]: width })} onHold={hold}
          />
        )}
    </section>
  )
}

export const openPath = (plural: string, row: Obj) => `/${plural}/${row.id}`

const EXAMPLES: Record<string, string> = { Vm: 'web state:running cpu>2 ip:10.2.', Host: 'state:connected cpu>80', Pool: 'free<100g', Task: 'state:failed', Volume: 'size>100g' }
const filterExample = (type: string) => EXAMPLES[type] ?? ''

export const defaultColumns = (plural: string) => (resource(plural)?.columns ?? ['id', 'name']).filter((c) => c !== 'activity' && c !== 'id')

function makeColumn(plural: string, type: string, path: string, width: number | undefined, spec: ColumnSpec | undefined): Column | undefined {
  const own = spec?.cells?.[path]
  const field = fieldAt(type, path)
  if (!field && !own && path !== 'id') return undefined
  const base = {
    key: path, title: own?.title?.() ?? labelOf(type, path), width: width ?? own?.width ?? guessWidth(path, field), own: width !== undefined, number: own?.number ?? isNumber(field),
    sort: own?.sort ?? (field && ['object', 'map', 'any'].includes(field.t) ? undefined : field?.many ? undefined : path),
  }
  if (own?.cell) return { ...base, cell: own.cell }
  // Called, not mounted: thousands of cells come and go while somebody scrolls.
  if (path === 'name') {
    return { ...base, cell: (row) => <span className="namecell">{StateGlyph({ type, object: row })}{To({ to: openPath(plural, row), children: Name({ text: row.name ?? row.id }) })}</span> }
  }
  if (path === 'id') return { ...base, cell: (row) => To({ to: openPath(plural, row), className: 'mono', children: row.id }) }
  if (path === 'power.state' || (path === 'state' && ['Host', 'Pool', 'Image', 'Volume', 'Switch', 'PortGroup'].includes(type))) return { ...base, cell: (row) => ObjectState({ type, object: row }) }
  return { ...base, cell: (row) => Value({ type, path, object: row }) }
}

function guessWidth(path: string, field: ReturnType<typeof fieldAt>): number {
  if (path === 'name') return 240
  if (path === 'id') return 90
  if (isNumber(field)) return 110
  if (field?.t === 'bool') return 90
  if (field?.t === 'time') return 150
  return 160
}

function ColumnChooser({ type, plural, shown, first, choose }: { type: string; plural: string; shown: string[]; first?: string[]; choose: (columns: string[]) => void }) {
  const spec = columnsFor(plural)
  const paths = useMemo(() => allPaths(type, Object.keys(spec?.cells ?? {})), [type, spec])
  return (
    <Popover
      trigger="click" placement="bottomRight"
      content={(
        <div className="chooser">
          {paths.map((path) => (
            <Checkbox key={path} checked={shown.includes(path)} disabled={path === 'name'} onChange={(e) => choose(e.target.checked ? [...shown, path] : shown.filter((p) => p !== path))}>
              {spec?.cells?.[path]?.title?.() ?? pathLabel(type, path)}
            </Checkbox>
          ))}
          <Button size="small" type="link" onClick={() => choose(first ?? spec?.columns ?? defaultColumns(plural))}>{t('default_columns')}</Button>
        </div>
      )}
    >
      <Button aria-label={t('columns')} icon={<Icon name="columns" />} data-test="columns" />
    </Popover>
  )
}

function allPaths(type: string, own: string[]): string[] {
  const out: string[] = ['id']
  for (const [name, field] of Object.entries(fieldsOf(type))) {
    if (field.sec) continue
    if (field.t === 'object' && !field.many && field.o) {
      for (const [part, inner] of Object.entries(fieldsOf(field.o))) if (inner.t !== 'object' && inner.t !== 'any' && !inner.sec) out.push(`${name}.${part}`)
    } else if (field.t !== 'object' && field.t !== 'any') out.push(name)
  }
  return [...new Set([...out, ...own])]
}

function pathLabel(type: string, path: string): string {
  const steps = path.split('.')
  return steps.map((_, i) => (path === 'id' ? 'ID' : fieldAt(type, steps.slice(0, i + 1).join('.'))?.l ?? path)).join(' · ')
}

function PickedBar({ plural, rows, clear, total, all }: { plural: string; rows: Obj[]; clear: () => void; total: number; all?: () => void }) {
  const verbs = verbsOf(plural).filter((op) => rows.length === 1 || !verbForm(plural, op.name)?.run) // what opens a page or a window of one object is for one
  const useful = verbs.filter((op) => may(op.right) && rows.some((row) => !against(op, row)))
  const first = useful.filter((op) => verbForm(plural, op.name)?.main !== undefined || op.kind === 'delete').slice(0, 6)
  return (
    <div className="pickedbar" role="toolbar" aria-label={t('with_picked')} data-test="picked">
      <b>{t('n_picked', { n: rows.length })}</b>
      {all && rows.length < total && <Button size="small" type="link" onClick={all} data-test="pick-all">{t('pick_all_n', { n: count(total) })}</Button>}
      {first.map((op) => <Button key={op.name} size="small" danger={(op.danger ?? 0) >= 2} disabled={!!withheld(op.right)} title={withheld(op.right)} onClick={() => ask(plural, op, rows)} data-verb={op.name}>{op.l}</Button>)}
      <Dropdown
        trigger={['click']}
        menu={{ items: verbs.map((op) => {
          const { able, refused } = sift(op, rows)
          return { key: op.name, label: able.length === rows.length ? op.l : `${op.l} (${able.length})`, disabled: !able.length, title: refused[0]?.[0], danger: (op.danger ?? 0) >= 2, onClick: () => ask(plural, op, rows) }
        }) }}
      >
        <Button size="small">{t('more')} <Icon name="down" size={11} /></Button>
      </Dropdown>
      <span className="grow" />
      <Button size="small" type="text" onClick={clear}>{t('pick_none')}</Button>
    </div>
  )
}

function Nothing({ filtered, clear, kind, empty }: { filtered: boolean; clear: () => void; kind: string; empty?: ReactNode }) {
  return (
    <div className="nothing">
      {filtered ? <><p>{t('nothing_matches')}</p><Button onClick={clear}>{t('clear_filter')}</Button></> : empty ?? <p>{t('nothing_yet', { kind })}</p>}
    </div>
  )
}

