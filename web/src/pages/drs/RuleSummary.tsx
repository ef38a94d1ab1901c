// SPDX-License-Identifier: Apache-2.0
import type { AffinityViolations } from '../../api/generated/types'
import { Card, EditButton, FactsOf } from '../../kit/Details'
import { LastEvents } from '../../kit/lists'
import { Glyph } from '../../kit/state/glyphs'
import { useView } from '../../live/view'
import { t } from '../../texts'
import type { TabProps } from '../registry'
import { Broken, EDITED } from './Rules'

const MADE_OF = ['Vm', 'AffinityRule', 'Host']

export default function RuleSummary({ object: rule }: TabProps) {
  const { value } = useView<AffinityViolations>(`/affinity-rules/${rule.id}/violations`, MADE_OF)
  const onHosts = String(rule.kind).includes('run_on')
  const spreads = String(rule.kind).includes('spread')
  return (
    <div className="cards">
      <Card title={t('rule')} actions={<EditButton plural="affinity-rules" object={rule} only={EDITED} title={rule.name} />}>
        <FactsOf type="AffinityRule" object={rule} paths={['kind', 'enabled', 'cluster', 'description', 'vms', 'vm_label', ...(onHosts ? ['hosts', 'host_label'] : []), ...(spreads ? ['min_domains'] : []), 'created']} />
      </Card>
      <Card title={t('broken_now')}>
        {!rule.enabled ? <p className="faint">{t('rule_off')}</p> : value && !value.items?.length ? <p className="allwell"><Glyph name="tick" colour="ok" /> {t('kept')}</p> : <Broken items={value?.items ?? []} />}
      </Card>
      <Card title={t('last_events')} className="double"><LastEvents filter={`object=${rule.id}`} /></Card>
    </div>
  )
}
