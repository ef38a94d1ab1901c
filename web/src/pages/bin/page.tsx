// SPDX-License-Identifier: Apache-2.0
// The recycle bin: VMs and volumes that were put there, and the way back.
import { t } from '../../texts'
import { registerAddress } from '../registry'
import { part } from '../../kit/part'

export function register() {
  registerAddress({ path: '/bin', page: part(() => import('./Bin')), title: () => t('bin') })
}
