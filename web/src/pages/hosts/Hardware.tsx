// SPDX-License-Identifier: Apache-2.0
import { Card, FactsOf, PartTable } from '../../kit/Details'
import { To } from '../../kit/Name'
import { useView } from '../../live/view'
import { t } from '../../texts'
import type { HostCheck } from '../../api/generated/types'
import { fieldsOf } from '../../api/contract'
import type { TabProps } from '../registry'

const LISTS: [string, string[]][] = [
  ['nics', ['name', 'kind', 'link', 'speed_mbps', 'mtu', 'mac', 'addresses', 'driver', 'pci_address', 'numa_node', 'sriov_vfs']], ['disks', ['name', 'kind', 'size_bytes', 'transport', 'vendor', 'model', 'serial', 'in_use', 'removable']],
  ['memory_modules', ['slot', 'size_bytes', 'kind', 'speed_mts', 'vendor', 'part', 'serial']], ['pci_devices', ['address', 'kind', 'vendor', 'device', 'driver', 'numa_node', 'iommu_group']], ['usb_devices', ['port', 'vendor', 'product', 'serial', 'speed_mbps']],
]

const MADE_OF = ['Host']

export default function Hardware({ object: host }: TabProps) {
  const fields = fieldsOf('HostFacts')
  const { value: check } = useView<HostCheck>(`/hosts/${host.id}/check`, MADE_OF)
  const known = (check?.lines ?? []).filter((line) => line.check === 'device')
  return (
    <div className="cards">
      <Card title={fields.system?.l}><FactsOf type="HostSystem" object={host.facts?.system ?? {}} paths={['vendor', 'model', 'serial', 'uuid', 'firmware', 'bios_version', 'bmc', 'virtual']} /></Card>
      <Card title={fields.cpu?.l}><FactsOf type="HostCpu" object={host.facts?.cpu ?? {}} paths={['model', 'vendor', 'sockets', 'cores', 'threads', 'frequency_mhz', 'microcode']} /></Card>
      <Card title={fields.iommu?.l}><FactsOf type="HostIommu" object={host.facts?.iommu ?? {}} paths={['enabled', 'kind', 'groups', 'reason']} /></Card>
      {known.length > 0 && <Card title={fieldsOf('HostCheckLine').compatibility?.l} actions={<To to="/compatibility">{t('compatibility_list')}</To>} wide><PartTable type="HostCheckLine" rows={known} paths={['found', 'compatibility', 'advice']} /></Card>}
      {LISTS.map(([name, paths]) => <Card key={name} title={fields[name]?.l} wide><PartTable type={fields[name]!.o!} rows={host.facts?.[name] ?? []} paths={paths} /></Card>)}
    </div>
  )
}
