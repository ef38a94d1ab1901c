// SPDX-License-Identifier: Apache-2.0
type Values = Record<string, any>

/** Only what differs goes to the server; one change by somebody else meanwhile is told, not overwritten. */
export function patchOf(before: any, after: any): any {
  const out: Values = {}
  for (const key of new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])) {
    const a = before?.[key]
    const b = after?.[key]
    if (JSON.stringify(a) === JSON.stringify(b)) continue
    if (b === undefined) out[key] = null
    else if (a && b && typeof a === 'object' && typeof b === 'object' && !Array.isArray(a) && !Array.isArray(b)) out[key] = patchOf(a, b)
    else out[key] = b
  }
  return out
}
