// SPDX-License-Identifier: Apache-2.0
// Which network of the target each network of the VMs becomes: the one of the same name by itself, another one where somebody chooses it.
import { useEffect, useReducer } from 'react'
import { Select } from 'antd'
import type { Obj } from '../../api/client'
import { compareNames, visible } from '../../kit/format'
import { Name } from '../../kit/Name'
import { nameNow, namesOf, useRows } from '../../live/store'
import { t } from '../../texts'

const MOST = 2000

/** Port groups of now, by their name: hosts have each their own of the same name. */
function byName(objects: Obj[]): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const id of new Set(objects.flatMap((vm) => (vm.nics ?? []).map((nic: any) => nic.port_group as string | undefined)))) if (id) found.set(nameNow(id), [...(found.get(nameNow(id)) ?? []), id])
  return found
}

export function MigrateNetworks({ objects, host, map, change }: { objects: Obj[]; host: string; map: Record<string, string>; change: (map: Record<string, string>) => void }) {
  const [, again] = useReducer((n: number) => n + 1, 0)
  const moving = objects.filter((vm) => vm.host !== host)
  const ids = [...new Set(moving.flatMap((vm) => (vm.nics ?? []).map((nic: any) => nic.port_group as string)))].join()
  useEffect(() => void namesOf(ids.split(',').filter(Boolean)).then(again), [ids])
  const { rows, loading } = useRows('port-groups', { filter: `switch.host=${host}`, sort: 'name', fields: 'name,vlan' }, MOST)
  const wanted = [...byName(moving)].sort(([a], [b]) => compareNames(a, b))
  if (!wanted.length || loading) return null
  const label = (group: Obj) => `${visible(group.name)}${group.vlan?.tag ? ` · VLAN ${group.vlan.tag}` : ''}`
  return (
    <table className="plain mapping" data-test="networks">
      <thead><tr><th>{t('network_now')}</th><th>{t('network_there')}</th></tr></thead>
      <tbody>
        {wanted.map(([name, sources]) => {
          const alike = rows.find((row) => row.name === name)
          const value = map[sources[0]!] ?? alike?.id
          return (
            <tr key={name} data-network={name}>
              <td><Name text={name} max={30} /></td>
              <td>
                <Select
                  size="small" aria-label={t('network_there')} value={value} status={value ? undefined : 'error'} placeholder={t('no_network_alike')} popupMatchSelectWidth={false} showSearch={{ optionFilterProp: 'label' }}
                  options={rows.map((row) => ({ value: row.id, label: label(row) }))}
                  onChange={(id: string) => change({ ...map, ...Object.fromEntries(sources.map((source) => [source, id])) })}
                />
              </td>
            </tr>
          )
        })}
      </tbody>
    </table>
  )
}
