// SPDX-License-Identifier: Apache-2.0
// DRS of a cluster on one page: what each host is wanted for, what is advised and why, what was done, and how it is set.
import { fieldsOf, word } from '../../api/contract'
import type { DrsHost, DrsStatus } from '../../api/generated/types'
import type { Obj } from '../../api/client'
import { Card, EditButton, FactsOf } from '../../kit/Details'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { ago, count, duration, percent, time } from '../../kit/format'
import { Ref, To } from '../../kit/Name'
import { Glyph } from '../../kit/state/glyphs'
import { State } from '../../kit/state/State'
import { useRows } from '../../live/store'
import { useView } from '../../live/view'
import { t } from '../../texts'
import type { TabProps } from '../registry'
import { Advice, ClusterVerb } from './Advice'
import { Wanted } from './Bars'
import { Dpm } from './Dpm'
import { Broken, useBroken } from './Rules'

const MADE_OF = ['Host', 'Vm', 'Cluster', 'DrsRecommendation', 'AffinityRule']
const MOST = 100
const HISTORY = 50

export default function Drs({ object: cluster }: TabProps) {
  const { value: status, error, again } = useView<DrsStatus>(`/clusters/${cluster.id}/drs_status`, MADE_OF)
  const { rows } = useRows('drs-recommendations', { filter: `cluster=${cluster.id} and state!=applied and state!=failed and state!=expired` }, 500)
  const broken = useBroken(cluster.id)
  const live = rows.filter((row) => row.state === 'pending' || row.state === 'accepted')
  const pending = live.filter((row) => row.state === 'pending').length
  return (
    <div className="cards drs">
      {error && <div className="wide"><ErrorBox error={tell(error)} /></div>}
      <Card wide title={t('recommendations')} actions={<>
        <span className="faint">{status?.looked ? t('looked', { time: ago(status.looked) }) : ''}{status?.next ? ` · ${t('looks_again', { time: duration(Math.max(0, Date.parse(status.next) - Date.now())) })}` : ''}</span>
        <ClusterVerb cluster={cluster.id} name="refresh" icon="restart" done={again} />
        <ClusterVerb cluster={cluster.id} name="accept_all" icon="play" n={pending} done={again} primary={pending > 0} />
      </>}>
        <Advice rows={live} level={settings('ClusterDrs', cluster.drs).level} />
      </Card>
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
      <Card title={t('history_drs')} className="double"><History cluster={cluster.id} /></Card>
    </div>
  )
}

/** Settings as they hold: what is not set is at its default. */
export function settings(type: string, value: Record<string, any> | undefined): Record<string, any> {
  return Object.fromEntries(Object.entries(fieldsOf(type)).map(([name, field]) => [name, value?.[name] ?? field.def]))
}

export function SettingsOf({ type, value }: { type: string; value: Record<string, any> | undefined }) {
  return <FactsOf type={type} object={settings(type, value)} paths={Object.keys(fieldsOf(type))} />
}

/** Those above the thresholds first. */
const byHeat = (a: DrsHost, b: DrsHost) => Number(!!b.hot_since) - Number(!!a.hot_since)

function Hosts({ hosts, limits, asked }: { hosts: DrsHost[]; limits: Record<string, any>; asked: boolean }) {
  if (!hosts.length) return <p className="faint">{asked ? t('none') : t('loading')}</p>
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

/** What came of advice, the last first. */
function History({ cluster }: { cluster: string }) {
  const { rows, loading } = useRows('drs-recommendations', { filter: `cluster=${cluster} and state!=pending and state!=accepted`, sort: '-created' }, HISTORY)
  const ended = rows.filter((row: Obj) => row.state !== 'pending' && row.state !== 'accepted').slice(0, HISTORY)
  if (!loading && !ended.length) return <p className="faint">{t('nothing_moved')}</p>
  return (
    <div className="tablebox free" tabIndex={0} role="region" aria-label={t('history_drs')} data-test="drs-history">
      <table className="plain">
        <thead><tr><th>{t('state')}</th><th>{t('vm')}</th><th>{t('move')}</th><th>{t('reason')}</th><th>{t('by_whom')}</th><th>{t('when')}</th></tr></thead>
        <tbody>
          {ended.map((row) => (
            <tr key={row.id} data-advice={row.id} data-state={row.state}>
              <td><To to={`/drs-recommendations/${row.id}`}><State path="DrsRecommendation.state" value={row.state} /></To></td>
              <td><Ref id={row.vm} max={28} /></td>
              <td><span className="fromto"><Ref id={row.from} max={24} /> <span className="faint">→</span> <Ref id={row.to} max={24} /></span></td>
              <td dir="auto">{word(row.reason)}{row.note && <div className="faint">{row.note}</div>}</td>
              <td>{row.by === 'system' ? t('by_itself') : row.by ?? '-'}</td>
              <td className="nums" title={time(row.ended)}>{ago(row.ended)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
