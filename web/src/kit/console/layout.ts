// SPDX-License-Identifier: Apache-2.0
// Keys of a US keyboard that give a character, by the names of the API's send_keys.
const SHIFTED: Record<string, string> = { '!': '1', '@': '2', '#': '3', $: '4', '%': '5', '^': '6', '&': '7', '*': '8', '(': '9', ')': '0', _: 'minus', '+': 'equal', '{': 'bracket_left', '}': 'bracket_right', '|': 'backslash', ':': 'semicolon', '"': 'apostrophe', '<': 'comma', '>': 'dot', '?': 'slash', '~': 'grave' }
const PLAIN: Record<string, string> = { '-': 'minus', '=': 'equal', '[': 'bracket_left', ']': 'bracket_right', '\\': 'backslash', ';': 'semicolon', "'": 'apostrophe', ',': 'comma', '.': 'dot', '/': 'slash', '`': 'grave', ' ': 'space', '\n': 'enter', '\t': 'tab' }

/** undefined: no key gives it. */
export function keysFor(c: string): string[] | undefined {
  if (/^[a-z0-9]$/.test(c)) return [c]
  if (/^[A-Z]$/.test(c)) return ['shift', c.toLowerCase()]
  if (SHIFTED[c]) return ['shift', SHIFTED[c]]
  return PLAIN[c] ? [PLAIN[c]] : undefined
}

/** A text in pieces that send_keys takes, each with how many characters it has; every character must have a key. */
export function sequences(text: string, most: number): { sequence: string; characters: number }[] {
  const points = [...text]
  return Array.from({ length: Math.ceil(points.length / most) }, (_, i) => {
    const piece = points.slice(i * most, (i + 1) * most)
    return { sequence: piece.map((c) => keysFor(c)!.join('+')).join(' '), characters: piece.length }
  })
}
