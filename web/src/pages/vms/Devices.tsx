// SPDX-License-Identifier: Apache-2.0
// Disks, CD drives and NICs with their verbs where they are.
import { Button } from 'antd'
import type { Obj } from '../../api/client'
import { fieldsOf, opOf } from '../../api/contract'
import { Card, EditButton, PartTable, type OwnColumn } from '../../kit/Details'
import { bytesOf } from '../../kit/format'
import { Ref } from '../../kit/Name'
import { openOverlay } from '../../kit/overlay'
import { Icon } from '../../kit/state/glyphs'
import { refusal } from '../../kit/verbs/check'
import { VerbDialog } from '../../kit/verbs/VerbDialog'
import { may } from '../../live/session'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import type { TabProps } from '../registry'

interface DoProps { verb: string; vm: Obj; plural?: string; initial?: Record<string, any>; text?: boolean; icon: string }

function Do({ verb, vm, plural = 'vms', initial, text, icon }: DoProps) {
  const op = opOf(plural, verb)
  if (!op) return null
  const why = refusal(op, vm)
  return <Button size="small" type={text ? 'default' : 'text'} disabled={!!why} title={why ?? op.l} aria-label={op.l} icon={<Icon name={icon} size={13} />} onClick={() => openOverlay(<VerbDialog plural={plural} op={op} objects={[vm]} initial={initial} />)} data-verb={verb}>{text ? op.l : undefined}</Button>
}

export default function Devices({ object: vm }: TabProps) {
  // What a disk is to people - how large, where - its volume knows.
  const { rows: volumes } = useRows(may('volume.read') ? 'volumes' : undefined, { filter: `used_by=${vm.id}` }, 64)
  const of = (disk: any) => volumes.find((volume) => volume.id === disk.volume)
  const own: OwnColumn[] = [
    { title: fieldsOf('Volume').size_bytes!.l, number: true, cell: (disk) => bytesOf(of(disk)?.allocated_bytes, of(disk)?.size_bytes) },
    { title: t('pool'), cell: (disk) => <Ref id={of(disk)?.pool} max={24} /> },
  ]
  return (
    <div className="cards">
      <Card title={t('disks')} wide actions={<><EditButton plural="vms" object={vm} only={['disks']} title={t('disks')} /><Do verb="attach_disk" vm={vm} icon="plus" text /></>}>
        <PartTable type="VmDisk" rows={vm.disks ?? []} own={own} paths={['key', 'volume']} after={['bus', 'cache', 'boot_order', 'shared', 'read_only']}
          actions={(row) => (
            <>
              {of(row) && <Do plural="volumes" verb="resize" vm={of(row)!} initial={{ size_bytes: of(row)!.size_bytes }} icon="grow" />}
              <Do verb="detach_disk" vm={vm} initial={{ key: row.key }} icon="close" />
            </>
          )}
        />
      </Card>
      <Card title={t('cd_drives')} wide actions={<EditButton plural="vms" object={vm} only={['cdroms']} title={t('cd_drives')} />}>
        <PartTable type="VmCdrom" rows={vm.cdroms ?? []} paths={['key', 'volume', 'bus', 'boot_order']} actions={(row) => (row.volume ? <Do verb="eject_cd" vm={vm} initial={{ key: row.key }} icon="close" /> : <Do verb="insert_cd" vm={vm} initial={{ key: row.key }} icon="plus" />)} />
      </Card>
      <Card title={t('nics')} wide actions={<><EditButton plural="vms" object={vm} only={['nics']} title={t('nics')} /><Do verb="attach_nic" vm={vm} icon="plus" text /></>}>
        <PartTable type="VmNic" rows={vm.nics ?? []} paths={['key', 'port_group', 'mac', 'model', 'connected', 'boot_order', 'mtu', 'queues']} actions={(row) => <Do verb="detach_nic" vm={vm} initial={{ key: row.key }} icon="close" />} />
      </Card>
      {(vm.guest?.interfaces?.length ?? 0) > 0 && <Card title={t('guest_interfaces')} wide><PartTable type="VmGuestInterface" rows={vm.guest.interfaces} /></Card>}
    </div>
  )
}
