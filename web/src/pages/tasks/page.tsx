// SPDX-License-Identifier: Apache-2.0
import { taskLabel, typeOf } from '../../api/contract'
import { tellFailure } from '../../kit/error/ErrorBox'
import { duration } from '../../kit/format'
import { Name, Ref, To } from '../../kit/Name'
import { registerColumns, type ColumnSpec } from '../../kit/table/columns'
import { registerVerbs } from '../../kit/verbs/forms'
import { t } from '../../texts'

const cells = (plural: string): ColumnSpec['cells'] => ({
  kind: { title: () => t('task'), width: 170, cell: (row) => <To to={`/${plural}/${row.id}`}>{taskLabel(row)}</To> },
  target: { width: 220, cell: (row) => { const id = row.target ?? row.result; return id && typeOf(id) ? <Ref id={id} max={36} /> : <Name text={row.target_name ?? row.request?.name ?? '-'} max={36} /> } },
  error: { title: () => t('reason'), width: 320, cell: (row) => row.error ? <span dir="auto" title={tellFailure(row.error).message}>{tellFailure(row.error).message}</span> : <span className="faint">-</span> },
  took: { title: () => t('took'), width: 90, cell: (row) => { const end = row.ended ?? row.time; return end ? duration(Date.parse(end) - Date.parse(row.created)) : '-' } },
})

export function register() {
  registerColumns('tasks', { columns: ['kind', 'target', 'state', 'error', 'owner', 'created', 'took'], sort: '-created', cells: cells('tasks') })
  registerColumns('ended-tasks', { columns: ['kind', 'target', 'state', 'error', 'owner', 'created', 'took'], cells: cells('ended-tasks') })
  registerVerbs('tasks', { cancel: { main: 1, icon: 'stop' } })
}
