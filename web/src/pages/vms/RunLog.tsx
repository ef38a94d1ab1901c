// SPDX-License-Identifier: Apache-2.0
// What QEMU and libvirt wrote of this VM, as its host has it. Read when the page is opened and when asked to; the end is what one looks for.
import { useEffect, useRef, useState } from 'react'
import { Button, Segmented } from 'antd'
import type { VmLogResult } from '../../api/generated/types'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { Ref } from '../../kit/Name'
import { Icon } from '../../kit/state/glyphs'
import { useView } from '../../live/view'
import { t } from '../../texts'
import type { TabProps } from '../registry'

const LINES = [100, 1000, 10000]
const NOTHING: string[] = []

export default function RunLog({ object: vm }: TabProps) {
  const [lines, setLines] = useState(LINES[0]!)
  const { value, error, asking, again } = useView<VmLogResult>(`/vms/${vm.id}/log?lines=${lines}`, NOTHING)
  const end = useRef<HTMLPreElement>(null)
  useEffect(() => void (end.current && (end.current.scrollTop = end.current.scrollHeight)), [value])
  return (
    <div className="runlog">
      <div className="runloghead">
        <Segmented size="small" value={lines} options={LINES} onChange={(n) => setLines(Number(n))} />
        <Button size="small" icon={<Icon name="restart" size={12} />} loading={asking} onClick={again} data-test="run-log-again">{t('reload')}</Button>
        <span className="grow" />
        {value && <Ref id={value.host} icon max={30} />}
      </div>
      {error && <ErrorBox error={tell(error)} />}
      {value && (value.text ? <pre ref={end} className="mono" dir="ltr" tabIndex={0} data-test="run-log">{value.text}</pre> : <p className="faint">{t('run_log_empty')}</p>)}
    </div>
  )
}
