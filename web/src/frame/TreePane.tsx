// SPDX-License-Identifier: Apache-2.0
// The inventory at the left: only lines that are seen exist; four views keep their own folds; it follows the open object.
import { useCallback, useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore, type KeyboardEvent, type MouseEvent } from 'react'
import { Input, Segmented, type InputRef } from 'antd'
import { get } from '../api/client'
import { pluralOf, typeOf } from '../api/contract'
import { count } from '../kit/format'
import { openMenu } from '../kit/menu'
import { Name } from '../kit/Name'
import { readPref, keepPref, usePref } from '../kit/prefs'
import { Icon } from '../kit/state/glyphs'
import { StateGlyph } from '../kit/state/State'
import { Tree, type Line, type View } from '../kit/tree/model'
import { useObject, useRows } from '../live/store'
import { go, usePath } from '../router'
import { t } from '../texts'

const ROW = 28

export function TreePane({ width, setWidth }: { width: number; setWidth: (w: number) => void }) {
  const [view, setView] = usePref<View>('tree-view', 'hosts')
  const [wide, setWide] = useState(width)
  const drag = (event: MouseEvent) => {
    event.preventDefault()
    const from = event.clientX - wide
    let last = wide
    const move = (e: globalThis.MouseEvent) => setWide((last = Math.min(480, Math.max(200, e.clientX - from))))
    const up = () => {
      removeEventListener('mousemove', move)
      removeEventListener('mouseup', up)
      setWidth(last)
    }
    addEventListener('mousemove', move)
    addEventListener('mouseup', up)
  }
  return (
    <aside className="treepane" style={{ width: wide }} aria-label={t('inventory')}>
      <Segmented
        block size="small" value={view} onChange={(v) => setView(v as View)} aria-label={t('tree_view')}
        options={[{ value: 'hosts', label: t('tree_hosts') }, { value: 'groups', label: t('tree_groups') }, { value: 'pools', label: t('tree_pools') }, { value: 'networks', label: t('tree_networks') }]}
      />
      <Site />
      <Lines key={view} view={view} />
      <i className="grip" onMouseDown={drag} aria-hidden />
    </aside>
  )
}

function Site() {
  const { rows } = useRows('sites', {}, 1)
  const path = usePath()
  const site = rows[0]
  return (
    <button type="button" className={`siteline${path === '/' ? ' at' : ''}`} onClick={() => go('/')}>
      <Icon name="site" /> <Name text={site?.name ?? t('site')} max={30} />
      {site && <StateGlyph type="Site" object={site} />}
    </button>
  )
}

/** Objects above the open one, nearest last, so that its way can be unfolded. */
async function wayTo(id: string, view: View, object: any): Promise<string[]> {
  if (view === 'pools') return object.pool ? [object.pool] : []
  if (view === 'networks') return object.switch ? [object.switch] : []
  if (view === 'groups') {
    const groups: string[] = []
    for (let above = object.group ?? object.parent; above && pluralOf(above) === 'business-groups' && !groups.includes(above); above = (await get(`/business-groups/${above}?fields=parent`)).parent) groups.unshift(above)
    return groups
  }
  let host = object
  const way: string[] = []
  if (object.host && pluralOf(id) === 'vms') {
    host = await get(`/hosts/${object.host}?fields=cluster,host_pool`)
    way.push(object.host)
  }
  if (host.cluster) way.unshift(host.cluster)
  if (host.host_pool) way.unshift(host.host_pool)
  return way
}

function Lines({ view }: { view: View }) {
  const [tree, setTree] = useState<Tree | null>(null)
  const [filter, setFilter] = useState('')
  const scroller = useRef<HTMLDivElement>(null)
  const [range, setRange] = useState<[number, number]>([0, 60])
  const [focus, setFocus] = useState(0)
  useEffect(() => {
    const key = `tree-open-${view}`
    const made = new Tree(view, readPref<string[]>(key, []), (open) => keepPref(key, open))
    setTree(made)
    return () => made.close()
  }, [view])
  const lines = useSyncExternalStore(tree ? tree.subscribe : () => () => {}, () => tree?.lines)
  const path = usePath()
  const [, , current] = path.split('/')
  const { object } = useObject(current && pluralOf(current) ? current : undefined)
  const way = object ? [object.cluster, object.host_pool, object.host, object.group, object.parent, object.pool, object.switch].join() : ''
  useEffect(() => {
    if (tree && object && current) void wayTo(current, view, object).then((ids) => tree.reveal(ids), () => undefined)
  }, [tree, current, way, view])

  const look = useCallback(() => {
    const box = scroller.current
    if (!box) return
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 10)
    const last = Math.ceil((box.scrollTop + box.clientHeight) / ROW) + 10
    setRange((was) => (was[0] === first && was[1] === last ? was : [first, last]))
  }, [])
  useLayoutEffect(() => {
    look()
    const seen = new ResizeObserver(look)
    seen.observe(scroller.current!)
    return () => seen.disconnect()
  }, [look])

  const all = lines ?? []
  const show = (i: number) => {
    const box = scroller.current!
    if (i * ROW < box.scrollTop) box.scrollTop = i * ROW
    else if ((i + 1) * ROW > box.scrollTop + box.clientHeight) box.scrollTop = (i + 1) * ROW - box.clientHeight
  }
  const filterBox = useRef<InputRef>(null)
  const open = (line: Line) => (line.more ? filterBox.current?.focus() : go(`/${line.plural}/${line.id}`))
  const key = (event: KeyboardEvent) => {
    const line = all[focus]
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key]
    if (step !== undefined) {
      const next = Math.max(0, Math.min(all.length - 1, focus + step))
      setFocus(next)
      show(next)
    } else if (event.key === 'ArrowRight' && line && !line.leaf && !filter) tree?.toggle(line.id, true)
    else if (event.key === 'ArrowLeft' && line) {
      if (line.open && !filter) tree?.toggle(line.id, false)
      else for (let i = focus; i >= 0; i--) if (all[i]!.depth < line.depth) return setFocus(i)
    } else if (event.key === 'Enter' && line) open(line)
    else if (event.key === '.' && line && !line.more) {
      const box = scroller.current!.getBoundingClientRect()
      openMenu(line.plural, [line.object], { x: box.left + 60, y: box.top + (focus + 1) * ROW - scroller.current!.scrollTop })
    } else return
    event.preventDefault()
    event.stopPropagation()
  }

  return (
    <>
      <Input
        ref={filterBox} className="treefilter" data-test="tree-filter" size="small" allowClear value={filter} placeholder={t('tree_filter')} aria-label={t('tree_filter')} prefix={<Icon name="search" size={12} />}
        onChange={(e) => {
          setFilter(e.target.value)
          tree?.setFilter(e.target.value)
        }}
      />
      {filter && tree && !all.length && <p className="faint pad" role="status" aria-busy={tree.searching}>{tree.searching ? t('loading') : t('tree_nothing')}</p>}
      <div className="tree" ref={scroller} role="tree" tabIndex={0} aria-label={t('inventory')} onScroll={look} onKeyDown={key} aria-activedescendant={all[focus] ? `line-${all[focus]!.id}` : undefined} data-test="tree">
        <div className="lines" style={{ height: all.length * ROW }}>
          {all.slice(range[0], range[1]).map((line, i) => {
            const at = range[0] + i
            return (
              <div
                key={line.id} id={`line-${line.id}`} className={`line${line.id === current ? ' at' : ''}${at === focus ? ' focus' : ''}`} style={{ top: at * ROW, paddingLeft: 6 + line.depth * 16 }} role="treeitem" aria-level={line.depth + 1} aria-selected={line.id === current}
                aria-expanded={line.leaf ? undefined : line.open} aria-setsize={line.size} aria-posinset={line.index + 1} data-id={line.id}
                onClick={() => {
                  setFocus(at)
                  open(line)
                }}
                onContextMenu={(e) => {
                  e.preventDefault()
                  if (!line.more) openMenu(line.plural, [line.object], { x: e.clientX, y: e.clientY })
                }}
              >
                {line.leaf ? <span className="fold" /> : (
                  <span
                    className="fold" aria-hidden
                    onClick={(e) => {
                      e.stopPropagation()
                      if (!filter) tree?.toggle(line.id) // what was found stays in sight
                    }}
                  >
                    <Icon name={line.open ? 'down' : 'right'} size={11} />
                  </span>
                )}
                {line.more ? <Icon name="search" size={13} /> : line.plural === 'vms' || line.plural === 'hosts' || line.plural === 'pools' ? <StateGlyph type={typeOf(line.id)!} object={line.object} size={14} /> : <Icon name={line.plural} size={14} />}
                {line.more ? <span className="soft">{t(filter ? 'tree_more_found' : 'tree_more', { n: count(line.more) })}</span> : <Name text={line.object.name ?? line.id} max={40} />}
              </div>
            )
          })}
        </div>
      </div>
    </>
  )
}

