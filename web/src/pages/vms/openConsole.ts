// SPDX-License-Identifier: Apache-2.0
import type { Obj } from '../../api/client'

/** The console in a window of its own, one for each VM. */
export function openConsole(vm: Obj) {
  open(`/console.html#vm=${vm.id}`, `console-${vm.id}`, 'width=1060,height=840')
}
