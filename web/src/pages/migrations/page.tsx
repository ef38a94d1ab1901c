// SPDX-License-Identifier: Apache-2.0
import { registerColumns } from '../../kit/table/columns'

export function register() {
  registerColumns('migrations', { columns: ['time', 'vm_name', 'kind', 'live', 'from_host', 'to_host', 'result', 'duration_ms', 'downtime_ms', 'bytes', 'owner', 'reason'] })
}
