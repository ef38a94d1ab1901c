// SPDX-License-Identifier: Apache-2.0
// Capacity of the site, a host pool, a cluster or a host: there, promised, used. Asked for again as things change.
import type { Capacity } from '../api/generated/types'
import { useView } from '../live/view'
import { t } from '../texts'
import { Usage } from './chart/Usage'
import { bytesOf, count, megahertz, percent } from './format'
import { Card, Fact, Facts } from './Details'

const MADE_OF = ['Host', 'Vm', 'Pool', 'Volume', 'Cluster', 'Site']

export const useCapacity = (path: string | undefined): Capacity | undefined => useView<Capacity>(path, MADE_OF).value

const ratio = (value: number | undefined) => (value === undefined ? '-' : `${value.toFixed(2)} : 1`)

export function CapacityCards({ capacity }: { capacity: Capacity | undefined }) {
  const { cpu, memory, storage } = capacity ?? {}
  const clocked = !!cpu?.total_mhz // else its hosts do not say how fast they are, and what is used is counted in threads
  return (
    <>
      <Card title="CPU">
        {clocked ? <Usage label={t('used')} used={cpu?.used_mhz} total={cpu?.total_mhz} text={cpu ? `${megahertz(cpu.used_mhz)} / ${megahertz(cpu.total_mhz)}` : '-'} /> : <Usage label={t('used')} used={cpu?.used_mhz} total={cpu?.threads} text={cpu?.threads ? percent((100 * (cpu.used_mhz ?? 0)) / cpu.threads) : '-'} />}
        <Usage label={t('allocated')} used={cpu?.vcpus_allocated} total={cpu?.vcpus_limit} warn={90} bad={100} text={cpu ? `${count(cpu.vcpus_allocated)} / ${count(cpu.vcpus_limit)} vCPU` : '-'} />
        <Facts>
          <Fact label={t('threads')}>{count(cpu?.threads)}</Fact>
          <Fact label={t('overcommit')}>{ratio(cpu?.overcommit)}</Fact>
        </Facts>
      </Card>
      <Card title={t('memory')}>
        <Usage label={t('used')} used={memory?.used_bytes} total={memory?.total_bytes} text={bytesOf(memory?.used_bytes, memory?.total_bytes)} />
        <Usage label={t('allocated')} used={memory?.allocated_bytes} total={memory?.limit_bytes} warn={90} bad={100} text={bytesOf(memory?.allocated_bytes, memory?.limit_bytes)} />
        <Facts>
          <Fact label={t('kept_for_hosts')}>{bytesOf(memory?.reserved_bytes, memory?.total_bytes)}</Fact>
          <Fact label={t('overcommit')}>{ratio(memory?.overcommit)}</Fact>
        </Facts>
      </Card>
      <Card title={t('storage')}>
        <Usage label={t('used')} used={storage?.used_bytes} total={storage?.total_bytes} text={bytesOf(storage?.used_bytes, storage?.total_bytes)} />
        <Usage label={t('provisioned')} used={storage?.provisioned_bytes} total={storage?.limit_bytes} warn={90} bad={100} text={bytesOf(storage?.provisioned_bytes, storage?.limit_bytes)} />
        <Facts>
          <Fact label={t('pools')}>{count(storage?.pools)}</Fact>
          <Fact label={t('overcommit')}>{ratio(storage?.overcommit)}</Fact>
        </Facts>
      </Card>
    </>
  )
}
