// SPDX-License-Identifier: Apache-2.0
// What is connected with what, in columns from left to right. Pointing at one thing, or stepping onto it, shows all that hangs on it.
import { useState, type ReactNode } from 'react'
import type { Obj } from '../../api/client'
import { typeOf } from '../../api/contract'
import { t } from '../../texts'
import { Name, Ref, To } from '../Name'
import { Icon } from '../state/glyphs'
import { StateGlyph } from '../state/State'

/** Without a text: another object by its id, whose name is looked up. */
export interface Node { id: string; text?: string; object?: Obj; icon?: string; to?: string; note?: ReactNode; bad?: boolean }
export interface Column { title: string; nodes: Node[]; more?: number }
export interface Link { from: string; to: string; bad?: boolean; title?: string }

const WIDTH = 210
const GAP = 90
const ROW = 46
const BOX = 38
const HEAD = 26

/** Things of a column in the order of what they hang on in the column before, so that lines cross little. */
function ordered(columns: Column[], links: Link[]): Column[] {
  let before = new Map<string, number>()
  return columns.map((column) => {
    const place = (node: Node) => {
      const at = links.filter((l) => l.to === node.id && before.has(l.from)).map((l) => before.get(l.from)!)
      return at.length ? at.reduce((a, b) => a + b, 0) / at.length : Infinity
    }
    const nodes = before.size ? [...column.nodes].map((node) => [place(node), node] as const).sort(([a], [b]) => (a === b ? 0 : a - b)).map(([, node]) => node) : column.nodes
    before = new Map(nodes.map((node, i) => [node.id, i]))
    return { ...column, nodes }
  })
}

/** All that is reached from one along the lines, forward and back. */
function around(id: string, links: Link[]): Set<string> {
  const found = new Set([id])
  for (const [a, b] of [['from', 'to'], ['to', 'from']] as const) {
    const todo = [id]
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) for (const link of links) if (link[a] === at && !(found.has(link[b]) && link[b] !== id)) {
      found.add(link[b])
      todo.push(link[b])
    }
  }
  return found
}

export function Layers({ columns, links, label }: { columns: Column[]; links: Link[]; label: string }) {
  const [at, setAt] = useState<string>()
  const shown = ordered(columns.filter((c) => c.nodes.length || c.more), links)
  const near = at === undefined ? undefined : around(at, links)
  const place = new Map(shown.flatMap((column, c) => column.nodes.map((node, r) => [node.id, [c * (WIDTH + GAP), HEAD + r * ROW + BOX / 2] as const] as const)))
  const height = HEAD + Math.max(1, ...shown.map((c) => c.nodes.length + (c.more ? 1 : 0))) * ROW
  const width = Math.max(1, shown.length) * (WIDTH + GAP) - GAP
  const path = ({ from, to }: Link) => {
    const a = place.get(from), b = place.get(to)
    if (!a || !b) return ''
    const x = a[0] + WIDTH
    return `M${x} ${a[1]} C${x + GAP / 2} ${a[1]} ${b[0] - GAP / 2} ${b[1]} ${b[0]} ${b[1]}`
  }
  return (
    <div className="layers" role="group" aria-label={label} style={{ width, height }}>
      <svg width={width} height={height} aria-hidden>
        {links.map((link) => path(link) && <path key={`${link.from} ${link.to}`} d={path(link)} className={`${link.bad ? 'bad' : ''}${near ? (near.has(link.from) && near.has(link.to) ? ' near' : ' far') : ''}`} />)}
      </svg>
      {shown.map((column, c) => (
        <ul key={column.title} aria-label={column.title} style={{ insetInlineStart: c * (WIDTH + GAP), width: WIDTH }}>
          <li className="layerhead" aria-hidden>{column.title}</li>
          {column.nodes.map((node) => (
            <li key={node.id} className={`layernode${node.bad ? ' bad' : ''}${near && !near.has(node.id) ? ' far' : ''}`} data-node={node.id} onMouseEnter={() => setAt(node.id)} onMouseLeave={() => setAt(undefined)} onFocus={() => setAt(node.id)} onBlur={() => setAt(undefined)}>
              {node.object ? <StateGlyph type={typeOf(node.id)!} object={node.object} size={13} /> : node.icon && <Icon name={node.icon} size={13} />}
              {node.text === undefined ? <Ref id={node.id} icon max={22} /> : node.to ? <To to={node.to}><Name text={node.text} max={22} /></To> : <Name text={node.text} max={22} />}
              {node.note !== undefined && <span className="faint">{node.note}</span>}
              <span className="sr">{links.filter((l) => l.from === node.id).map((l) => l.title ?? '').join(' ')}</span>
            </li>
          ))}
          {!!column.more && <li className="layernode faint">{t('n_more', { n: column.more })}</li>}
        </ul>
      ))}
    </div>
  )
}
