// SPDX-License-Identifier: Apache-2.0
let open = false
const listeners = new Set<() => void>()

function set(next: boolean) {
  open = next
  for (const f of listeners) f()
}

export const openPalette = () => set(true)
export const closePalette = () => set(false)
export const isPaletteOpen = () => open
export const subscribePalette = (f: () => void) => {
  listeners.add(f)
  return () => listeners.delete(f)
}
