// SPDX-License-Identifier: Apache-2.0
// Texts of the console in the user's language. Each folder has its own texts.en.json and texts.zh.json; all are one catalogue.
// tools/check-texts.mjs refuses a build with a text that is missing in a language, or used and not there.

export type Language = 'en' | 'zh'
type Catalogue = Record<string, string>

let catalogue: Catalogue = {}
export let language: Language = 'en'

export const preferredLanguage = (): Language => {
  const kept = localStorage.getItem('ws-language')
  if (kept === 'en' || kept === 'zh') return kept
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'
}

export async function loadTexts(wanted: Language): Promise<void> {
  catalogue = (wanted === 'zh' ? await import('./zh') : await import('./en')).default
  language = wanted
  document.documentElement.lang = wanted === 'zh' ? 'zh-CN' : 'en'
}

/** The text with this name. Forms for one are named with _one; `n` chooses. */
export function t(name: string, params: Record<string, string | number> = {}): string {
  const form = params.n === 1 && catalogue[name + '_one'] !== undefined ? name + '_one' : name
  const text = catalogue[form] ?? name
  return text.replace(/\{(\w+)\}/g, (whole, key) => (params[key] === undefined ? whole : String(params[key])))
}
