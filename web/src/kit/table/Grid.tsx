// SPDX-License-Identifier: Apache-2.0
// A table of any length: only rows that are seen exist. Sorting is the server's; picking is by id and outlives it.
import React, { memo, useCallback, useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent, type MouseEvent, type ReactNode } from 'react'
import { Checkbox } from 'antd'
import type { Obj } from '../../api/client'
import { t } from '../../texts'
import { Icon } from '../state/glyphs'

export interface Column {
  key: string
  title: string
  width: number
  number?: boolean
  /** Field by which the server sorts; absent: it cannot. */
  sort?: string
  cell: (row: Obj) => ReactNode
}

interface Props {
  columns: Column[]
  rows: Obj[]
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
  rowHeight?: number
}

const OVERSCAN = 8
/** How long rows stay where they are after the pointer has moved over them. */
const HOLD_MS = 2500

interface RowProps { row: Obj | undefined; columns: Column[]; index: number; height: number; picked: boolean; picks: boolean; active: boolean; current: boolean; onClick: (e: MouseEvent, row: Obj, index: number) => void; onPick: (row: Obj, index: number, range: boolean) => void; onMenu?: (row: Obj, at: { x: number; y: number }) => void }

const Row = memo(function Row({ row, columns, index, height, picked, picks, active, current, onClick, onPick, onMenu }: RowProps) {
  const style = { top: index * height, height }
  if (!row) return <div className="row ghost" style={style} role="row" aria-rowindex={index + 2}><span className="bar" /></div>
  return (
    <div
      className={`row${picked ? ' picked' : ''}${active ? ' active' : ''}${current ? ' current' : ''}`} style={style} role="row" aria-rowindex={index + 2} aria-selected={picks ? picked : undefined} data-id={row.id}
      onClick={(e) => onClick(e, row, index)}
      onContextMenu={(e) => {
        if (!onMenu) return
        e.preventDefault()
        onMenu(row, { x: e.clientX, y: e.clientY })
      }}
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

export function Grid({ columns, rows, total, sort, onSort, onNeed, onOpen, onMenu, picked, onPick, onWidth, onHold, label, current, rowHeight = 32 }: Props) {
  const scroller = useRef<HTMLDivElement>(null)
  const [range, setRange] = useState<[number, number]>([0, 40])
  const [active, setActive] = useState(-1)
  const anchor = useRef(-1)
  const holdTimer = useRef(0)
  const count = Math.max(total, rows.length)

  const look = useCallback(() => {
    const box = scroller.current
    if (!box) return
    const first = Math.max(0, Math.floor(box.scrollTop / rowHeight) - OVERSCAN)
    const last = Math.min(count, Math.ceil((box.scrollTop + box.clientHeight) / rowHeight) + OVERSCAN)
    setRange((was) => (was[0] === first && was[1] === last ? was : [first, last]))
    if (last > rows.length && onNeed) onNeed(last)
  }, [count, rows.length, rowHeight, onNeed])

  useLayoutEffect(() => {
    look()
    const box = scroller.current!
    const seen = new ResizeObserver(look)
    seen.observe(box)
    return () => seen.disconnect()
  }, [look])

  const hold = () => {
    onHold?.(true)
    clearTimeout(holdTimer.current)
    holdTimer.current = window.setTimeout(() => onHold?.(false), HOLD_MS)
  }
  useEffect(() => () => clearTimeout(holdTimer.current), [])

  const pick = useCallback((row: Obj, index: number, withRange: boolean) => {
    if (!onPick || !picked) return
    const next = new Set(picked)
    if (withRange && anchor.current >= 0) {
      const [a, b] = [Math.min(anchor.current, index), Math.max(anchor.current, index)]
      for (let i = a; i <= b; i++) if (rows[i]) next.add(rows[i]!.id)
    } else next.has(row.id) ? next.delete(row.id) : next.add(row.id)
    anchor.current = index
    onPick(next)
  }, [onPick, picked, rows])

  const click = useCallback((event: MouseEvent, row: Obj, index: number) => {
    if ((event.target as HTMLElement).closest('a,button,input')) return
    setActive(index)
    if (event.shiftKey || event.ctrlKey || event.metaKey) return pick(row, index, event.shiftKey)
    onOpen?.(row)
  }, [onOpen, pick])

  const show = (index: number) => {
    const box = scroller.current!
    const top = index * rowHeight
    if (top < box.scrollTop) box.scrollTop = top
    else if (top + rowHeight > box.scrollTop + box.clientHeight - 36) box.scrollTop = top + rowHeight - box.clientHeight + 36
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
      onMenu(rows[active]!, { x: box.left + 120, y: box.top + 36 + (active + 1) * rowHeight - scroller.current!.scrollTop })
    }
  }

  const drag = (event: MouseEvent, column: Column) => {
    event.preventDefault()
    event.stopPropagation()
    const from = event.clientX
    const move = (e: globalThis.MouseEvent) => onWidth?.(column.key, Math.max(60, column.width + e.clientX - from))
    const up = () => {
      removeEventListener('mousemove', move)
      removeEventListener('mouseup', up)
    }
    addEventListener('mousemove', move)
    addEventListener('mouseup', up)
  }

  const picks = !!picked && !!onPick
  const all = picks && rows.length > 0 && picked.size >= rows.length
  const template = (picks ? '36px ' : '') + columns.map((c, i) => (i === columns.length - 1 ? `minmax(${c.width}px, 1fr)` : `${c.width}px`)).join(' ')
  const shown: ReactNode[] = []
  for (let i = range[0]; i < range[1]; i++) {
    const row = rows[i]
    shown.push(<Row key={row?.id ?? `ghost-${i}`} row={row} columns={columns} index={i} height={rowHeight} picked={!!row && !!picked?.has(row.id)} picks={picks} active={i === active} current={!!row && row.id === current} onClick={click} onPick={pick} onMenu={onMenu} />)
  }

  return (
    <div className="grid" ref={scroller} role="grid" aria-label={label} aria-rowcount={count + 1} aria-multiselectable={picks || undefined} tabIndex={0} onScroll={look} onKeyDown={key} onPointerMove={hold}>
      <Sheet template={template}>
        <div className="head" role="row" aria-rowindex={1}>
          {picks && (
            <div className="cell pick" role="columnheader">
              <Checkbox checked={all} indeterminate={picked.size > 0 && !all} aria-label={t('pick_all')} onChange={() => onPick(all ? new Set() : new Set(rows.map((r) => r.id)))} />
            </div>
          )}
          {columns.map((column) => {
            const direction = sort === column.sort ? 'ascending' : sort === '-' + column.sort ? 'descending' : undefined
            return (
              <div key={column.key} className={`cell${column.number ? ' number' : ''}`} role="columnheader" aria-sort={column.sort ? direction ?? 'none' : undefined}>
                {column.sort && onSort ? (
                  <button type="button" onClick={() => onSort(direction === 'ascending' ? '-' + column.sort! : column.sort!)}>
                    <span>{column.title}</span>
                    {direction && <Icon name={direction === 'ascending' ? 'up' : 'down'} size={11} />}
                  </button>
                ) : <span>{column.title}</span>}
                {onWidth && <i className="grip" onMouseDown={(e) => drag(e, column)} aria-hidden />}
              </div>
            )
          })}
        </div>
        <Body height={count * rowHeight}>{shown}</Body>
      </Sheet>
    </div>
  )
}

/** Lengths are set on the element, not as an attribute: the content security policy knows no inline styles. */
function Sheet({ template, children }: { template: string; children: ReactNode }) {
  return <div className="sheet" style={{ '--columns': template } as React.CSSProperties}>{children}</div>
}

function Body({ height, children }: { height: number; children: ReactNode }) {
  return <div className="body" role="rowgroup" style={{ height }}>{children}</div>
}
