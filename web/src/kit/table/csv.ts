// SPDX-License-Identifier: Apache-2.0
// A list as CSV: all that the filter shows, with raw values and the columns of the table.
import { list, type Obj } from '../../api/client'
import { valueAt } from '../../api/contract'
import { nameNow, namesOf } from '../../live/store'

const MOST = 100000
const REF = /^[a-z]+-\d+$/

function cell(value: unknown): string {
  const text = value == null ? '' : Array.isArray(value) ? value.map((v) => (typeof v === 'object' ? JSON.stringify(v) : String(v))).join(' ') : typeof value === 'object' ? JSON.stringify(value) : REF.test(String(value)) ? nameNow(String(value)) : String(value)
  // A spreadsheet would take these for formulas.
  const safe = /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text) ? "'" + text : text
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe
}

export async function download(plural: string, paths: string[], titles: string[], query: { filter?: string; sort?: string }) {
  const fields = [...new Set(paths.filter((p) => p !== 'id').map((p) => p.split('.')[0]!))].join(',')
  const page = await list(plural, { ...query, fields: fields || undefined, limit: MOST })
  await namesOf(page.items.flatMap((row: Obj) => paths.flatMap((path) => valueAt(row, path))).filter((value: unknown): value is string => typeof value === 'string' && REF.test(value)))
  const lines = [titles.map(cell).join(','), ...page.items.map((row: Obj) => paths.map((path) => (path === 'id' ? row.id : cell(valueAt(row, path)))).join(','))]
  save(`${plural}.csv`, '\ufeff' + lines.join('\r\n') + '\r\n', 'text/csv;charset=utf-8')
}

export function save(name: string, content: BlobPart, type: string) {
  const url = URL.createObjectURL(new Blob([content], { type }))
  const a = document.createElement('a')
  a.href = url
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 10000)
}
