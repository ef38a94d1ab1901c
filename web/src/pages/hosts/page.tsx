// SPDX-License-Identifier: Apache-2.0
import { Button } from 'antd'
import { bytesOf, percent } from '../../kit/format'
import { openOverlay } from '../../kit/overlay'
import { Icon } from '../../kit/state/glyphs'
import { registerColumns } from '../../kit/table/columns'
import { registerForm } from '../../kit/form/shape'
import { registerVerbs } from '../../kit/verbs/forms'
import { withheld } from '../../kit/verbs/check'
import { may } from '../../live/session'
import { t } from '../../texts'
import { registerAddress, registerPage } from '../registry'
import { JoinCommand, JoinHost } from './JoinHost'
import { part } from '../../kit/part'

const Add = () => <Button type="primary" disabled={!!withheld('host.write')} title={withheld('host.write')} icon={<Icon name="plus" size={13} />} onClick={() => openOverlay(<JoinHost />)} data-test="create">{t('add_host')}</Button>

const bar = (value: number | undefined, text: string) => value === undefined ? <span className="faint">-</span> : <span className="cellbar"><span className={`track ${value > 90 ? 'bad' : value > 80 ? 'warn' : ''}`}><i className="fill" style={{ width: `${value}%` }} /></span> {text}</span>

export function register() {
  registerAddress({ path: '/compatibility', page: part(() => import('./Compatibility')), title: () => t('compatibility_list') })
  registerPage({
    plural: 'hosts', summary: part(() => import('./Summary')), parent: (o) => o.cluster ?? o.host_pool, listActions: Add, empty: () => <><p>{t('no_hosts')}</p><Add /></>,
    tabs: [
      { key: 'monitor', label: () => t('monitor'), part: part(() => import('./Monitor')) },
      { key: 'network', label: () => t('network'), part: part(() => import('./Network')), shown: () => may('network.read') },
      { key: 'numa', label: () => 'NUMA', part: part(() => import('./Numa')), shown: (o) => (o.facts?.numa_nodes?.length ?? 0) > 0 },
      { key: 'hardware', label: () => t('hardware'), part: part(() => import('./Hardware')) },
      { key: 'software', label: () => t('software'), part: part(() => import('./Software')) },
      { key: 'checks', label: () => t('checks'), part: part(() => import('./Checks')) },
      { key: 'migrations', label: () => t('migrations'), part: part(() => import('./Migrations')) },
    ],
  })
  registerColumns('hosts', {
    columns: ['name', 'state', 'cluster', 'address', 'cpu', 'memory', 'facts.cpu.threads', 'architecture', 'agent_version'],
    cells: {
      cpu: { title: () => 'CPU', width: 150, sort: 'load.cpu_percent', cell: (o) => bar(o.load?.cpu_percent, percent(o.load?.cpu_percent)) },
      memory: {
        title: () => t('memory'), width: 220, sort: 'load.memory_used_bytes',
        cell: (o) => bar(o.facts?.memory_bytes && o.load?.memory_used_bytes !== undefined ? (100 * o.load.memory_used_bytes) / o.facts.memory_bytes : undefined, bytesOf(o.load?.memory_used_bytes, o.facts?.memory_bytes)),
      },
    },
  })
  registerForm('join-tokens', { first: ['host_name', 'cluster', 'host_pool', 'host', 'minutes'], made: JoinCommand })
  registerVerbs('hosts', {
    set_firewall: { fields: part(() => import('./Firewall')), ready: (value) => value.rules !== undefined || value.enabled === false },
    enter_maintenance: { main: 1, icon: 'warn', fields: part(() => import('./Maintenance')), initial: () => ({ vms: 'migrate' }) }, leave_maintenance: { main: 2, icon: 'play' }, sync: { main: 3, icon: 'restart' }, assign: { main: 4, icon: 'clusters' },
  })
}
