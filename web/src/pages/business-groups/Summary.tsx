// SPDX-License-Identifier: Apache-2.0
// A business group: what its VMs have of its quota, and of those of the groups above it.
import type { BusinessGroupLimit, BusinessGroupUsage } from '../../api/generated/types'
import { Card, EditButton, FactsOf } from '../../kit/Details'
import { Usage } from '../../kit/chart/Usage'
import { bytes, bytesOf, count } from '../../kit/format'
import { Ref } from '../../kit/Name'
import { labelOf } from '../../kit/Value'
import { useView } from '../../live/view'
import { t } from '../../texts'
import type { TabProps } from '../registry'

const KINDS = ['vms', 'vcpus', 'memory_bytes', 'disk_bytes'] as const
const MADE_OF = ['BusinessGroup', 'Vm', 'Volume']

function Bar({ what, used, limit }: { what: BusinessGroupLimit['what']; used: number | undefined; limit: number | undefined }) {
  const sized = what.endsWith('_bytes')
  const full = limit === 0 && !!used // of nothing all is too much
  const text = limit === undefined ? `${sized ? bytes(used) : count(used)} / ${t('no_limit')}` : sized ? bytesOf(used, limit) : `${count(used)} / ${count(limit)}`
  return <Usage label={labelOf('BusinessGroupQuota', what)} used={full ? 1 : used} total={full ? 1 : limit} warn={90} bad={100} text={text} />
}

export default function Summary({ object: group, plural }: TabProps) {
  const usage = useView<BusinessGroupUsage>(`/business-groups/${group.id}/usage`, MADE_OF).value
  const above = new Map<string, BusinessGroupLimit[]>()
  for (const limit of usage?.limits ?? []) if (limit.group !== group.id) above.set(limit.group, [...(above.get(limit.group) ?? []), limit])
  return (
    <div className="cards flow">
      <Card title={t('quota')} actions={<EditButton plural={plural} object={group} only={['quota']} title={t('quota')} />}>
        <div data-test="quota">{KINDS.map((what) => <Bar key={what} what={what} used={usage?.[what]} limit={group.quota?.[what]} />)}</div>
      </Card>
      {[...above].map(([id, limits]) => (
        <Card key={id} title={<>{t('quota')}: <Ref id={id} /></>}>
          {limits.map((limit) => <Bar key={limit.what} what={limit.what} used={limit.used} limit={limit.limit} />)}
        </Card>
      ))}
      <Card title={t('settings')}><FactsOf type="BusinessGroup" object={group} paths={['parent', 'description', 'created']} /></Card>
    </div>
  )
}
