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
