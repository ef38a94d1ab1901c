// SPDX-License-Identifier: Apache-2.0
import type { Obj } from '../../api/client'

/** What is sent of one VM: NICs whose network was chosen; the others get the one of the same name. */
export function networksOf(vm: Obj, map: Record<string, string> | undefined) {
  const chosen = (vm.nics ?? []).filter((nic: any) => map?.[nic.port_group]).map((nic: any) => ({ key: nic.key, port_group: map![nic.port_group]! }))
  return chosen.length ? chosen : undefined
}
