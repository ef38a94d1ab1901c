// SPDX-License-Identifier: Apache-2.0
// A VM from nothing: an empty disk, a network, an installer's CD. What most need stands open, the rest is folded.
import { useState } from 'react'
import { Button, Input, InputNumber, Select } from 'antd'
import { fieldsOf, word } from '../../api/contract'
import { bytes } from '../../kit/format'
import { Name, Ref } from '../../kit/Name'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { useDraft } from '../../kit/form/draft'
import { clean, Fields, Labelled } from '../../kit/form/Fields'
import { BytesInput, RefSelect } from '../../kit/form/inputs'
import { Glyph, Icon } from '../../kit/state/glyphs'
import { go } from '../../router'
import { t } from '../../texts'
import { useOrder } from './order'

const GIB = 1024 ** 3
const INITIAL = { name: '', cpu: { vcpus: 2 }, memory_bytes: 2 * GIB, os: { family: 'linux' }, disks: [{ new_volume: { size_bytes: 20 * GIB } }], nics: [{}] as any[], cdroms: [] as any[] }
const OPEN = ['name', 'description', 'cluster', 'host', 'os', 'cpu', 'memory_bytes', 'disks', 'nics', 'cdroms']

export default function Create() {
  const draft = useDraft<Record<string, any>>('create-vm', INITIAL)
  const { value, set } = draft
  const [missing, setMissing] = useState(false)
  const [more, setMore] = useState(false)
  const disk = value.disks?.[0]?.new_volume
  const body = clean({ ...value, nics: value.nics?.filter((n: any) => n.port_group), cdroms: value.cdroms?.filter((c: any) => c.volume).map((c: any) => ({ ...c, boot_order: c.boot_order ?? 1 })), disks: disk?.size_bytes ? value.disks : [] })
  const whole = !!value.name
  const { check, busy, told, order, errors } = useOrder('/vms', body, whole)
  const submit = () =>
    order((task) => {
      draft.drop()
      go(task.target ? `/vms/${task.target}` : task.result ? `/vms/${task.result}` : `/vms?filter=${encodeURIComponent(value.name)}`)
    })
  const at = (path: string) => errors.find((e) => e.path === path)?.message
  const volume = (change: Record<string, unknown>) => set({ ...value, disks: [{ ...value.disks?.[0], new_volume: { ...disk, ...change } }, ...(value.disks ?? []).slice(1)] })
  return (
    <div className="createpage">
      <div className="pagehead"><Icon name="vms" size={20} /><h1>{t('new_vm')}</h1></div>
      <div className="createbody">
        <form className="stack" onSubmit={(e) => {
          e.preventDefault()
          if (whole) return void submit()
          setMissing(true)
          document.getElementById('vm-name')?.focus()
        }}>
          <div className="fields">
            <Labelled label={t('name')} required id="vm-name" error={at('name') ?? (missing && !value.name ? t('is_needed') : undefined)}><Input id="vm-name" value={value.name} maxLength={255} autoFocus onChange={(e) => set({ ...value, name: e.target.value })} /></Labelled>
            <Labelled label={t('os')}><Select aria-label={t('os')} value={value.os?.family} options={fieldsOf('VmOs').family!.e!.map((v) => ({ value: v, label: word(v) }))} onChange={(family) => set({ ...value, os: { ...value.os, family } })} /></Labelled>
            <Labelled label="vCPU" id="vm-vcpus" error={at('cpu.vcpus')}><InputNumber id="vm-vcpus" min={1} max={512} value={value.cpu?.vcpus} onChange={(n) => set({ ...value, cpu: { ...value.cpu, vcpus: n ?? undefined } })} /></Labelled>
            <Labelled label={t('memory')} id="vm-memory" error={at('memory_bytes')}><BytesInput id="vm-memory" value={value.memory_bytes} onChange={(n) => set({ ...value, memory_bytes: n })} /></Labelled>
            <Labelled label={t('new_disk')} id="vm-disk" error={at('disks[0].new_volume.size_bytes')}><BytesInput id="vm-disk" value={disk?.size_bytes} onChange={(n) => volume({ size_bytes: n })} /></Labelled>
            <Labelled label={t('pool')} error={at('disks[0].new_volume.pool')}><RefSelect type="Pool" label={t('pool')} filter="state=active" value={disk?.pool} placeholder={t('automatic')} onChange={(id) => volume({ pool: id })} /></Labelled>
            <Labelled label={t('network')} error={at('nics[0].port_group')}><RefSelect type="PortGroup" label={t('network')} value={value.nics?.[0]?.port_group} placeholder={t('no_network')} onChange={(id) => set({ ...value, nics: [{ ...value.nics?.[0], port_group: id }] })} /></Labelled>
            <Labelled label={t('installer_cd')} error={at('cdroms[0].volume')}><RefSelect type="Volume" label={t('installer_cd')} filter="kind=iso and state=ready" value={value.cdroms?.[0]?.volume} placeholder={t('none')} onChange={(id) => set({ ...value, cdroms: id ? [{ volume: id }] : [] })} /></Labelled>
            <Labelled label={t('cluster')} error={at('cluster')}><RefSelect type="Cluster" label={t('cluster')} value={value.cluster} placeholder={t('automatic')} onChange={(id) => set({ ...value, cluster: id })} /></Labelled>
            <Labelled label={t('host')} error={at('host')}><RefSelect type="Host" label={t('host')} filter="state=connected" value={value.host} placeholder={t('automatic')} onChange={(id) => set({ ...value, host: id })} /></Labelled>
          </div>
          <section className="fold">
            <button type="button" className="grouphead" aria-expanded={more} onClick={() => setMore(!more)}><Icon name={more ? 'down' : 'right'} size={12} /> {t('more_settings')}</button>
            {more && <Fields type="Vm" except={OPEN.filter((f) => f !== 'description' && f !== 'cpu')} value={value} change={set} errors={errors} />}
          </section>
          {told !== undefined && <ErrorBox error={tell(told)} />}
          <div className="formfoot">
            <Button type="primary" htmlType="submit" loading={busy} data-test="confirm">{t('create')}</Button>
            <Button onClick={() => history.back()}>{t('cancel')}</Button>
            {draft.restored && <Button type="link" onClick={() => { draft.drop(); set(INITIAL) }}>{t('start_anew')}</Button>}
          </div>
        </form>
        <aside className="review" aria-label={t('what_happens')}>
          <h2>{t('what_happens')}</h2>
          {!whole ? <p className="faint">{t('review_waits')}</p> : check.ok ? (
            <>
              <p className="checkok" role="status"><Glyph name="tick" colour="ok" /> {t('checks_passed')}</p>
              <ul className="plan">
                <li><b><Name text={value.name} max={40} /></b></li>
                <li>{value.cpu?.vcpus ?? 1} vCPU · {bytes(value.memory_bytes)}</li>
                {disk?.size_bytes && <li>{t('plan_disk', { size: bytes(disk.size_bytes) })}</li>}
                <li>{value.host || value.cluster ? <Ref id={value.host ?? value.cluster} max={32} /> : t('plan_host_automatic')}</li>
                <li>{value.nics?.[0]?.port_group ? <Ref id={value.nics[0].port_group} max={32} /> : t('no_network')}</li>
              </ul>
            </>
          ) : check.error === undefined ? <p className="faint">{t('checking')}</p> : <p className="warnword">{tell(check.error).message}</p>}
        </aside>
      </div>
    </div>
  )
}
