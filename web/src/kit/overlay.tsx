// SPDX-License-Identifier: Apache-2.0
// One dialog at a time, opened from anywhere: a verb in a row, a tree, the palette or a button is the same dialog.
import { cloneElement, isValidElement, Suspense, useSyncExternalStore, type ReactNode } from 'react'
import { Modal } from 'antd'
import { useLink } from '../live/link'
import { Fence } from './error/ErrorBox'

let shown: ReactNode = null
let openings = 0
let focusBack: Element | null = null
const listeners = new Set<() => void>()

function set(next: ReactNode) {
  shown = next
  openings++
  for (const f of listeners) f()
}

export function openOverlay(content: ReactNode) {
  focusBack = document.activeElement
  set(content)
}

export function closeOverlay() {
  set(null)
  if (focusBack instanceof HTMLElement && focusBack.isConnected) focusBack.focus()
}

export function Overlay() {
  const content = useSyncExternalStore((f) => {
    listeners.add(f)
    return () => listeners.delete(f)
  }, () => shown)
  useLink() // what a dialog offers ends with the link
  return (
    <Fence resetKey={String(openings)} frame={(told) => <Modal open footer={null} onCancel={closeOverlay} width={560}>{told}</Modal>}>
      <Suspense fallback={null}>{isValidElement(content) ? cloneElement(content) : content}</Suspense>
    </Fence>
  )
}
