// SPDX-License-Identifier: Apache-2.0
// Storage DRS of a cluster on one page: how full each pool is, which disks are to move and why, what was moved, what cannot be, and how it is set.
import type { StorageDrsPool, StorageDrsStatus } from '../../api/generated/types'
import { Card, EditButton } from '../../kit/Details'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { ago, count, time } from '../../kit/format'
import { Ref } from '../../kit/Name'
import { Glyph } from '../../kit/state/glyphs'
import { useRows } from '../../live/store'
import { useView } from '../../live/view'
import { t } from '../../texts'
import type { TabProps } from '../registry'
import { Recommendations } from './Advice'
import { Wanted } from './Bars'
import { History } from './History'
import { isOf } from './Moved'
import { settings, SettingsOf } from './Settings'

const MADE_OF = ['Pool', 'Volume', 'Vm', 'Cluster', 'DrsRecommendation']
const MOST = 100

export default function StorageDrs({ object: cluster }: TabProps) {
  const { value: status, error, again } = useView<StorageDrsStatus>(`/clusters/${cluster.id}/storage_drs_status`, MADE_OF)
  const { rows, loading } = useRows('drs-recommendations', { filter: `cluster=${cluster.id} and kind=storage and state!=applied and state!=failed and state!=expired` }, 500)
  const live = rows.filter((row) => isOf(row, 'storage') && (row.state === 'pending' || row.state === 'accepted'))
  const set = settings('ClusterStorageDrs', cluster.storage_drs)
  const pinned = status?.pinned ?? []
  return (
    <div className="cards drs">
      {error && <div className="wide"><ErrorBox error={tell(error)} /></div>}
      <Recommendations kind="storage" cluster={cluster.id} status={status} again={again} rows={live} loading={loading} level={set.level} />
      <Card wide title={t('pools_filled')}><Pools pools={status?.pools ?? []} limit={set.space_percent} asked={!!status} /></Card>
      {pinned.length > 0 && (
        <Card wide title={t('pinned_disks')}>
          <ul className="plan" data-test="pinned">
            {pinned.map((one) => <li key={`${one.vm} ${one.disk}`} dir="auto"><Ref id={one.vm} max={28} /> <span className="tag">{one.disk}</span> {one.reason}</li>)}
          </ul>
        </Card>
      )}
      <Card title={t('storage_drs')} actions={<EditButton plural="clusters" object={cluster} only={['storage_drs']} title={t('storage_drs')} />}>
        <SettingsOf type="ClusterStorageDrs" value={cluster.storage_drs} />
      </Card>
      <Card title={t('history_drs')} className="double"><History cluster={cluster.id} kind="storage" /></Card>
    </div>
  )
}

const fullest = (a: StorageDrsPool, b: StorageDrsPool) => (b.space_percent ?? 0) - (a.space_percent ?? 0)

function Pools({ pools, limit, asked }: { pools: StorageDrsPool[]; limit: number; asked: boolean }) {
  if (!pools.length) return <p className="faint" aria-busy={!asked}>{asked ? t('none') : t('loading')}</p>
  const rows = [...pools].sort(fullest)
  return (
    <>
      <div className="tablebox free" tabIndex={0} role="region" aria-label={t('pools_filled')}>
        <table className="plain hostswanted">
          <thead><tr><th>{t('pool')}</th><th className="number">{t('disks')}</th><th>{t('space')}</th><th>{t('above_since')}</th></tr></thead>
          <tbody>
            {rows.slice(0, MOST).map((pool) => (
              <tr key={pool.pool} data-pool={pool.pool}>
                <td><Ref id={pool.pool} max={36} />{!pool.in_service && <span className="tag after">{t('out_of_service')}</span>}</td>
                <td className="number">{count(pool.disks)}</td>
                <td><Wanted label={`${pool.name} ${t('space')}`} value={pool.space_percent} forecast={pool.forecast_percent} limit={limit} /></td>
                <td>{pool.full_since ? <span className="state" title={time(pool.full_since)}><Glyph name="triangle" colour="warn" size={14} /> {ago(pool.full_since)}</span> : <span className="faint">-</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > MOST && <p className="faint">{t('and_more', { n: rows.length - MOST })}</p>}
      <p className="legend faint"><i className="keybar" />{t('key_used')} <i className="keyforecast" />{t('key_in_an_hour')} <i className="keylimit" />{t('key_limit')}</p>
    </>
  )
}
