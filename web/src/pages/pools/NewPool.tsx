// SPDX-License-Identifier: Apache-2.0
// The dialogs that add a pool and check one: loaded when they are opened.
import type { Obj } from '../../api/client'
import { part } from '../../kit/part'

export const CheckPool = part<{ pool: Obj }>(() => import('./CheckDialog'))

export const NewPool = part<{ host?: string }>(() => import('./PoolDialog'))
