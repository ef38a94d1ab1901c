// SPDX-License-Identifier: Apache-2.0
// Light or dark: as the system says, or as the user chose. The class is set before the first paint by public/early.js.
import { useSyncExternalStore } from 'react'
import { theme as antd, type ThemeConfig } from 'antd'
import * as tokens from './tokens.mjs'

export type Theme = 'light' | 'dark'

const listeners = new Set<() => void>()
const system = matchMedia('(prefers-color-scheme: dark)')
const kept = () => localStorage.getItem('ws-theme')

export const themeNow = (): Theme => {
  const own = kept()
  return own === 'dark' || own === 'light' ? own : system.matches ? 'dark' : 'light'
}

function changed() {
  const now = themeNow()
  document.documentElement.classList.toggle('ws-dark', now === 'dark')
  document.documentElement.classList.toggle('ws-light', now === 'light')
  for (const f of listeners) f()
}
system.addEventListener('change', changed)

export function setTheme(theme: Theme) {
  localStorage.setItem('ws-theme', theme)
  changed()
}

export const useTheme = () => useSyncExternalStore((f) => {
  listeners.add(f)
  return () => listeners.delete(f)
}, themeNow)

/** Who wants no motion gets none: a menu whose end of motion never came would stay. */
const motion = !matchMedia('(prefers-reduced-motion: reduce)').matches

/** Styles are in the build (tools/styles.mjs): none is made while we run. */
export const antTheme = (theme: Theme): ThemeConfig => ({
  zeroRuntime: true, hashed: false, cssVar: { key: `ws-${theme}` }, token: { ...tokens.antd[theme], motion }, algorithm: theme === 'dark' ? antd.darkAlgorithm : antd.defaultAlgorithm,
})

/** The value of a token, for what is drawn on a canvas. */
export const token = (name: string) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()
