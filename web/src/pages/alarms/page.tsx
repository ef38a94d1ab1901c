// SPDX-License-Identifier: Apache-2.0
import { word } from '../../api/contract'
import { registerColumns } from '../../kit/table/columns'
import { registerVerbs } from '../../kit/verbs/forms'
import { t } from '../../texts'

export function register() {
  registerColumns('alarms', {
    columns: ['level', 'kind', 'object', 'since', 'acknowledged'], sort: '-since',
    cells: { kind: { title: () => t('alarm'), width: 240, cell: (row) => word(String(row.kind ?? '')) } },
  })
  registerVerbs('alarms', { acknowledge: { main: 1, icon: 'tasks' } })
}
