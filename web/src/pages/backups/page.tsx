// SPDX-License-Identifier: Apache-2.0
// Backups of the manager: how one comes back stands where one looks for it, for on that day the console is away.
import { part } from '../../kit/part'
import { registerVerbs } from '../../kit/verbs/forms'
import { registerPage } from '../registry'

export function register() {
  registerPage({ plural: 'backups', summary: part(() => import('./Summary')) })
  registerVerbs('backups', { verify: { main: 1, icon: 'tasks' } })
}
