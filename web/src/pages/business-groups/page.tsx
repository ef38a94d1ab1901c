// SPDX-License-Identifier: Apache-2.0
import { registerColumns } from '../../kit/table/columns'
import { registerVerbs } from '../../kit/verbs/forms'
import { registerPage } from '../registry'
import { part } from '../../kit/part'

export function register() {
  registerPage({ plural: 'business-groups', summary: part(() => import('./Summary')), parent: (o) => o.parent })
  registerColumns('business-groups', { columns: ['name', 'parent', 'description', 'created'] })
  registerVerbs('business-groups', { take: { main: 1, icon: 'plus' }, release: { main: 2, icon: 'close' } })
}
