// SPDX-License-Identifier: Apache-2.0
// The dialog that adds a host, and the one that tells what a token to join is for: loaded when they are opened.
import type { Made } from './JoinDialog'
import { part } from '../../kit/part'

export const JoinHost = part<{ cluster?: string }>(() => import('./JoinDialog'))
export const JoinCommand = part<{ made: Made }>(() => import('./JoinDialog').then((file) => ({ default: file.JoinCommand })))
