// SPDX-License-Identifier: Apache-2.0
// An image from a file: the image is made, its bytes go in resumable pieces, the server checks and converts them. The upload goes on while one
// looks at other pages.
import { useEffect, useState, useSyncExternalStore, type DragEvent } from 'react'
import { Button, Checkbox, Input, Progress, Select } from 'antd'
import { call, get } from '../../api/client'
import { fieldsOf, word } from '../../api/contract'
import { ErrorBox, tell, tellFailure } from '../../kit/error/ErrorBox'
import { clean, fieldErrors, Fields, Labelled } from '../../kit/form/Fields'
import { RefSelect } from '../../kit/form/inputs'
import { bytes, duration, rate } from '../../kit/format'
import { Name } from '../../kit/Name'
import { Icon } from '../../kit/state/glyphs'
import { toastError } from '../../kit/toast'
import { whenEnded } from '../../live/follow'
import { useRows } from '../../live/store'
import { uploads } from '../../live/uploads'
import { go } from '../../router'
import { t } from '../../texts'

const FORMATS: Record<string, string> = { qcow2: 'qcow2', img: 'raw', raw: 'raw', iso: 'iso', vmdk: 'vmdk', vhd: 'vhd', vhdx: 'vhdx', vdi: 'vdi' }

export default function Upload() {
  const pools = useRows('pools', { filter: 'state=active', sort: 'name' }, 50)
  const [file, setFile] = useState<File>()
  const [value, set] = useState<Record<string, any>>({ architecture: 'x86_64', os: { family: 'linux' } })
  const [volume, setVolume] = useState<string>()
  const [busy, setBusy] = useState(false)
  const [over, setOver] = useState(false)
  const [error, setError] = useState<unknown>()
  const [more, setMore] = useState(false)
  const all = useSyncExternalStore(uploads.subscribe, uploads.all)
  const mine = all.find((u) => u.volume === volume)
  useEffect(() => {
    if (!value.pool && pools.rows.length === 1) set((v) => ({ ...v, pool: pools.rows[0]!.id }))
  }, [pools.rows])
  const take = (chosen: File | undefined) => {
    if (!chosen) return
    setFile(chosen)
    const ending = chosen.name.split('.').pop()?.toLowerCase() ?? ''
    const format = FORMATS[ending] ?? 'raw'
    set((v) => ({ ...v, name: v.name || chosen.name.replace(/\.[^.]+$/, ''), source_format: format, kind: format === 'iso' ? 'iso' : 'disk' }))
  }
  const submit = async () => {
    if (!file) return
    setBusy(true)
    setError(undefined)
    try {
      const task = await call('POST', '/images', clean({ ...value, upload_bytes: file.size }))
      const ended = await whenEnded(task.id)
      if (ended.state !== 'done') throw new Error(ended.error ? tellFailure(ended.error).message : word(ended.state))
      const image = await get(`/images/${ended.result ?? ended.target}`)
      setVolume(image.volume)
      uploads.start(image.volume, value.name, file).then(() => location.pathname === '/images/upload' && go(`/images/${image.id}`), (failed) => {
        if (failed?.name !== 'AbortError') toastError(tell(failed), t('upload_failed', { name: value.name }))
        setBusy(false)
        setVolume(undefined)
      })
    } catch (failed) {
      setError(failed)
      setBusy(false)
    }
  }
  const told = error === undefined ? undefined : tell(error)
  const drop = (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    take(event.dataTransfer.files[0])
  }
  const pool = pools.rows.find((p) => p.id === value.pool)
  const tight = file && pool && pool.available_bytes !== undefined && file.size > pool.available_bytes
  return (
    <div className="createpage">
      <div className="pagehead"><Icon name="upload" size={20} /><h1>{t('upload_image')}</h1></div>
      <div className="createbody">
        <form className="stack" onSubmit={(e) => {
          e.preventDefault()
          void submit()
        }}>
          <label className={`dropzone${over ? ' over' : ''}`} onDragOver={(e) => { e.preventDefault(); setOver(true) }} onDragLeave={() => setOver(false)} onDrop={drop}>
            <input type="file" accept=".qcow2,.img,.raw,.iso,.vmdk,.vhd,.vhdx,.vdi" onChange={(e) => take(e.target.files?.[0])} data-test="file" />
            <Icon name="upload" size={24} />
            {file ? <span><Name text={file.name} /> · {bytes(file.size)}</span> : <span>{t('choose_file')}</span>}
          </label>
          <div className="fields">
            <Labelled label={t('name')} required id="image-name" error={fieldErrors(told).find((e) => e.path === 'name')?.message}><Input id="image-name" value={value.name} maxLength={255} onChange={(e) => set({ ...value, name: e.target.value })} /></Labelled>
            <Labelled label={t('pool')} required help={pool ? t('free_space', { size: bytes(pool.available_bytes) }) : undefined} error={tight ? t('does_not_fit') : undefined}><RefSelect type="Pool" label={t('pool')} filter="state=active" value={value.pool} onChange={(id) => set({ ...value, pool: id })} /></Labelled>
            <Labelled label={t('format')}><Select aria-label={t('format')} value={value.source_format} options={fieldsOf('Image').source_format!.e!.map((v) => ({ value: v, label: word(v) }))} onChange={(v) => set({ ...value, source_format: v, kind: v === 'iso' ? 'iso' : 'disk' })} /></Labelled>
            <Labelled label={t('architecture')}><Select aria-label={t('architecture')} value={value.architecture} options={fieldsOf('Image').architecture!.e!.map((v) => ({ value: v, label: word(v) }))} onChange={(v) => set({ ...value, architecture: v })} /></Labelled>
            <Labelled label="" help={t('cloud_init_help')}><Checkbox checked={!!value.cloud_init} onChange={(e) => set({ ...value, cloud_init: e.target.checked })}>{t('has_cloud_init')}</Checkbox></Labelled>
          </div>
          <button type="button" className="grouphead" aria-expanded={more} onClick={() => setMore(!more)}><Icon name={more ? 'down' : 'right'} size={12} /> {t('more_settings')}</button>
          {more && <Fields type="Image" only={['os', 'firmware', 'guest_agent', 'min_vcpus', 'min_memory_bytes', 'sha256', 'description', 'labels']} value={value} change={set} errors={fieldErrors(told)} />}
          {told && <ErrorBox error={told} />}
          {mine && (
            <div className="uploadprogress" role="status">
              <Progress percent={mine.percent} status={mine.error ? 'exception' : 'active'} />
              <span className="soft">{bytes(mine.sent)} / {bytes(mine.size)} · {rate(mine.rate)} · {mine.rate ? t('left', { time: duration(((mine.size - mine.sent) / mine.rate) * 1000) }) : ''}</span>
              <p className="faint">{t('upload_goes_on')}</p>
            </div>
          )}
          <div className="formfoot">
            <Button type="primary" htmlType="submit" loading={busy} disabled={!file || !value.name || !value.pool || !!tight} data-test="confirm">{t('upload')}</Button>
            <Button onClick={() => history.back()}>{t('back')}</Button>
          </div>
        </form>
      </div>
    </div>
  )
}
