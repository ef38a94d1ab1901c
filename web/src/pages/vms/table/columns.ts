// SPDX-License-Identifier: Apache-2.0
// What the columns of a table of VMs mean: a sheet's rows become orders to deploy, and what is wrong in them is told by cell.
import { parseBytes } from '../../../kit/format'
import { t } from '../../../texts'

export interface Fault { cell: string; message: string }
export interface Order { row: number; name: string; body: Record<string, any>; faults: Fault[] }
/** Ids by name, of a plural name; several of one name. */
export type Names = (plural: string, name: string) => string[]

interface Column {
  key: string
  title: () => string
  example: string | number
  required?: boolean
  /** Into the body; throws what is wrong with it. */
  put: (body: any, text: string, names: Names) => void
}

const YES = /^(yes|y|true|1)$/i
const NO = /^(no|n|false|0)$/i

function yesNo(text: string): boolean {
  if (YES.test(text) || text === t('yes')) return true
  if (NO.test(text) || text === t('no')) return false
  throw new Error(t('cell_yes_no', { text }))
}

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(t('cell_number', { text }))
  return Number(text)
}

const idOf = (plural: string) => (text: string, names: Names): string => {
  const ids = names(plural, text)
  if (ids.length === 1) return ids[0]!
  throw new Error(t(ids.length ? 'cell_many' : 'cell_none', { text }))
}

const list = (text: string) => text.split(/[\s,;，；]+/).filter(Boolean)
const init = (body: any) => (body.cloud_init ??= {})
const network = (body: any) => (init(body).networks ??= [{ nic: 'nic-0', method: 'static' }])[0]

export const COLUMNS: Column[] = [
  { key: 'name', title: () => t('name'), example: 'web-01', required: true, put: (body, text) => (body.name = text) },
  { key: 'image', title: () => t('image'), example: 'debian-12', required: true, put: (body, text, names) => (body.image = idOf('images')(text, names)) },
  { key: 'vcpus', title: () => 'vCPU', example: 2, put: (body, text) => (body.cpu = { vcpus: whole(text) }) },
  {
    key: 'memory', title: () => t('memory_in_gib'), example: 4, put: (body, text) => {
      const bytes = parseBytes(text)
      if (bytes === null) throw new Error(t('cell_size', { text }))
      body.memory_bytes = bytes
    },
  },
  { key: 'cluster', title: () => t('cluster'), example: '', put: (body, text, names) => (body.cluster = idOf('clusters')(text, names)) },
  { key: 'host', title: () => t('host'), example: '', put: (body, text, names) => (body.host = idOf('hosts')(text, names)) },
  { key: 'pool', title: () => t('pool'), example: '', put: (body, text, names) => (body.pool = idOf('pools')(text, names)) },
  { key: 'port_group', title: () => t('port_group'), example: '', put: (body, text, names) => (body.port_group = idOf('port-groups')(text, names)) },
  { key: 'address', title: () => t('address_with_prefix'), example: '10.20.0.11/24', put: (body, text) => (network(body).addresses = list(text)) },
  { key: 'gateway', title: () => t('gateway'), example: '10.20.0.1', put: (body, text) => (network(body).gateways = list(text)) },
  { key: 'dns', title: () => t('dns_servers'), example: '10.20.0.2', put: (body, text) => (init(body).dns_servers = list(text)) },
  { key: 'user', title: () => t('user'), example: 'ops', put: (body, text) => (init(body).user = text) },
  { key: 'ssh_key', title: () => t('ssh_key'), example: '', put: (body, text) => (init(body).ssh_keys = text.split(/\n/).map((s) => s.trim()).filter(Boolean)) },
  { key: 'linked', title: () => t('linked'), example: 'no', put: (body, text) => (body.linked = yesNo(text)) },
  { key: 'start', title: () => t('start_after'), example: 'yes', put: (body, text) => (body.start = yesNo(text)) },
  { key: 'description', title: () => t('notes'), example: '', put: (body, text) => (body.description = text) },
]

export const MOST_ROWS = 500

/** "C7", as spreadsheets name a cell; both from 0. */
export function cellName(column: number, row: number): string {
  let letters = ''
  for (let n = column + 1; n > 0; n = Math.floor((n - 1) / 26)) letters = String.fromCharCode(65 + ((n - 1) % 26)) + letters
  return letters + (row + 1)
}

const plain = (value: unknown) => (value === null || value === undefined ? '' : typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value).trim())
const folded = (text: string) => text.toLowerCase().replace(/[\s_*()（）-]+/g, '')

/** Which column each cell of the head stands for: by its name in either language or by its key. */
function headOf(cells: unknown[], titles: Map<string, Column>): [(Column | undefined)[], Fault[]] {
  const faults: Fault[] = []
  const columns = cells.map((cell, i) => {
    const column = titles.get(folded(plain(cell)))
    if (plain(cell) && !column) faults.push({ cell: cellName(i, 0), message: t('cell_unknown_column', { text: plain(cell) }) })
    return column
  })
  for (const column of COLUMNS) {
    if (column.required && !columns.includes(column)) faults.push({ cell: '1', message: t('cell_no_column', { name: column.title() }) })
    if (columns.filter((c) => c === column).length > 1) faults.push({ cell: '1', message: t('cell_two_columns', { name: column.title() }) })
  }
  return [columns, faults]
}

/** The sheet's first row names the columns; empty rows are passed over. With faults of the head no row is read. */
export function readTable(cells: unknown[][], names: Names): { orders: Order[]; faults: Fault[] } {
  const titles = new Map(COLUMNS.flatMap((c) => [[folded(c.title()), c], [folded(c.key), c]] as [string, Column][]))
  const [head, ...rows] = cells
  if (!head) return { orders: [], faults: [{ cell: '1', message: t('cell_empty_sheet') }] }
  const [columns, faults] = headOf(head, titles)
  if (faults.length) return { orders: [], faults }
  const orders: Order[] = []
  rows.forEach((row, i) => {
    if (!row.some((cell) => plain(cell))) return
    const order: Order = { row: i + 2, name: '', body: {}, faults: [] }
    columns.forEach((column, at) => {
      const text = plain(row[at])
      if (!column) return
      try {
        if (text) column.put(order.body, text, names)
        else if (column.required) throw new Error(t('is_needed'))
      } catch (error) {
        order.faults.push({ cell: cellName(at, i + 1), message: (error as Error).message })
      }
    })
    order.name = plain(row[columns.findIndex((c) => c?.key === 'name')])
    orders.push(order)
  })
  if (!orders.length) faults.push({ cell: '2', message: t('cell_empty_sheet') })
  if (orders.length > MOST_ROWS) faults.push({ cell: String(MOST_ROWS + 2), message: t('cell_too_many', { n: MOST_ROWS }) })
  return { orders, faults }
}
