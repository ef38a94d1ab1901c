// SPDX-License-Identifier: Apache-2.0
import { registerPage } from '../registry'
import { part } from '../../kit/part'

export function register() {
  registerPage({ plural: 'host-pools', summary: part(() => import('../clusters/Summary')) })
}
