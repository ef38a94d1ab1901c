// SPDX-License-Identifier: Apache-2.0
import { registerColumns } from '../../kit/table/columns'
import { t } from '../../texts'

export function register() {
  registerColumns('migrations', {
    columns: ['time', 'vm_name', 'kind', 'live', 'from_host', 'to_host', 'result', 'duration_ms', 'forecast.duration_s', 'downtime_ms', 'forecast.downtime_ms', 'bytes', 'owner', 'reason'],
    cells: { 'forecast.duration_s': { title: () => t('expected_duration') }, 'forecast.downtime_ms': { title: () => t('expected_pause') } },
  })
}
