// SPDX-License-Identifier: Apache-2.0
// A NIC more: the networks of the VM's own host (of all hosts for VMs of several), the rest is folded.
import { Fields, Labelled } from '../../kit/form/Fields'
import { Folded } from '../../kit/form/Folded'
import { RefSelect } from '../../kit/form/inputs'
import type { FormProps } from '../../kit/verbs/forms'
import { useRows } from '../../live/store'
import { t } from '../../texts'

export default function AttachNicFields({ objects, value, change }: FormProps) {
  const host = objects.every((vm) => vm.host === objects[0]?.host) ? objects[0]?.host : undefined
  const { rows: switches } = useRows(host ? 'switches' : undefined, { filter: `host=${host}` }, 100)
  const here = new Set(switches.map((one) => one.id))
  const nic = value.nic ?? {}
  const set = (next: Record<string, any>) => change({ ...value, nic: next })
  return (
    <>
      <Labelled label={t('network')} required><RefSelect type="PortGroup" label={t('network')} among={here.size ? (row) => !row.switch || here.has(row.switch) : undefined} value={nic.port_group} onChange={(id) => set({ ...nic, port_group: id })} /></Labelled>
      <Folded><Fields type="VmNic" except={['port_group']} value={nic} change={set} path="nic" /></Folded>
    </>
  )
}
