// SPDX-License-Identifier: Apache-2.0
// Adding a host over SSH: the machine's host key is shown and confirmed before its password is sent; then the task is followed here.
import { useState } from 'react'
import { Button, Input, InputNumber, Segmented } from 'antd'
import { ApiError, post } from '../../api/client'
import { fieldsOf } from '../../api/contract'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { Labelled } from '../../kit/form/Fields'
import { RefSelect } from '../../kit/form/inputs'
import { TaskDetail } from '../../kit/TaskDetail'
import { closeOverlay } from '../../kit/overlay'
import { labelOf } from '../../kit/Value'
import { noteMade } from '../../live/follow'
import { useObject } from '../../live/store'
import { t } from '../../texts'

interface Key { host_key: string; kind: string }

export function SshHost({ cluster: first }: { cluster?: string }) {
  const [address, setAddress] = useState('')
  const [port, setPort] = useState(22)
  const [user, setUser] = useState('root')
  const [way, setWay] = useState<'password' | 'key'>('password')
  const [password, setPassword] = useState('')
  const [privateKey, setPrivateKey] = useState('')
  const [name, setName] = useState('')
  const [cluster, setCluster] = useState<string | undefined>(first)
  const [domain, setDomain] = useState('')
  const [key, setKey] = useState<Key>()
  const [task, setTask] = useState<string>()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()

  const send = async (more: Record<string, string | undefined>) => {
    setBusy(true)
    setError(undefined)
    try {
      const made = await post('/hosts/add', { address, port, user, name: name || undefined, cluster, fault_domain: domain || undefined, ...more })
      noteMade(made)
      setTask(made.id)
    } catch (failed) {
      if (failed instanceof ApiError && failed.code === 'host_key_unknown') setKey({ host_key: failed.params.host_key ?? '', kind: failed.params.kind ?? '' })
      else setError(failed)
    }
    setBusy(false)
  }
  // The key first: nothing secret goes out for that.
  const ask = () => send({})
  const add = () => send({ host_key: key?.host_key, password: password || undefined, private_key: way === 'key' ? privateKey : undefined })

  if (task) return <Follow id={task} />
  const complete = address !== '' && user !== '' && (way === 'key' ? privateKey !== '' : password !== '')
  return (
    <div className="stack">
      <p className="lead">{t('ssh_how')}</p>
      <fieldset className="fields" disabled={key !== undefined || busy}>
        <Labelled label={t('ssh_address')} required><Input value={address} maxLength={255} onChange={(e) => setAddress(e.target.value.trim())} aria-label={t('ssh_address')} data-test="ssh-address" /></Labelled>
        <Labelled label={t('ssh_port')}><InputNumber value={port} min={1} max={65535} onChange={(v) => setPort(v ?? 22)} aria-label={t('ssh_port')} /></Labelled>
        <Labelled label={t('user')} help={t('ssh_user_help')}><Input value={user} maxLength={32} onChange={(e) => setUser(e.target.value.trim())} aria-label={t('user')} /></Labelled>
        <Labelled label={t('ssh_way')}><Segmented value={way} onChange={(v) => setWay(v as 'password' | 'key')} options={[{ value: 'password', label: t('password') }, { value: 'key', label: t('ssh_private_key') }]} /></Labelled>
        <Labelled label={way === 'key' ? t('ssh_passphrase') : t('password')} help={t('ssh_not_kept')}><Input.Password value={password} maxLength={256} autoComplete="off" onChange={(e) => setPassword(e.target.value)} aria-label={way === 'key' ? t('ssh_passphrase') : t('password')} data-test="ssh-password" /></Labelled>
        {way === 'key' && <Labelled label={t('ssh_private_key')} required wide><Input.TextArea value={privateKey} maxLength={32768} rows={4} className="mono" onChange={(e) => setPrivateKey(e.target.value)} aria-label={t('ssh_private_key')} /></Labelled>}
        <Labelled label={t('host_name')} help={t('host_name_help')}><Input value={name} maxLength={255} onChange={(e) => setName(e.target.value)} aria-label={t('host_name')} /></Labelled>
        <Labelled label={t('cluster')} help={t('host_cluster_help')}><RefSelect type="Cluster" label={t('cluster')} value={cluster} onChange={setCluster} /></Labelled>
        <Labelled label={labelOf('Host', 'fault_domain')} help={fieldsOf('Host').fault_domain?.d}><Input value={domain} maxLength={64} onChange={(e) => setDomain(e.target.value)} aria-label={labelOf('Host', 'fault_domain')} data-test="ssh-domain" /></Labelled>
      </fieldset>
      {key && (
        <div className="stack" role="alert">
          <p className="lead">{t('ssh_confirm', { address, kind: key.kind })}</p>
          <div className="command"><code data-test="ssh-fingerprint">{key.host_key}</code></div>
          <p className="faint">{t('ssh_compare')}</p>
        </div>
      )}
      {error !== undefined && <ErrorBox error={tell(error)} />}
      <div className="buttons">
        {key && <Button onClick={() => setKey(undefined)}>{t('back')}</Button>}
        <Button type="primary" loading={busy} disabled={!complete} onClick={() => void (key ? add() : ask())} data-test="ssh-go">{key ? t('ssh_is_right') : t('ssh_look')}</Button>
      </div>
    </div>
  )
}

function Follow({ id }: { id: string }) {
  const { object } = useObject(id)
  return (
    <div className="stack">
      {object && <TaskDetail task={object} />}
      <div className="buttons"><Button type="primary" onClick={closeOverlay}>{t('close')}</Button></div>
    </div>
  )
}
