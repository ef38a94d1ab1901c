// SPDX-License-Identifier: Apache-2.0
// Types a text into the guest by its keyboard (US layout): a guest's own clipboard cannot be reached: QEMU's channel to it (qemu-vdagent)
// would keep the guest from moving while it runs.
import { useRef, useState } from 'react'
import { Button, Input, Modal } from 'antd'
import { post, type Obj } from '../../api/client'
import { t } from '../../texts'
import { ErrorBox, tell } from '../error/ErrorBox'
import { closeOverlay } from '../overlay'
import { keysFor, sequences } from './layout'

/** Characters in one request, with one record of it: the manager takes up to 256; fewer, so that one can stop. */
const AT_ONCE = 125

export function TypeText({ vm, initial = '' }: { vm: Obj; initial?: string }) {
  const [text, setText] = useState(initial)
  const [at, setAt] = useState<number>()
  const [error, setError] = useState<unknown>()
  const stop = useRef(false)
  const bad = [...text].find((c) => !keysFor(c))
  const run = async () => {
    stop.current = false
    setError(undefined)
    try {
      let done = 0
      for (const { sequence, characters } of sequences(text, AT_ONCE)) {
        if (stop.current) break
        setAt(done)
        await post(`/vms/${vm.id}/send_keys`, { sequence, hold_ms: 20 })
        done += characters
      }
    } catch (failed) {
      setError(failed)
    }
    setAt(undefined)
  }
  return (
    <Modal open title={t('type_text')} onCancel={() => { stop.current = true; closeOverlay() }} footer={[at === undefined ? <Button key="go" type="primary" disabled={!text || !!bad} onClick={() => void run()}>{t('type_it')}</Button> : <Button key="stop" onClick={() => (stop.current = true)}>{t('stop_at', { n: at, all: [...text].length })}</Button>]}>
      <div className="stack">
        <p className="soft">{t('type_text_help')}</p>
        <Input.TextArea value={text} rows={5} onChange={(e) => setText(e.target.value)} aria-label={t('type_text')} className="mono" spellCheck={false} />
        {bad && <p className="fielderror">{t('no_key_for', { c: bad })}</p>}
        {error !== undefined && <ErrorBox error={tell(error)} />}
      </div>
    </Modal>
  )
}
