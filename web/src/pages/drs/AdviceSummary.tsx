// SPDX-License-Identifier: Apache-2.0
// One recommendation, also long after: it is the record of its move.
import { Card, FactsOf } from '../../kit/Details'
import { t } from '../../texts'
import type { TabProps } from '../registry'
import { Why } from './Advice'
import { BeforeAfter } from './Bars'
import { Ref } from '../../kit/Name'
import { ends, isOf } from './Moved'

const OF_HOST = ['vm', 'cluster', 'from', 'to', 'reason', 'rule', 'state', 'by', 'task', 'created', 'ended', 'effect.gain', 'effect.cost']
const OF_DISK = ['vm', 'disk', 'volume', 'cluster', 'from_pool', 'to_pool', 'reason', 'state', 'by', 'task', 'created', 'ended', 'effect.disk_bytes']

export default function AdviceSummary({ object: advice }: TabProps) {
  const { effect } = advice
  return (
    <div className="cards">
      <Card title={t('move')}>
        <FactsOf type="DrsRecommendation" object={advice} paths={isOf(advice, 'storage') ? OF_DISK : OF_HOST} />
      </Card>
      <Card title={t('why')} className="double"><Why advice={advice} /></Card>
      {effect && isOf(advice, 'storage') && (
        <Card title={t('pools_before_after')} wide>
          <table className="plain hostswanted">
            <thead><tr><th>{t('pool')}</th><th>{t('space')}</th></tr></thead>
            <tbody>
              {(['from', 'to'] as const).map((side, i) => (
                <tr key={side}>
                  <td><Ref id={ends(advice)[i]} /></td>
                  <td><BeforeAfter label={t('space')} before={effect[`${side}_space_before`]} after={effect[`${side}_space_after`]} limit={undefined} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </Card>
      )}
      {effect && !isOf(advice, 'storage') && (
        <Card title={t('before_after')} wide>
          <table className="plain hostswanted">
            <thead><tr><th>{t('host')}</th><th>CPU</th><th>{t('memory')}</th></tr></thead>
            <tbody>
              {(['from', 'to'] as const).map((side) => (
                <tr key={side}>
                  <td><Ref id={advice[side]} /></td>
                  <td><BeforeAfter label="CPU" before={effect[`${side}_cpu_before`]} after={effect[`${side}_cpu_after`]} limit={undefined} /></td>
                  <td><BeforeAfter label={t('memory')} before={effect[`${side}_memory_before`]} after={effect[`${side}_memory_after`]} limit={undefined} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </Card>
      )}
    </div>
  )
}
