// SPDX-License-Identifier: Apache-2.0
import { Button } from 'antd'
import { percent } from '../../kit/format'
import { openOverlay } from '../../kit/overlay'
import { Icon } from '../../kit/state/glyphs'
import { registerColumns } from '../../kit/table/columns'
import { registerVerbs } from '../../kit/verbs/forms'
import { withheld } from '../../kit/verbs/check'
import { t } from '../../texts'
import { registerPage } from '../registry'
import { CheckPool, NewPool } from './NewPool'
import { part } from '../../kit/part'

const Add = () => <Button type="primary" disabled={!!withheld('pool.write')} title={withheld('pool.write')} icon={<Icon name="plus" size={13} />} onClick={() => openOverlay(<NewPool />)} data-test="create">{t('add_pool')}</Button>

export function register() {
  registerPage({ plural: 'pools', tabs: [{ key: 'monitor', label: () => t('monitor'), part: part(() => import('./Monitor')) }, { key: 'topology', label: () => t('topology'), part: part(() => import('./Topology')) }], summary: part(() => import('./Summary')), listActions: Add, empty: () => <><p>{t('no_pools')}</p><Add /></>, without: ['hosts'] })
  registerColumns('pools', {
    columns: ['name', 'state', 'kind', 'hosts', 'used', 'capacity_bytes', 'provisioned_bytes', 'path'],
    cells: {
      used: {
        title: () => t('used'), width: 190, sort: 'available_bytes',
        cell: (row) => row.capacity_bytes ? <span className="cellbar"><span className="track"><i className="fill" style={{ width: `${100 - (100 * row.available_bytes) / row.capacity_bytes}%` }} /></span> {percent(100 - (100 * row.available_bytes) / row.capacity_bytes)}</span> : <span className="faint">-</span>,
      },
    },
  })
  registerVerbs('pools', { refresh: { main: 1, icon: 'restart' }, check: { main: 5, icon: 'tick', run: (objects) => openOverlay(<CheckPool pool={objects[0]!} />) }, attach: { main: 2, icon: 'plus' }, suspend: { main: 3, icon: 'pause' }, start: { main: 4, icon: 'play' } })
}
