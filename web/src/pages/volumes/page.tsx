// SPDX-License-Identifier: Apache-2.0
import { registerForm } from '../../kit/form/shape'
import { registerColumns } from '../../kit/table/columns'
import { registerVerbs } from '../../kit/verbs/forms'
import { part } from '../../kit/part'
import { registerPage } from '../registry'

export function register() {
  registerPage({ plural: 'volumes', summary: part(() => import('./Summary')), parent: (o) => o.pool })
  registerColumns('volumes', { columns: ['name', 'state', 'pool', 'size_bytes', 'allocated_bytes', 'format', 'kind', 'used_by', 'created'] })
  registerForm('volumes', { never: { kind: ['ova'] } }) // vm export makes it
  registerVerbs('volumes', { resize: { main: 1, icon: 'plus', initial: (objects) => ({ size_bytes: objects[0]?.size_bytes }) }, clone: { main: 2, icon: 'copy', initial: (objects) => ({ name: `${objects[0]?.name ?? ''}-copy` }) }, restore: { main: 3, icon: 'restart' } })
}
