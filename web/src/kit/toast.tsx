// SPDX-License-Identifier: Apache-2.0
// Short messages at the corner: failures stay until they are closed, successes go by themselves. At most three.
import { useSyncExternalStore, type ReactNode } from 'react'
import { Button } from 'antd'
import { t } from '../texts'
import { ErrorBox, type Told } from './error/ErrorBox'
import { Glyph, Icon } from './state/glyphs'

interface Toast { key: number; content: ReactNode }

let toasts: Toast[] = []
let next = 1
const listeners = new Set<() => void>()

function set(to: Toast[]) {
  toasts = to
  for (const f of listeners) f()
}

const drop = (key: number) => set(toasts.filter((one) => one.key !== key))

export function toastError(error: Told, what?: string, actions?: ReactNode) {
  const key = next++
  set([...toasts.slice(-2), { key, content: <ErrorBox error={error} what={what} actions={actions} /> }])
}

export function toastDone(text: ReactNode) {
  const key = next++
  set([...toasts.slice(-2), { key, content: <div className="done"><Glyph name="tick" colour="ok" /> <span>{text}</span></div> }])
  setTimeout(() => drop(key), 4000)
}

export function Toasts() {
  const shown = useSyncExternalStore((f) => {
    listeners.add(f)
    return () => listeners.delete(f)
  }, () => toasts)
  return (
    <div className="toasts" aria-live="polite">
      {shown.map((one) => (
        <div className="toast" key={one.key}>
          {one.content}
          <Button className="x" size="small" type="text" aria-label={t('close')} icon={<Icon name="close" size={12} />} onClick={() => drop(one.key)} />
        </div>
      ))}
    </div>
  )
}
