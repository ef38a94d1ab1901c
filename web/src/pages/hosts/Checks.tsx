// SPDX-License-Identifier: Apache-2.0
// Has the host what it needs? Line by line, with what to do; worst first.
import { opOf } from '../../api/contract'
import type { HostCheck } from '../../api/generated/types'
import { Button } from 'antd'
import { Card, PartTable } from '../../kit/Details'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { Icon, Glyph } from '../../kit/state/glyphs'
import { labelOf } from '../../kit/Value'
import { refusal } from '../../kit/verbs/check'
import { ask } from '../../kit/verbs/run'
import { useView } from '../../live/view'
import { t } from '../../texts'
import type { TabProps } from '../registry'

const MADE_OF = ['Host']
const ORDER = ['fail', 'warn', 'unknown', 'pass']

export default function Checks({ object: host }: TabProps) {
  const { value, error } = useView<HostCheck>(`/hosts/${host.id}/check`, MADE_OF)
  const sync = opOf('hosts', 'sync')!
  const why = refusal(sync, host)
  const lines = [...(value?.lines ?? [])].sort((a, b) => ORDER.indexOf(a.state ?? '') - ORDER.indexOf(b.state ?? ''))
  const level = value?.failed ? 'bad' : value?.warned ? 'warn' : 'ok'
  return (
    <div className="cards">
      <Card title={t('checks')} wide actions={<Button size="small" disabled={!!why} title={why} icon={<Icon name="restart" size={12} />} onClick={() => ask('hosts', sync, [host])} data-test="read-again">{t('read_again')}</Button>}>
        {error && <ErrorBox error={tell(error)} />}
        {value && <p role="status" data-test="checks-said"><Glyph name={level === 'ok' ? 'tick' : level === 'warn' ? 'triangle' : 'cross'} colour={level} /> {value.failed ? t('checks_failed', { n: value.failed }) : value.warned ? t('checks_warned', { n: value.warned }) : t('checks_fine')}</p>}
        {value && <PartTable type="HostCheckLine" rows={lines.map((line, i) => ({ ...line, key: i }))} paths={['check', 'state', 'found', 'needed']} own={[{ title: labelOf('HostCheckLine', 'advice'), cell: (line) => <span dir="auto">{line.advice}</span> }]} />}
      </Card>
    </div>
  )
}
