// SPDX-License-Identifier: Apache-2.0
// Where virtual machines of a cluster run: DRS, DPM, affinity rules, what-if. Their tabs are on the page of the cluster (pages/clusters).
import { registerChoices, registerForm } from '../../kit/form/shape'
import { part } from '../../kit/part'
import { registerColumns } from '../../kit/table/columns'
import { registerVerbs } from '../../kit/verbs/forms'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import { registerPage } from '../registry'

const HOSTS = ['hosts', 'host_label']
const DOMAINS = ['min_domains']

export function register() {
  registerPage({ plural: 'affinity-rules', summary: part(() => import('./RuleSummary')), parent: (o) => o.cluster })
  registerPage({ plural: 'drs-recommendations', summary: part(() => import('./AdviceSummary')), parent: (o) => o.cluster })
  registerColumns('affinity-rules', { columns: ['name', 'cluster', 'kind', 'enabled', 'vms', 'vm_label', 'hosts', 'health.level'] })
  registerVerbs('drs-recommendations', { accept: { main: 1, icon: 'play' } })
  registerForm('affinity-rules', {
    first: ['name', 'cluster', 'kind', 'vms', 'hosts', 'min_domains'],
    hide: (rule) => { // hosts mean something to rules about hosts alone, fault domains to those that spread
      const kind = String(rule.kind ?? '')
      return [...(kind.includes('run_on') ? [] : HOSTS), ...(kind.includes('spread') ? [] : DOMAINS)]
    },
    useAmong: (rule) => {
      const { rows } = useRows(rule.cluster ? 'hosts' : undefined, { filter: `cluster=${rule.cluster}`, fields: 'name,cluster' }, 1000)
      const here = new Set(rows.map((row) => row.id))
      return rule.cluster ? { vms: (vm) => here.has(vm.host), hosts: (host) => host.cluster === rule.cluster } : {}
    },
  })
  registerChoices('DrsRecommendation', 'state', { pending: t('advised'), accepted: t('being_done') })
  registerChoices('ClusterDrs', 'condition', { any: t('condition_any'), both: t('condition_both') })
}
