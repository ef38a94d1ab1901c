// SPDX-License-Identifier: Apache-2.0
// Spreadsheets: the first sheet of a file as cells, and the table to fill in. Loaded when a table is chosen or asked for.
import { readSheet } from 'read-excel-file/universal'
import writeXlsxFile from 'write-excel-file/universal'
import { list } from '../../../api/client'
import { save } from '../../../kit/table/csv'
import { t } from '../../../texts'
import { COLUMNS } from './columns'

const LARGEST = 8 << 20
const XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'

export async function readFile(file: File): Promise<unknown[][]> {
  if (file.size > LARGEST) throw new Error(t('sheet_too_large'))
  try {
    return await readSheet(await file.arrayBuffer())
  } catch {
    throw new Error(t('sheet_unreadable', { name: file.name }))
  }
}

/** Names that can stand in the table, each kind in a column. */
async function choices() {
  const kinds: [string, string][] = [['images', t('image')], ['clusters', t('cluster')], ['hosts', t('host')], ['pools', t('pool')], ['port-groups', t('port_group')]]
  const found = await Promise.all(kinds.map(([plural]) => list(plural, { fields: 'name', sort: 'name', limit: 1000 }).then((page) => page.items.map((row) => String(row.name)), () => [])))
  const longest = Math.max(0, ...found.map((names) => names.length))
  return [kinds.map(([, title]) => ({ value: title, fontWeight: 'bold' as const })), ...Array.from({ length: longest }, (_, i) => found.map((names) => (names[i] === undefined ? null : { value: names[i] })))]
}

export async function saveTemplate() {
  const head = COLUMNS.map((c) => ({ value: c.title() + (c.required ? ' *' : ''), fontWeight: 'bold' as const }))
  const example = COLUMNS.map((c) => (c.example === '' ? null : { value: c.example }))
  const blob = await writeXlsxFile([
    { data: [head, example], sheet: t('vms_sheet'), columns: COLUMNS.map(() => ({ width: 18 })), stickyRowsCount: 1 },
    { data: await choices(), sheet: t('choices_sheet'), columns: Array.from({ length: 5 }, () => ({ width: 26 })) },
  ]).toBlob()
  save('vms.xlsx', blob, XLSX)
}
