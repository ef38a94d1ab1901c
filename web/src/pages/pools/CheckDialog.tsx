// SPDX-License-Identifier: Apache-2.0
// All hosts of a pool try it, as often as asked for; what they found, host by host.
import { useEffect, useState } from 'react'
import { Button, Modal } from 'antd'
import { post, type Obj } from '../../api/client'
import type { PoolFindings } from '../../api/generated/types'
import { opOf } from '../../api/contract'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { Name } from '../../kit/Name'
import { closeOverlay } from '../../kit/overlay'
import { t } from '../../texts'
import { Findings } from './Findings'

export default function CheckDialog({ pool }: { pool: Obj }) {
  const [times, setTimes] = useState(0)
  const [state, setState] = useState<{ findings?: PoolFindings['findings']; error?: unknown; asking: boolean }>({ asking: true })
  useEffect(() => {
    let here = true
    setState((before) => ({ ...before, asking: true }))
    post<PoolFindings>(`/pools/${pool.id}/check`).then((answer) => here && setState({ findings: answer.findings, asking: false }), (error) => here && setState({ error, asking: false }))
    return () => { here = false }
  }, [pool.id, times])
  return (
    <Modal
      open title={<>{opOf('pools', 'check')!.l}: <Name text={pool.name} max={60} /></>} onCancel={closeOverlay} width={860} destroyOnHidden
      footer={[<Button key="again" loading={state.asking} onClick={() => setTimes(times + 1)} data-test="check-again">{t('check_again')}</Button>, <Button key="go" type="primary" onClick={closeOverlay}>{t('close')}</Button>]}
    >
      <div className="stack">
        {state.asking && !state.findings && <p className="faint" role="status" aria-busy>{t('hosts_try_it')}</p>}
        {state.error !== undefined && <ErrorBox error={tell(state.error)} />}
        {state.findings && <Findings findings={state.findings} />}
      </div>
    </Modal>
  )
}
