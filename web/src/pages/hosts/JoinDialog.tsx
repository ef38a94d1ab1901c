// SPDX-License-Identifier: Apache-2.0
// Adding a host: over SSH, or one command with a token to copy, and the host as it comes.
import { useState } from 'react'
import { Button, Input, Modal, Segmented } from 'antd'
import { post } from '../../api/client'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { Labelled } from '../../kit/form/Fields'
import { RefSelect } from '../../kit/form/inputs'
import { Copied } from '../../kit/Copied'
import { ago, time } from '../../kit/format'
import { Name, To } from '../../kit/Name'
import { closeOverlay } from '../../kit/overlay'
import { Glyph } from '../../kit/state/glyphs'
import { ObjectState } from '../../kit/state/State'
import { useObject } from '../../live/store'
import { t } from '../../texts'
import { SshHost } from './SshHost'

export interface Made { id: string; token: string; expires: string }

export default function JoinHost({ cluster: first }: { cluster?: string }) {
  const [way, setWay] = useState<'token' | 'ssh'>('token')
  const [name, setName] = useState('')
  const [cluster, setCluster] = useState<string | undefined>(first)
  const [made, setMade] = useState<Made>()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const make = async () => {
    setBusy(true)
    setError(undefined)
    try {
      setMade(await post('/join-tokens', { host_name: name || undefined, cluster }))
    } catch (failed) {
      setError(failed)
    }
    setBusy(false)
  }
  return (
    <Modal
      open title={t('add_host')} onCancel={closeOverlay} width={640} destroyOnHidden closable={!made} maskClosable={!made} keyboard={!made} // its token is shown here and nowhere else
      footer={way === 'ssh' ? null : made ? <Button type="primary" onClick={closeOverlay} data-test="have-token">{t('close')}</Button> : [<Button key="no" onClick={closeOverlay}>{t('cancel')}</Button>, <Button key="go" type="primary" loading={busy} onClick={() => void make()} data-test="confirm">{t('make_command')}</Button>]}
    >
      {!made && <Segmented block className="ways" value={way} onChange={(v) => setWay(v as 'token' | 'ssh')} aria-label={t('add_host')} options={[{ value: 'token', label: t('add_by_token') }, { value: 'ssh', label: t('add_by_ssh') }]} data-test="add-way" />}
      {way === 'ssh' ? <SshHost cluster={first} /> : made ? <Command made={made} /> : (
        <div className="stack">
          <p className="lead">{t('add_host_how')}</p>
          <div className="fields">
            <Labelled label={t('host_name')} help={t('host_name_help')}><Input value={name} maxLength={255} onChange={(e) => setName(e.target.value)} aria-label={t('host_name')} /></Labelled>
            <Labelled label={t('cluster')} help={t('host_cluster_help')}><RefSelect type="Cluster" label={t('cluster')} value={cluster} onChange={setCluster} /></Labelled>
          </div>
          {error !== undefined && <ErrorBox error={tell(error)} />}
        </div>
      )}
    </Modal>
  )
}

/** What a token of the list of tokens is for: shown until somebody says that they have it. */
export function JoinCommand({ made }: { made: Made }) {
  return <Modal open title={t('add_host')} width={640} closable={false} maskClosable={false} keyboard={false} footer={<Button type="primary" onClick={closeOverlay} data-test="have-token">{t('close')}</Button>}><Command made={made} /></Modal>
}

/** The token never stands in a command line: the host reads it from its input. */
function Command({ made }: { made: Made }) {
  const { object } = useObject(made.id)
  const used = object?.used_by as string | undefined
  return (
    <div className="stack">
      <p className="lead">{t('run_on_host')}</p>
      <Copied text={`sudo winserverd --join - --manager ${location.origin}`} test="join-command" />
      <p className="lead">{t('paste_token')}</p>
      <Copied text={made.token} test="join-token" />
      <p className="faint">{t('token_until', { time: time(made.expires) })}</p>
      <div className="waitfor" role="status">
        {used ? <Came id={used} /> : <><Glyph name="dots" colour="busy" /> {t('waiting_for_host')}</>}
      </div>
    </div>
  )
}

function Came({ id }: { id: string }) {
  const { object } = useObject(id)
  if (!object) return <>{id}</>
  return <><ObjectState type="Host" object={object} /> <To to={`/hosts/${id}`} onGo={closeOverlay}><Name text={object.name} /></To> <span className="faint">{ago(object.joined)}</span></>
}

