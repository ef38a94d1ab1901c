// SPDX-License-Identifier: Apache-2.0
import { pluralOf, sentence, taskLabel, typeOf } from '../../api/contract'
import { Name, To } from '../../kit/Name'
import { registerColumns } from '../../kit/table/columns'
import { t } from '../../texts'

export function register() {
  registerColumns('events', {
    columns: ['time', 'level', 'object', 'text', 'host', 'cause'],
    cells: { text: { title: () => t('what_happened'), width: 380, cell: (row) => <span dir="auto" title={sentence(row.text, row.params)}>{sentence(row.text, row.params)}</span> } },
  })
  registerColumns('audit-records', {
    columns: ['time', 'user', 'address', 'operation', 'object', 'result', 'error', 'risk'],
    cells: {
      operation: { width: 170, cell: (row) => <span title={String(row.operation)}>{taskLabel({ kind: row.operation })}</span> },
      object: { width: 190, cell: (row) => {
        const id = String(row.object ?? '')
        const name = <Name text={String(row.object_name ?? row.object ?? '-')} max={36} />
        return typeOf(id) ? <To to={`/${pluralOf(id)}/${id}`}>{name}</To> : name
      } },
    },
  })
}
