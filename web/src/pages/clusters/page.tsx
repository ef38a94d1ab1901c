// SPDX-License-Identifier: Apache-2.0
import { registerColumns } from '../../kit/table/columns'
import { registerVerbs } from '../../kit/verbs/forms'
import { registerPage } from '../registry'
import { part } from '../../kit/part'
import { may } from '../../live/session'
import { t } from '../../texts'

export function register() {
  registerPage({ plural: 'clusters', tabs: [
    { key: 'drs', label: () => 'DRS', part: part(() => import('../drs/Drs')) }, { key: 'storage-drs', label: () => t('storage_drs'), part: part(() => import('../drs/StorageDrs')), shown: () => may('pool.read') }, { key: 'rules', label: () => t('rules'), part: part(() => import('../drs/Rules')) }, { key: 'what-if', label: () => t('what_if'), part: part(() => import('../drs/WhatIf')) },
    { key: 'storage', label: () => t('storage'), part: part(() => import('./Storage')), shown: () => may('pool.read') },
  ], summary: part(() => import('./Summary')), parent: (o) => o.host_pool })
  registerVerbs('clusters', { roll_maintenance: { main: 1, icon: 'warn', intro: part(() => import('./RollPlan')) } })
  registerColumns('clusters', { columns: ['name', 'host_pool', 'architecture', 'cpu_overcommit_ratio', 'memory_overcommit_ratio', 'migration.strategy', 'created'] })
}
