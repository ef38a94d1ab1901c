// SPDX-License-Identifier: Apache-2.0
// Adding a storage pool: its kind first, then a host and a folder; the server checks before anything is made.
import { useEffect, useState } from 'react'
import { Button, Input, Modal } from 'antd'
import { call, dryRun } from '../../api/client'
import { word } from '../../api/contract'
import type { PoolFinding } from '../../api/generated/types'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { useDraft } from '../../kit/form/draft'
import { clean, fieldErrors, Fields, Labelled } from '../../kit/form/Fields'
import { RefsSelect } from '../../kit/form/inputs'
import { closeOverlay } from '../../kit/overlay'
import { Glyph, Icon } from '../../kit/state/glyphs'
import { noteMade } from '../../live/follow'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import { Findings } from './Findings'

const KINDS = ['directory', 'shared_directory', 'nfs'] as const
const CHECK_MS = 400

export default function PoolDialog({ host }: { host?: string }) {
  const hosts = useRows('hosts', { filter: 'state=connected', sort: 'name' }, 2)
  const draft = useDraft<Record<string, any>>('create-pools', { kind: 'directory', name: '', hosts: host ? [host] : [], path: '/var/lib/winsphere/pools/' })
  const { value, set } = draft
  const [state, setState] = useState<{ asking?: boolean; ok?: boolean; findings?: PoolFinding[]; error?: unknown }>({})
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const [more, setMore] = useState(false)
  const only = hosts.total === 1 ? hosts.rows[0]?.id : undefined
  useEffect(() => {
    if (only && !value.hosts.length) set({ ...value, hosts: [only] })
  }, [only])
  const nfs = value.kind === 'nfs'
  const body = clean(nfs ? { ...value, path: undefined } : { ...value, nfs: undefined })
  const whole = value.name && value.hosts.length && (nfs ? value.nfs?.server && value.nfs?.export?.startsWith('/') : /^\/.+\/[^/]+$/.test(value.path))
  const text = JSON.stringify(body)
  const [left, setLeft] = useState('') // what was there when a field was left: hosts mount an export, so never what is half typed
  const ready = whole && (!nfs || left === text)
  useEffect(() => {
    setState({ asking: !!ready })
    if (!ready) return
    let here = true
    const timer = setTimeout(() => dryRun('POST', '/pools', JSON.parse(text)).then((answer) => here && setState({ ok: true, findings: answer.check?.findings }), (failed) => here && setState({ error: failed })), nfs ? 0 : CHECK_MS)
    return () => {
      here = false
      clearTimeout(timer)
    }
  }, [text, ready])
  const name = (next: string) => {
    const folder = (s: string) => '/var/lib/winsphere/pools/' + s.toLowerCase().replace(/[^a-z0-9._-]+/g, '-').replace(/^-|-$/g, '')
    set({ ...value, name: next, path: value.path === folder(value.name) || !value.path || value.path.endsWith('/') ? folder(next) : value.path })
  }
  const submit = async () => {
    setBusy(true)
    setError(undefined)
    try {
      noteMade(await call('POST', '/pools', body))
      draft.drop()
      closeOverlay()
    } catch (failed) {
      setError(failed)
      setBusy(false)
    }
  }
  const told = error ?? state.error
  const errors = fieldErrors(told === undefined ? undefined : tell(told))
  const at = (path: string) => errors.find((e) => e.path === path)?.message
  return (
    <Modal
      open title={t('add_pool')} onCancel={closeOverlay} width={720} destroyOnHidden
      footer={[<Button key="no" onClick={closeOverlay}>{t('cancel')}</Button>, <Button key="go" type="primary" loading={busy} disabled={!whole} onClick={() => void submit()} data-test="confirm">{t('create')}</Button>]}
    >
      <div className="stack">
        <div className="choices" role="radiogroup" aria-label={t('kind')}>
          {KINDS.map((kind) => (
            <button key={kind} type="button" role="radio" aria-checked={value.kind === kind} className={value.kind === kind ? 'at' : ''} onClick={() => set({ ...value, kind, hosts: kind === 'directory' ? value.hosts.slice(0, 1) : value.hosts })}>
              <Icon name="pools" size={20} /> <b>{word(kind)}</b><span>{t(`pool_kind_${kind}`)}</span>
            </button>
          ))}
        </div>
        <div className="fields" onBlur={() => setLeft(text)}>
          <Labelled label={t('name')} required error={at('name')} id="pool-name"><Input id="pool-name" value={value.name} maxLength={255} autoFocus onChange={(e) => name(e.target.value)} /></Labelled>
          <Labelled label={t('hosts')} required error={at('hosts')}><RefsSelect type="Host" label={t('hosts')} filter="state=connected" value={value.hosts} onChange={(ids) => set({ ...value, hosts: value.kind === 'directory' ? ids.slice(-1) : ids })} /></Labelled>
          {nfs && <Labelled label={t('nfs_server')} required error={at('nfs.server')} id="pool-server"><Input id="pool-server" value={value.nfs?.server} className="mono" spellCheck={false} onChange={(e) => set({ ...value, nfs: { ...value.nfs, server: e.target.value } })} /></Labelled>}
          {nfs && <Labelled label={t('nfs_export')} required error={at('nfs.export')} help={t('nfs_export_help')} id="pool-export"><Input id="pool-export" value={value.nfs?.export} className="mono" spellCheck={false} onChange={(e) => set({ ...value, nfs: { ...value.nfs, export: e.target.value } })} /></Labelled>}
          {!nfs && <Labelled label={t('path')} required error={at('path')} help={t('path_help')} id="pool-path" wide><Input id="pool-path" value={value.path} className="mono" spellCheck={false} onChange={(e) => set({ ...value, path: e.target.value })} /></Labelled>}
        </div>
        <button type="button" className="grouphead" aria-expanded={more} onClick={() => setMore(!more)}><Icon name={more ? 'down' : 'right'} size={12} /> {t('more_settings')}</button>
        {more && <Fields type="Pool" only={['overcommit_ratio', 'description', 'labels']} value={value} change={set} errors={errors} />}
        {whole && !ready && <p><Button onClick={() => setLeft(text)} data-test="pool-try">{t('pool_try')}</Button></p>}
        {state.asking && <p className="faint" role="status" aria-busy>{t('hosts_try_it')}</p>}
        {state.ok && !state.findings && <p className="checkok" role="status"><Glyph name="tick" colour="ok" /> {t('checks_passed')}</p>}
        {state.findings && <Findings findings={state.findings} />}
        {told !== undefined && <ErrorBox error={tell(told)} />}
      </div>
    </Modal>
  )
}
