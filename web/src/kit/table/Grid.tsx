// SPDX-License-Identifier: Apache-2.0
// A table of any length: only rows that are seen exist. Sorting is the server's; picking is by id and outlives it.
import React, { memo, useCallback, useEffect, useLayoutEffect, useReducer, useRef, useState, type KeyboardEvent, type MouseEvent, type ReactNode, type RefObject } from 'react'
import { Checkbox } from 'antd'
import type { Obj } from '../../api/client'
import { t } from '../../texts'
import { Icon } from '../state/glyphs'

export interface Column {
  key: string
  title: string
  width: number
  /** The width is the user's. */
  own?: boolean
  number?: boolean
  /** Field by which the server sorts; absent: it cannot. */
  sort?: string
  cell: (row: Obj) => ReactNode
}

interface Props {
  columns: Column[]
  rows: Obj[]
  /** What they are the answer to: another is looked at from its beginning. */
  of: string
  total: number
  sort: string
  onSort?: (sort: string) => void
  onNeed?: (n: number) => void
  onOpen?: (row: Obj) => void
  onMenu?: (row: Obj, at: { x: number; y: number }) => void
  picked?: Set<string>
  onPick?: (ids: Set<string>) => void
  onWidth?: (key: string, width: number) => void
  onHold?: (held: boolean) => void
  label: string
  current?: string
}

const SHRINK = 0.6 // of its width is what a column keeps where there is little room,
const NARROW = 100 // and as many pixels, if it has them
const ROW = 32 // pixels, as frame.css has it
const PICK = 36 // pixels of the column to pick by
const OVERSCAN = 8
/** Rows that are asked for before they are come to. */
const AHEAD = 120
/** While the list moves, what passes under a pointer that rests is not pointed at; so long after the last move it is. */
const REST_MS = 100
/** "2 min ago" grows older where nothing else happens. */
const AGE_MS = 30000
/** How long rows stay where they are after the pointer has moved over them. */
const HOLD_MS = 2500

interface RowProps { row: Obj | undefined; columns: Column[]; index: number; picked: boolean; picks: boolean; active: boolean; current: boolean; age: number; onClick: (e: MouseEvent, row: Obj, index: number) => void; onPick: (row: Obj, index: number, range: boolean) => void; onMenu: (e: MouseEvent, row: Obj) => void }

const Row = memo(function Row({ row, columns, index, picked, picks, active, current, onClick, onPick, onMenu }: RowProps) {
  const style = { top: index * ROW }
  if (!row) return <div className="row ghost" style={style} aria-hidden><span className="bar" /></div>
  return (
    <div
      className={`row${picked ? ' picked' : ''}${active ? ' active' : ''}${current ? ' current' : ''}`} style={style} role="row" aria-rowindex={index + 2} aria-selected={picks ? picked : undefined} data-id={row.id}
      onClick={(e) => onClick(e, row, index)}
      onContextMenu={(e) => onMenu(e, row)}
    >
      {picks && ( // the browser's own box: thousands of rows come and go while somebody scrolls
        <div className="cell pick" role="gridcell" onClick={(e) => e.stopPropagation()}>
          <input type="checkbox" className="tick" checked={picked} readOnly aria-label={t('pick', { name: row.name ?? row.id })} onClick={(e) => onPick(row, index, e.shiftKey)} />
        </div>
      )}
      {columns.map((column) => <div className={`cell${column.number ? ' number' : ''}`} role="gridcell" key={column.key}>{column.cell(row)}</div>)}
    </div>
  )
})

function drag(event: MouseEvent, column: Column, now: RefObject<Props>) {
  event.preventDefault()
  event.stopPropagation()
  const from = event.clientX
  const width = (event.currentTarget as Element).closest('.cell')!.getBoundingClientRect().width
  const move = (e: globalThis.MouseEvent) => now.current.onWidth?.(column.key, Math.max(60, Math.round(width + e.clientX - from)))
  const up = () => {
    removeEventListener('mousemove', move)
    removeEventListener('mouseup', up)
  }
  addEventListener('mousemove', move)
  addEventListener('mouseup', up)
}

interface HeadProps { columns: Column[]; sort: string; sorts: boolean; sizes: boolean; picks: boolean; all: boolean; some: boolean; now: RefObject<Props> }

const Head = memo(function Head({ columns, sort, sorts, sizes, picks, all, some, now }: HeadProps) {
  return (
    <div className="head" role="row" aria-rowindex={1}>
      {picks && (
        <div className="cell pick" role="columnheader">
          <Checkbox checked={all} indeterminate={some && !all} aria-label={t('pick_all')} onChange={() => now.current.onPick?.(all ? new Set() : new Set(now.current.rows.map((r) => r.id)))} />
        </div>
      )}
      {columns.map((column) => {
        const direction = sort === column.sort ? 'ascending' : sort === '-' + column.sort ? 'descending' : undefined
        return (
          <div key={column.key} className={`cell${column.number ? ' number' : ''}`} role="columnheader" aria-sort={column.sort ? direction ?? 'none' : undefined}>
            {column.sort && sorts ? (
              <button type="button" onClick={() => now.current.onSort?.(direction === 'ascending' ? '-' + column.sort! : column.sort!)}>
                <span>{column.title}</span>
                {direction && <Icon name={direction === 'ascending' ? 'up' : 'down'} size={11} />}
              </button>
            ) : <span>{column.title}</span>}
            {sizes && <i className="grip" onMouseDown={(e) => drag(e, column, now)} aria-hidden />}
          </div>
        )
      })}
    </div>
  )
})

export function Grid(props: Props) {
  const { columns, rows, of, total, sort, onSort, onOpen, onMenu, picked, onPick, onWidth, onHold, label, current } = props
  const now = useRef(props) // what rows call must not change with each page and each change, or all of them are made anew
  now.current = props
  const scroller = useRef<HTMLDivElement>(null)
  const [range, setRange] = useState<[number, number]>([0, 40])
  const [active, setActive] = useState(-1)
  const [age, grow] = useReducer((n: number) => n + 1, 0)
  useEffect(() => {
    const timer = setInterval(grow, AGE_MS)
    return () => clearInterval(timer)
  }, [])
  const anchor = useRef(-1)
  const holdTimer = useRef(0)
  const restTimer = useRef(0)
  const movedMs = useRef(0)
  const count = Math.max(total, rows.length)

  const look = useCallback(() => {
    const box = scroller.current
    if (!box) return
    const { rows, total, onNeed } = now.current
    const count = Math.max(total, rows.length)
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - OVERSCAN)
    const last = Math.min(count, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + OVERSCAN)
    setRange((was) => (was[0] === first && was[1] === last ? was : [first, last]))
    if (onNeed && rows.length < count && last + AHEAD > rows.length) onNeed(last + AHEAD)
  }, [])

  const scrolled = () => {
    look()
    movedMs.current = Date.now()
    if (!restTimer.current) rest(REST_MS)
  }
  const rest = (ms: number) => {
    scroller.current!.classList.add('moving')
    restTimer.current = window.setTimeout(() => {
      const left = movedMs.current + REST_MS - Date.now()
      if (left > 0) return rest(left)
      restTimer.current = 0
      scroller.current!.classList.remove('moving')
    }, ms)
  }
  useEffect(() => () => clearTimeout(restTimer.current), [])

  useLayoutEffect(() => {
    scroller.current!.scrollTop = 0
    anchor.current = -1
    setActive(-1)
  }, [of])
  useLayoutEffect(look, [look, count, rows.length, of])
  useLayoutEffect(() => {
    const seen = new ResizeObserver(look)
    seen.observe(scroller.current!)
    return () => seen.disconnect()
  }, [look])

  const hold = () => {
    onHold?.(true)
    clearTimeout(holdTimer.current)
    holdTimer.current = window.setTimeout(() => onHold?.(false), HOLD_MS)
  }
  useEffect(() => () => clearTimeout(holdTimer.current), [])

  const pick = useCallback((row: Obj, index: number, withRange: boolean) => {
    const { picked, onPick, rows } = now.current
    if (!onPick || !picked) return
    const next = new Set(picked)
    if (withRange && anchor.current >= 0) {
      const [a, b] = [Math.min(anchor.current, index), Math.max(anchor.current, index)]
      for (let i = a; i <= b; i++) if (rows[i]) next.add(rows[i]!.id)
    } else next.has(row.id) ? next.delete(row.id) : next.add(row.id)
    anchor.current = index
    onPick(next)
  }, [])

  const click = useCallback((event: MouseEvent, row: Obj, index: number) => {
    if ((event.target as HTMLElement).closest('a,button,input')) return
    setActive(index)
    if (event.shiftKey || event.ctrlKey || event.metaKey) return pick(row, index, event.shiftKey)
    now.current.onOpen?.(row)
  }, [pick])

  const menu = useCallback((event: MouseEvent, row: Obj) => {
    if (!now.current.onMenu) return
    event.preventDefault()
    now.current.onMenu(row, { x: event.clientX, y: event.clientY })
  }, [])

  const show = (index: number) => {
    const box = scroller.current!
    const top = index * ROW
    if (top < box.scrollTop) box.scrollTop = top
    else if (top + ROW > box.scrollTop + box.clientHeight - 36) box.scrollTop = top + ROW - box.clientHeight + 36
  }

  const key = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 20, PageUp: -20 }[event.key]
    if (step !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault()
      const next = Math.max(0, Math.min(count - 1, active + step))
      setActive(next)
      show(next)
    } else if (event.key === 'Home' || event.key === 'End') {
      event.preventDefault()
      const next = event.key === 'Home' ? 0 : count - 1
      setActive(next)
      show(next)
    } else if (event.key === 'Enter' && event.target === scroller.current && rows[active]) onOpen?.(rows[active]!)
    else if ((event.key === ' ' || event.key === 'x') && event.target === scroller.current && rows[active]) {
      event.preventDefault()
      pick(rows[active]!, active, event.shiftKey)
    } else if (event.key === '.' && rows[active] && onMenu) {
      event.preventDefault()
      const box = scroller.current!.getBoundingClientRect()
      onMenu(rows[active]!, { x: box.left + 120, y: box.top + 36 + (active + 1) * ROW - scroller.current!.scrollTop })
    }
  }

  const picks = !!picked && !!onPick
  const all = picks && rows.length > 0 && picked.size >= rows.length
  // Where there is little room, columns that nobody has drawn wider or narrower become narrower together, before any is cut off.
  const least = columns.map((c) => Math.round(c.own ? c.width : Math.max(c.width * SHRINK, Math.min(c.width, NARROW))))
  const template = (picks ? `${PICK}px ` : '') + columns.map((c, i) => `minmax(${least[i]}px, ${i === columns.length - 1 ? '1fr' : `${c.width}px`})`).join(' ')
  const shown: ReactNode[] = []
  for (let i = range[0]; i < range[1]; i++) {
    const row = rows[i]
    shown.push(<Row key={row?.id ?? `ghost-${i}`} row={row} columns={columns} index={i} picked={!!row && !!picked?.has(row.id)} picks={picks} active={i === active} current={!!row && row.id === current} age={age} onClick={click} onPick={pick} onMenu={menu} />)
  }

  return (
    <div className="grid" ref={scroller} role="grid" aria-label={label} aria-rowcount={count + 1} aria-multiselectable={picks || undefined} tabIndex={0} onScroll={scrolled} onKeyDown={key} onPointerMove={hold}>
      <Sheet template={template} least={least.reduce((sum, width) => sum + width, picks ? PICK : 0)}>
        <Head columns={columns} sort={sort} sorts={!!onSort} sizes={!!onWidth} picks={picks} all={all} some={picks && picked.size > 0} now={now} />
        <Body height={count * ROW} busy={count > 0 && !rows.length}>{shown}</Body>
      </Sheet>
    </div>
  )
}

/** Lengths are set on the element, not as an attribute: the content security policy knows no inline styles. */
function Sheet({ template, least, children }: { template: string; least: number; children: ReactNode }) {
  return <div className="sheet" style={{ '--columns': template, minWidth: least } as React.CSSProperties}>{children}</div>
}

function Body({ height, busy, children }: { height: number; busy: boolean; children: ReactNode }) {
  return <div className="body" role="rowgroup" aria-busy={busy || undefined} style={{ height }}>{children}</div>
}
