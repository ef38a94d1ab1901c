// SPDX-License-Identifier: Apache-2.0
// The verbs of an object where somebody asked for them: right click in a list or the tree, "." on a row. Those that cannot be say why.
import { useEffect, useState, useSyncExternalStore } from 'react'
import { Dropdown } from 'antd'
import { get, type Obj } from '../api/client'
import { t } from '../texts'
import { refusal, sift, verbsOf } from './verbs/check'
import { verbForm } from './verbs/forms'
import { ask } from './verbs/run'

interface Open { plural: string; objects: Obj[]; at: { x: number; y: number } }

let open: Open | null = null
const listeners = new Set<() => void>()

function set(next: Open | null) {
  open = next
  for (const f of listeners) f()
}

const NONE: Record<string, string> = {}

export const openMenu = (plural: string, objects: Obj[], at: { x: number; y: number }) => set({ plural, objects, at })

/** The server's own reasons, which know more than the table of states. */
export function useReasons(plural: string, object: Obj | undefined, wanted: boolean): Record<string, string> {
  const [told, setTold] = useState<{ of?: string; reasons: Record<string, string> }>({ reasons: {} })
  useEffect(() => {
    if (!wanted || !object || !verbsOf(plural).length) return
    let here = true
    get(`/${plural}/${object.id}/verbs`).then((answer) => {
      if (here) setTold({ of: object.id, reasons: Object.fromEntries((answer.verbs ?? []).filter((v: any) => !v.allowed).map((v: any) => [v.verb, v.reason])) })
    }, () => undefined)
    return () => {
      here = false
    }
  }, [plural, object?.id, object?.revision, wanted])
  return told.of === object?.id ? told.reasons : NONE // those of another object say nothing
}

export function verbItems(plural: string, objects: Obj[], reasons: Record<string, string> = {}) {
  const items = verbsOf(plural).filter((op) => objects.length === 1 || !verbForm(plural, op.name)?.run).map((op) => {
    const why = objects.length === 1 ? refusal(op, objects[0]) ?? reasons[op.name] : sift(op, objects).able.length ? undefined : sift(op, objects).refused[0]?.[0]
    return {
      key: op.name, danger: (op.danger ?? 0) >= 2, disabled: !!why, onClick: () => ask(plural, op, objects),
      label: <span className="verbitem" title={why} data-verb={op.name}><span>{op.l}</span>{why && <span className="why">{why}</span>}</span>,
    }
  })
  const off = items.filter((item) => item.disabled)
  return [...items.filter((item) => !item.disabled), ...(off.length && off.length < items.length ? [{ type: 'divider' as const, key: 'off' }] : []), ...off]
}

export function ContextMenu() {
  const now = useSyncExternalStore((f) => {
    listeners.add(f)
    return () => listeners.delete(f)
  }, () => open)
  const reasons = useReasons(now?.plural ?? '', now?.objects.length === 1 ? now.objects[0] : undefined, !!now)
  if (!now) return null
  return (
    <Dropdown key={`${now.at.x},${now.at.y}`} open trigger={['click']} onOpenChange={(shown) => shown || set(null)} menu={{ items: verbItems(now.plural, now.objects, reasons), onClick: () => set(null) }} autoFocus>
      <div className="menuanchor" aria-label={t('verbs')} style={{ left: now.at.x, top: now.at.y }} />
    </Dropdown>
  )
}
