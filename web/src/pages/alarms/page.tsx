// SPDX-License-Identifier: Apache-2.0
import { alarmTexts, word } from '../../api/contract'
import { registerColumns } from '../../kit/table/columns'
import { registerVerbs } from '../../kit/verbs/forms'
import { t } from '../../texts'

export function register() {
  registerColumns('alarms', {
    columns: ['level', 'kind', 'object', 'what_to_do', 'since', 'acknowledged'], sort: '-since',
    cells: {
      kind: { title: () => t('alarm'), width: 240, cell: (row) => <span title={alarmTexts(row.kind).means}>{word(String(row.kind ?? ''))}</span> },
      what_to_do: { title: () => t('what_to_do'), width: 420, cell: (row) => <span dir="auto" title={[alarmTexts(row.kind).means, alarmTexts(row.kind).hint].filter(Boolean).join('\n')}>{alarmTexts(row.kind).hint}</span> },
    },
  })
  registerVerbs('alarms', { acknowledge: { main: 1, icon: 'tasks' } })
}
