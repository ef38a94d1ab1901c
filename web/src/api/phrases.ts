// SPDX-License-Identifier: Apache-2.0
// Pieces of sentences in Chinese: what tasks and events keep is English, as it was said. The same search as the manager's (src/base/phrase.c): the text as
// a whole, then among the phrases with places, whose fillings are looked for in turn (the ends of a range, "{} to {}", are numbers); then taken apart at "; ", behind the first ": ", and at ", ".

const DEPTH_MAX = 4
const FILLINGS_MAX = 8

let plain = new Map<string, string>()
let patterns: [RegExp, string][] = []

function patternOf(en: string): RegExp {
  const parts = en.split('{}')
  const range = (i: number) => parts[i] === ' to ' && i > 0 && i < parts.length - 1 // between two places
  const text = parts.map((part, i) => (i === 0 ? '' : range(i - 1) || range(i) ? '(\\d+)' : '([^]*?)') + part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${text.join('')}$`)
}

export function setPhrases(table: Record<string, string>) {
  const rows = Object.entries(table)
  plain = new Map(rows.filter(([en]) => !en.includes('{}')))
  patterns = rows
    .filter(([en]) => en.includes('{}') && en.split('{}').length - 1 <= FILLINGS_MAX)
    .map(([en, zh]) => [patternOf(en), zh])
}

function whole(text: string, depth: number): string | undefined {
  const found = plain.get(text)
  if (found !== undefined) return found
  for (const [pattern, zh] of patterns) {
    const fillings = pattern.exec(text)?.slice(1)
    if (fillings) return zh.replace(/\{\}/g, () => phraseAt(fillings.shift()!, depth + 1))
  }
  return undefined
}

function list(text: string, by: string, joint: string, depth: number): string | undefined {
  const parts = text.split(by)
  const said = parts.map((part) => translate(part, depth + 1))
  return said.some((one) => one !== undefined) ? parts.map((part, i) => said[i] ?? part).join(joint) : undefined
}

function translate(text: string, depth: number): string | undefined {
  const found = whole(text, depth)
  if (found !== undefined || depth >= DEPTH_MAX) return found
  if (text.includes('; ')) return list(text, '; ', '；', depth)
  const colon = text.indexOf(': ')
  const tail = colon < 0 ? undefined : translate(text.slice(colon + 2), depth + 1)
  if (tail !== undefined) return `${text.slice(0, colon)}：${tail}`
  return text.includes(', ') ? list(text, ', ', '，', depth) : undefined
}

const phraseAt = (text: string, depth: number) => translate(text, depth) ?? text

/** The piece in Chinese, as far as it is known; itself before the table is there, and in English. */
export const phrase = (text: string): string => (plain.size && text.length <= 4096 ? phraseAt(text, 0) : text)
