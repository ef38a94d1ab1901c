// SPDX-License-Identifier: Apache-2.0
// The dialog that adds a pool: loaded when it is opened.
import { part } from '../../kit/part'

export const NewPool = part<{ host?: string }>(() => import('./PoolDialog'))
