// SPDX-License-Identifier: Apache-2.0
// The first page: how the whole is, and on an empty system the way to the first running guest.
import { Button } from 'antd'
import { CapacityCards, useCapacity } from '../../kit/Capacity'
import { Card, Fact, Facts } from '../../kit/Details'
import { bytes, count, percent } from '../../kit/format'
import { LastEvents, OpenAlarms, Top } from '../../kit/lists'
import { Name, To } from '../../kit/Name'
import { usePref } from '../../kit/prefs'
import { Icon } from '../../kit/state/glyphs'
import { Glyph } from '../../kit/state/glyphs'
import { useRows } from '../../live/store'
import { look, word } from '../../api/contract'
import { t } from '../../texts'
import { FirstHour } from './FirstHour'

export default function Home() {
  const { rows } = useRows('sites', {}, 1)
  const site = rows[0]
  const capacity = useCapacity(site && `/sites/${site.id}/capacity`)
  const [hidden, hide] = usePref('first-hour-done', false)
  const empty = capacity && !capacity.vms
  return (
    <div className="dashboard" data-test="home">
      <div className="pagehead">
        <Icon name="site" size={20} />
        <h1><Name text={site?.name ?? t('site')} /></h1>
        <span className="grow" />
        {hidden && empty && <Button size="small" onClick={() => hide(false)}>{t('first_steps')}</Button>}
        {site && <To to={`/sites/${site.id}/settings`}>{t('settings')}</To>}
      </div>
      {empty && !hidden && <FirstHour hide={() => hide(true)} />}
      <div className="cards dash">
        <Card title={t('inventory')}>
          <Numbers />
          <Facts>
            <Fact label={t('hosts_in_use')}>{capacity ? `${count(capacity.hosts_connected)} / ${count(capacity.hosts)}` : '-'}</Fact>
            <Fact label={t('vms_running')}>{capacity ? `${count(capacity.vms_running)} / ${count(capacity.vms)}` : '-'}</Fact>
          </Facts>
        </Card>
        <CapacityCards capacity={capacity} />
        <Card title={t('open_alarms')} actions={<To to="/alarms">{t('all')}</To>}><OpenAlarms /></Card>
        <Card title={t('busiest_hosts')} actions={<To to="/hosts?sort=-load.cpu_percent">{t('all')}</To>}>
          <Top plural="hosts" sort="load.cpu_percent" filter="state=connected" value={(o) => o.load?.cpu_percent} text={(o) => percent(o.load?.cpu_percent)} max={100} />
        </Card>
        <Card title={t('busiest_vms')} actions={<To to="/vms?sort=-usage.cpu_percent">{t('all')}</To>}>
          <Top plural="vms" sort="usage.cpu_percent" filter="power.state=running" value={(o) => o.usage?.cpu_percent} text={(o) => percent(o.usage?.cpu_percent)} max={100} />
        </Card>
        <Card title={t('fullest_pools')} actions={<To to="/pools">{t('all')}</To>}>
          <Pools />
        </Card>
        <Card title={t('last_events')} actions={<To to="/events">{t('all')}</To>} wide={(capacity?.architectures?.length ?? 0) < 2} className="double"><LastEvents n={8} /></Card>
        {(capacity?.architectures?.length ?? 0) > 1 && (
          <Card title={t('architectures')} className="double">
            <table className="plain">
              <thead><tr><th>{t('architecture')}</th><th className="number">{t('hosts')}</th><th className="number">{t('vms_running')}</th><th className="number">vCPU</th><th className="number">{t('memory')}</th></tr></thead>
              <tbody>
                {capacity!.architectures!.map((a) => (
                  <tr key={a.architecture}><td>{word(a.architecture!)}</td><td className="number">{count(a.hosts)}</td><td className="number">{count(a.vms_running)}</td><td className="number">{count(a.cpu?.vcpus_allocated)}</td><td className="number">{bytes(a.memory?.allocated_bytes)}</td></tr>
                ))}
              </tbody>
            </table>
          </Card>
        )}
      </div>
    </div>
  )
}

const STATES = ['running', 'off', 'paused', 'crashed', 'io_held', 'unknown']

/** VMs by power state, each a filter of the list. */
function Numbers() {
  return <div className="numbers">{STATES.map((state) => <Number key={state} state={state} />)}</div>
}

function Number({ state }: { state: string }) {
  const { total, loading } = useRows('vms', { filter: `power.state=${state} and management!=in_bin`, fields: 'power' }, 1)
  if (!loading && !total && !['running', 'off'].includes(state)) return null
  const shown = look('Vm.power.state', state)
  return (
    <To to={`/vms?filter=${encodeURIComponent(`state:${state}`)}`} className="numberbox">
      <b>{loading ? '' : count(total)}</b>
      <span className="state"><Glyph name={shown.glyph} colour={shown.colour} size={14} /> {word(state)}</span>
    </To>
  )
}

function Pools() {
  const { rows, loading } = useRows('pools', { sort: 'available_bytes' }, 200)
  const shown = rows.filter((p) => p.capacity_bytes).map((p) => ({ p, used: 1 - (p.available_bytes ?? 0) / p.capacity_bytes })).sort((a, b) => b.used - a.used).slice(0, 5)
  if (!loading && !shown.length) return <p className="faint">{t('no_figures')}</p>
  return (
    <ul className="top">
      {shown.map(({ p, used }) => (
        <li key={p.id}>
          <span className="topname"><To to={`/pools/${p.id}`}><Name text={p.name} max={28} /></To></span>
          <span className={`track ${used > 0.9 ? 'bad' : used > 0.8 ? 'warn' : ''}`}><i className="fill" style={{ width: `${used * 100}%` }} /></span>
          <span className="nums">{percent(used * 100)}</span>
        </li>
      ))}
    </ul>
  )
}

