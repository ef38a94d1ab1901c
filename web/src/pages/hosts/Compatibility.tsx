// SPDX-License-Identifier: Apache-2.0
// What is known of hardware and software: the platform's list and the site's own. What is looked for stands in the URL.
import { Input, Segmented } from 'antd'
import { fieldsOf, word } from '../../api/contract'
import type { CompatibilityResult } from '../../api/generated/types'
import { PartTable } from '../../kit/Details'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { Icon } from '../../kit/state/glyphs'
import { useView } from '../../live/view'
import { setParams, useSearch } from '../../router'
import { t } from '../../texts'

const NOTHING: string[] = []
const DEVICES = ['name', 'vendor', 'state', 'driver', 'pci', 'note', 'source']
const PATHS: Record<string, string[]> = {
  nic: DEVICES, controller: DEVICES, processor: ['name', 'vendor', 'state', 'architectures', 'models', 'note', 'source'], server: ['name', 'vendor', 'state', 'models', 'note', 'source'],
  guest_os: ['name', 'state', 'os_variant', 'architectures', 'firmware', 'bus', 'nic_model', 'note', 'source'], software: ['name', 'vendor', 'versions', 'state', 'note', 'source'], backup: ['name', 'vendor', 'state', 'note', 'source'],
}
const ALL = ['kind', 'name', 'vendor', 'state', 'versions', 'driver', 'note', 'source']

export default function Compatibility() {
  const asked = new URLSearchParams(useSearch())
  const kind = asked.get('kind') ?? ''
  const q = asked.get('q') ?? ''
  const query = new URLSearchParams({ q, ...(kind && { kind }) })
  const { value, error } = useView<CompatibilityResult>(`/compatibility?${query}`, NOTHING)
  const kinds = fieldsOf('CompatibilityEntry').kind?.e ?? []
  return (
    <div className="listpage compat">
      <div className="pagehead"><Icon name="hosts" size={20} /><h1>{t('compatibility_list')}</h1></div>
      <div className="runloghead">
        <Input.Search allowClear defaultValue={q} placeholder={t('search')} aria-label={t('search')} style={{ width: 280 }} onChange={(e) => setParams({ q: e.target.value })} data-test="compatibility-search" />
        <Segmented size="small" value={kind} onChange={(next) => setParams({ kind: String(next) })} options={[{ value: '', label: t('all') }, ...kinds.map((k) => ({ value: k, label: word(k) }))]} />
      </div>
      {error && <ErrorBox error={tell(error)} />}
      {value?.problems?.map((problem) => <ErrorBox key={problem.line} error={{ message: `${problem.file}:${problem.line}: ${problem.reason}` }} />)}
      {value && <PartTable type="CompatibilityEntry" rows={value.items} paths={PATHS[kind] ?? ALL} />}
    </div>
  )
}
