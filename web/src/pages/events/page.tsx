// SPDX-License-Identifier: Apache-2.0
import { sentence } from '../../api/contract'
import { registerColumns } from '../../kit/table/columns'
import { t } from '../../texts'

export function register() {
  registerColumns('events', {
    columns: ['time', 'level', 'object', 'text', 'host', 'cause'],
    cells: { text: { title: () => t('what_happened'), width: 380, cell: (row) => <span dir="auto" title={sentence(row.text, row.params)}>{sentence(row.text, row.params)}</span> } },
  })
}
