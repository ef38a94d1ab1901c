// SPDX-License-Identifier: Apache-2.0
// VMs from an image, on one page: image and name first, the rest folded with what it will be; at the right what will happen.
import { useState } from 'react'
import { Button, Checkbox, Input, InputNumber } from 'antd'
import { word } from '../../api/contract'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { useDraft } from '../../kit/form/draft'
import { clean, Fields, Labelled } from '../../kit/form/Fields'
import { BytesInput, RefSelect } from '../../kit/form/inputs'
import { bytes } from '../../kit/format'
import { Name, Ref } from '../../kit/Name'
import { Glyph, Icon } from '../../kit/state/glyphs'
import { StateGlyph } from '../../kit/state/State'
import { useObject, useRows } from '../../live/store'
import { go, useParam } from '../../router'
import { t } from '../../texts'
import { useOrder } from './order'

const LEAST_BYTES = 268435456 // what a VM gets when nobody says, unless its image needs more (center/compute/create.c)

export default function Deploy() {
  const [asked] = useParam('image')
  const images = useRows('images', { filter: 'state=ready and kind=disk', sort: 'name' }, 100)
  const draft = useDraft<Record<string, any>>('deploy', { name: '', count: 1, start: true })
  const { value, set } = draft
  const image = value.image ?? (asked || undefined) ?? (images.rows.length === 1 ? images.rows[0]!.id : undefined)
  const { object: chosen } = useObject(image)
  const [missing, setMissing] = useState(false)
  const [open, setOpen] = useState<Record<string, boolean>>({})
  const body = clean({ ...value, image })
  const whole = !!image && !!value.name
  const { check, busy, told, order, errors } = useOrder('/vms/deploy', body, whole)
  const submit = () =>
    order((task) => {
      draft.drop()
      go(value.count > 1 ? `/tasks/${task.id}` : task.result ? `/vms/${task.result}` : task.target ? `/vms/${task.target}` : `/vms?filter=${encodeURIComponent(value.name)}`)
    })
  const at = (path: string) => errors.find((e) => e.path === path)?.message
  const part = (key: string, label: string, summary: string, fields: string[]) => (
    <section className="fold">
      <button type="button" className="grouphead" aria-expanded={!!open[key]} onClick={() => setOpen({ ...open, [key]: !open[key] })}><Icon name={open[key] ? 'down' : 'right'} size={12} /> {label} <span className="faint">{summary}</span></button>
      {open[key] && <Fields type="VmDeploy" only={fields} value={value} change={set} errors={errors} />}
    </section>
  )
  const memory = value.memory_bytes ?? Math.max(chosen?.min_memory_bytes ?? 0, LEAST_BYTES)
  const names = value.count > 1 ? [`${value.name}-1`, `${value.name}-2`, '…', `${value.name}-${value.count}`] : [value.name]
  return (
    <div className="createpage">
      <div className="pagehead"><Icon name="images" size={20} /><h1>{t('deploy_from_image')}</h1></div>
      <div className="createbody">
        <form className="stack" onSubmit={(e) => {
          e.preventDefault()
          if (whole) return void submit()
          setMissing(true)
          document.getElementById('deploy-name')?.focus()
        }}>
          <div className="imagecards" role="radiogroup" aria-label={t('image')}>
            {images.rows.map((row) => (
              <button type="button" role="radio" key={row.id} aria-checked={row.id === image} className={row.id === image ? 'at' : ''} onClick={() => set({ ...value, image: row.id })} data-image={row.id}>
                <StateGlyph type="Image" object={row} />
                <span className="grow"><b><Name text={row.name} max={34} /></b><span className="faint">{[word(row.architecture), row.os?.variant, bytes(row.size_bytes)].filter(Boolean).join(' · ')}</span></span>
              </button>
            ))}
            {!images.loading && !images.rows.length && <div className="nothing"><p>{t('no_images')}</p><Button onClick={() => go('/images/upload')}>{t('upload_image')}</Button></div>}
          </div>
          <div className="fields">
            <Labelled label={t('name')} required id="deploy-name" error={at('name') ?? (missing && !value.name ? t('is_needed') : undefined)} help={value.count > 1 ? names.join(', ') : undefined}><Input id="deploy-name" value={value.name} maxLength={250} autoFocus onChange={(e) => set({ ...value, name: e.target.value })} /></Labelled>
            <Labelled label={t('how_many')} id="deploy-count" error={at('count')}><InputNumber id="deploy-count" min={1} max={1000} value={value.count} onChange={(n) => set({ ...value, count: n ?? 1 })} /></Labelled>
            <Labelled label="vCPU" id="deploy-vcpus" error={at('cpu.vcpus')}><InputNumber id="deploy-vcpus" min={1} max={512} value={value.cpu?.vcpus} placeholder={String(chosen?.min_vcpus ?? 1)} onChange={(n) => set({ ...value, cpu: { ...value.cpu, vcpus: n ?? undefined } })} /></Labelled>
            <Labelled label={t('memory')} id="deploy-memory" error={at('memory_bytes')}><BytesInput id="deploy-memory" value={value.memory_bytes} placeholder={bytes(memory)} onChange={(n) => set({ ...value, memory_bytes: n })} /></Labelled>
            <Labelled label={t('network')} error={at('port_group')}><RefSelect type="PortGroup" label={t('network')} value={value.port_group} placeholder={t('automatic')} onChange={(id) => set({ ...value, port_group: id })} /></Labelled>
            <Labelled label="" error={at('start')}><Checkbox checked={value.start !== false} onChange={(e) => set({ ...value, start: e.target.checked })}>{t('start_after')}</Checkbox></Labelled>
          </div>
          {part('place', t('placement'), value.host || value.cluster ? '' : t('automatic'), ['cluster', 'host', 'placement', 'pool', 'linked'])}
          {part('first', t('first_boot'), value.cloud_init?.user ?? '', ['cloud_init'])}
          {part('more', t('more_settings'), '', ['group', 'cpu', 'description', 'labels'])}
          {told !== undefined && <ErrorBox error={tell(told)} />}
          <div className="formfoot">
            <Button type="primary" htmlType="submit" loading={busy} data-test="confirm">{value.count > 1 ? t('deploy_n', { n: value.count }) : t('deploy')}</Button>
            <Button onClick={() => history.back()}>{t('cancel')}</Button>
            {draft.restored && <Button type="link" onClick={() => { draft.drop(); set({ name: '', count: 1, start: true }) }}>{t('start_anew')}</Button>}
          </div>
        </form>
        <aside className="review" aria-label={t('what_happens')}>
          <h2>{t('what_happens')}</h2>
          {!whole ? <p className="faint">{t('review_waits')}</p> : check.ok ? (
            <>
              <p className="checkok" role="status"><Glyph name="tick" colour="ok" /> {t('checks_passed')}</p>
              <ul className="plan">
                <li><b>{value.count > 1 ? t('plan_many', { n: value.count, names: names.join(', ') }) : <Name text={value.name} max={40} />}</b></li>
                <li>{t(value.linked ? 'plan_linked' : 'plan_copied')}</li>
                <li>{value.cpu?.vcpus ?? chosen?.min_vcpus ?? 1} vCPU · {bytes(memory)}</li>
                <li>{value.host || value.cluster ? <Ref id={value.host ?? value.cluster} max={32} /> : t('plan_host_automatic')}</li>
                {value.pool && <li><Ref id={value.pool} max={32} /></li>}
                {value.start !== false && <li>{t('plan_start')}</li>}
              </ul>
            </>
          ) : check.error === undefined ? <p className="faint">{t('checking')}</p> : <p className="warnword">{tell(check.error).message}</p>}
          {chosen && <p className="soft">{t('from')} <Name text={chosen.name} /></p>}
        </aside>
      </div>
    </div>
  )
}
