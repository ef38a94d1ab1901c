// SPDX-License-Identifier: Apache-2.0
// DRS of a cluster on one page: what each host is wanted for, what is advised and why, what was done, and how it is set.
import type { DrsHost, DrsStatus } from '../../api/generated/types'
import { Card, EditButton } from '../../kit/Details'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { ago, count, percent, time } from '../../kit/format'
import { Ref, To } from '../../kit/Name'
import { Glyph } from '../../kit/state/glyphs'
import { useRows } from '../../live/store'
import { useView } from '../../live/view'
import { t } from '../../texts'
import type { TabProps } from '../registry'
import { Recommendations } from './Advice'
import { Wanted } from './Bars'
import { Dpm } from './Dpm'
import { History } from './History'
import { Broken, useBroken } from './Rules'
import { settings, SettingsOf } from './Settings'

const MADE_OF = ['Host', 'Vm', 'Cluster', 'DrsRecommendation', 'AffinityRule']
const MOST = 100

export default function Drs({ object: cluster }: TabProps) {
  const { value: status, error, again } = useView<DrsStatus>(`/clusters/${cluster.id}/drs_status`, MADE_OF)
  const { rows, loading } = useRows('drs-recommendations', { filter: `cluster=${cluster.id} and kind!=storage and state!=applied and state!=failed and state!=expired` }, 500)
  const broken = useBroken(cluster.id)
  const live = rows.filter((row) => row.kind !== 'storage' && (row.state === 'pending' || row.state === 'accepted'))
  return (
    <div className="cards drs">
      {error && <div className="wide"><ErrorBox error={tell(error)} /></div>}
      <Recommendations kind="host" cluster={cluster.id} status={status} again={again} rows={live} loading={loading} level={settings('ClusterDrs', cluster.drs).level} />
      {broken.items.length > 0 && (
        <Card wide title={t('broken_rules')} actions={<To to={`/clusters/${cluster.id}/rules`}>{t('rules')}</To>}><Broken items={broken.items} named /></Card>
      )}
      <Card wide title={t('hosts_wanted')} actions={<span className="faint nums">{t('imbalance', { value: percent(status?.imbalance) })}</span>}>
        <Hosts hosts={status?.hosts ?? []} limits={settings('ClusterDrs', cluster.drs)} asked={!!status} />
      </Card>
      <Card title="DRS" actions={<EditButton plural="clusters" object={cluster} only={['drs']} title="DRS" />}>
        <SettingsOf type="ClusterDrs" value={cluster.drs} />
      </Card>
      <Dpm cluster={cluster} />
      <Card title={t('history_drs')} className="double"><History cluster={cluster.id} kind="host" /></Card>
    </div>
  )
}

/** Those above the thresholds first. */
const byHeat = (a: DrsHost, b: DrsHost) => Number(!!b.hot_since) - Number(!!a.hot_since)

function Hosts({ hosts, limits, asked }: { hosts: DrsHost[]; limits: Record<string, any>; asked: boolean }) {
  if (!hosts.length) return <p className="faint" aria-busy={!asked}>{asked ? t('none') : t('loading')}</p>
  const rows = [...hosts].sort(byHeat)
  return (
    <>
      <div className="tablebox free" tabIndex={0} role="region" aria-label={t('hosts_wanted')}>
        <table className="plain hostswanted">
          <thead><tr><th>{t('host')}</th><th className="number">{t('vms')}</th><th>CPU</th><th>{t('memory')}</th><th>{t('above_since')}</th></tr></thead>
          <tbody>
            {rows.slice(0, MOST).map((host) => (
              <tr key={host.host} data-host={host.host}>
                <td><Ref id={host.host} max={36} />{!host.in_service && <span className="tag after">{t('out_of_service')}</span>}</td>
                <td className="number">{count(host.vms)}</td>
                <td><Wanted label={`${host.name} CPU`} value={host.cpu_percent} forecast={host.cpu_forecast_percent} limit={limits.cpu_percent} /></td>
                <td><Wanted label={`${host.name} ${t('memory')}`} value={host.memory_percent} limit={limits.memory_percent} /></td>
                <td>{host.hot_since ? <span className="state" title={time(host.hot_since)}><Glyph name="triangle" colour="warn" size={14} /> {ago(host.hot_since)}</span> : <span className="faint">-</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > MOST && <p className="faint">{t('and_more', { n: rows.length - MOST })}</p>}
      <p className="legend faint"><i className="keybar" />{t('key_wanted')} <i className="keyforecast" />{t('key_forecast')} <i className="keylimit" />{t('key_limit')}</p>
    </>
  )
}
