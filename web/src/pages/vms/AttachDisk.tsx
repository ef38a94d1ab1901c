// SPDX-License-Identifier: Apache-2.0
// A disk more: what most say stands first - how large, where -, the rest is folded.
import { Segmented } from 'antd'
import { fieldsOf } from '../../api/contract'
import { Fields, Labelled } from '../../kit/form/Fields'
import { Folded } from '../../kit/form/Folded'
import { BytesInput, RefSelect } from '../../kit/form/inputs'
import { bytes } from '../../kit/format'
import type { FormProps } from '../../kit/verbs/forms'
import { useRows } from '../../live/store'
import { t } from '../../texts'

const FIRST_BYTES = 10737418240

export default function AttachDiskFields({ objects, value, change }: FormProps) {
  const { rows } = useRows('pools', { filter: 'state=active', sort: 'name' }, 500)
  const disk = value.disk ?? {}
  const volume = disk.new_volume
  const host = objects[0]?.host
  const pool = rows.find((one) => one.id === volume?.pool)
  const set = (next: Record<string, any>) => change({ ...value, disk: next })
  return (
    <>
      <Segmented
        block value={volume ? 'new' : 'old'} aria-label={t('disks')} options={[{ value: 'new', label: t('new_disk') }, { value: 'old', label: t('disk_old') }]} data-test="disk-way"
        onChange={(way) => set({ ...disk, volume: undefined, new_volume: way === 'new' ? { size_bytes: FIRST_BYTES } : undefined })}
      />
      {volume ? (
        <div className="fields">
          <Labelled label={fieldsOf('VmNewVolume').size_bytes!.l} required id="disk-size"><BytesInput id="disk-size" value={volume.size_bytes} onChange={(size_bytes) => set({ ...disk, new_volume: { ...volume, size_bytes } })} /></Labelled>
          <Labelled label={t('pool')} help={pool ? t('free_space_of', { size: bytes(pool.available_bytes), all: bytes(pool.capacity_bytes) }) : undefined}>
            <RefSelect type="Pool" label={t('pool')} filter="state=active" among={(row) => !row.hosts || !host || row.hosts.includes(host)} value={volume.pool} placeholder={t('automatic')} onChange={(id) => set({ ...disk, new_volume: { ...volume, pool: id } })} />
          </Labelled>
        </div>
      ) : (
        <Labelled label={t('disk_old')} required help={t('disk_old_help')}><RefSelect type="Volume" label={t('disk_old')} filter="kind=disk and state=ready" value={disk.volume} onChange={(id) => set({ ...disk, volume: id })} /></Labelled>
      )}
      <Folded>
        {volume && <Fields type="VmNewVolume" only={['provisioning', 'format', 'name']} value={volume} change={(next) => set({ ...disk, new_volume: next })} path="disk.new_volume" />}
        <Fields type="VmDisk" only={['bus', 'cache', 'shared', 'read_only', 'discard', 'error_policy', 'limits', 'boot_order', 'key']} value={disk} change={set} path="disk" />
      </Folded>
    </>
  )
}
