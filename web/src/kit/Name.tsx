// SPDX-License-Identifier: Apache-2.0
// Names of objects: any text that people typed. One line, the end kept, direction its own, the whole on hover.
import type { MouseEvent, ReactNode } from 'react'
import { pluralOf, resource } from '../api/contract'
import { useName } from '../live/store'
import { go } from '../router'
import { middle, visible } from './format'
import { Icon } from './state/glyphs'

export function Name({ text, max }: { text: string; max?: number }) {
  return <bdi className="name" dir="auto" title={visible(text)}>{middle(text, max)}</bdi>
}

/** A link inside of the console: an ordinary one for the mouse's other buttons. */
export function To({ to, children, className, title, onGo }: { to: string; children: ReactNode; className?: string; title?: string; onGo?: () => void }) {
  const click = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return
    event.preventDefault()
    event.stopPropagation()
    onGo?.()
    go(to)
  }
  return <a href={to} className={className} title={title} onClick={click}>{children}</a>
}

/** A reference to another object: its name, and the way there. */
export function Ref({ id, icon, max }: { id: string | undefined; icon?: boolean; max?: number }) {
  const name = useName(id)
  if (!id) return <span className="faint">-</span>
  const plural = pluralOf(id)
  if (!plural || !resource(plural)) return <span>{id}</span>
  return (
    <To to={`/${plural}/${id}`} className="ref">
      {icon && <Icon name={plural} />}
      {Name({ text: name ?? id, max })}
    </To>
  )
}
