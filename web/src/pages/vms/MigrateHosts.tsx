// SPDX-License-Identifier: Apache-2.0
// The hosts that VMs could go to: those of their own cluster first, all others after, found by name; one that cannot take them says why.
import { useEffect, useRef, useState } from 'react'
import { Input } from 'antd'
import { ApiError, dryRun, quoted, type Obj } from '../../api/client'
import { phrase } from '../../api/phrases'
import { word } from '../../api/contract'
import { bytes, percent } from '../../kit/format'
import { Name } from '../../kit/Name'
import { Icon } from '../../kit/state/glyphs'
import { StateGlyph } from '../../kit/state/State'
import { useList, useListState, useName, useObject, useRows } from '../../live/store'
import { t } from '../../texts'

const SHOWN = 50
/** So many are asked about before one is chosen, two at a time: each answer is the work of two hosts. */
const ASKED = 12
const LANES = 2
const REST_MS = 500
const FIELDS = 'name,state,mode,activity,health,load,cluster'
const HOSTS = 20000

/** The cluster of all these hosts; null: they are of several, or of none. */
function useCluster(hosts: string[]): string | null | undefined {
  const { object, error } = useObject(hosts.length === 1 ? hosts[0] : undefined)
  const { rows, loading } = useRows(hosts.length > 1 ? 'hosts' : undefined, { fields: 'cluster' }, HOSTS)
  if (!hosts.length) return null
  if (hosts.length === 1) return object ? object.cluster ?? null : error ? null : undefined
  if (loading) return undefined
  const clusters = new Set(rows.filter((row) => hosts.includes(row.id)).map((row) => row.cluster))
  return clusters.size === 1 ? [...clusters][0] ?? null : null
}

/** Hosts by load; once they are there they stay where they are, whatever their load becomes. */
function useHosts(filter: string | null) {
  const query = useList(filter === null ? undefined : 'hosts', { filter: filter || undefined, sort: 'load.cpu_percent', fields: FIELDS }, SHOWN)
  if (query) query.held = true
  return useListState(query)
}

/** What the manager says to a move there: '' nothing against it. What is in the way may be no more once networks or pools are chosen. */
function useObjections(vm: Obj | undefined, hosts: string[]): Map<string, string> {
  const [said, setSaid] = useState(new Map<string, string>())
  const known = useRef(new Map<string, string>())
  const key = hosts.join()
  useEffect(() => {
    if (!vm) return
    let here = true
    const waiting = hosts.filter((host) => !known.current.has(host))
    const lane = async () => {
      for (let host = waiting.shift(); host && here; host = waiting.shift()) {
        const why = await dryRun('POST', `/vms/${vm.id}/migrate`, { host }).then(() => '', (error) => (error instanceof ApiError ? (error.params.reasons ? phrase(error.params.reasons) : error.message) : ''))
        known.current.set(host, why)
        if (here) setSaid(new Map(known.current))
      }
    }
    const timer = setTimeout(() => {
      for (let i = 0; i < LANES; i++) void lane()
    }, REST_MS)
    return () => {
      here = false
      clearTimeout(timer)
    }
  }, [vm?.id, key])
  return said
}

export function MigrateHosts({ objects, chosen, choose }: { objects: Obj[]; chosen?: string; choose: (host: string | undefined) => void }) {
  const [text, setText] = useState('')
  const single = objects.length === 1 ? objects[0] : undefined
  const here = [...new Set(objects.map((vm) => vm.host as string | undefined).filter((host): host is string => !!host))]
  const cluster = useCluster(here)
  const named = text.trim() ? `name~${quoted(text.trim())}` : ''
  const near = useHosts(cluster ? [`cluster=${cluster}`, named].filter(Boolean).join(' and ') : null)
  const far = useHosts(cluster === undefined ? null : [cluster && `cluster!=${cluster}`, named].filter(Boolean).join(' and '))
  const offered = (rows: Obj[]) => rows.filter((row) => row.id !== single?.host)
  const against = (row: Obj) => (row.state !== 'connected' ? word(row.state) : row.mode && row.mode !== 'normal' ? word(row.mode) : undefined)
  const objections = useObjections(single, [...offered(near.rows), ...offered(far.rows)].filter((row) => !against(row)).slice(0, ASKED).map((row) => row.id))
  const there = (row: Obj) => (single ? 0 : objects.filter((vm) => vm.host === row.id).length)
  const part = (rows: Obj[], title: string | undefined, others: boolean, more: number) => (
    <>
      {title && rows.length > 0 && <div className="picktitle">{title}</div>}
      {rows.map((row) => <Host key={row.id} row={row} at={chosen === row.id} choose={choose} against={against(row)} objection={chosen === row.id ? undefined : objections.get(row.id)} /* of the chosen one the dialog says what is so now */ there={there(row)} cluster={others ? row.cluster : undefined} />)}
      {more > 0 && <p className="faint">{t('more_hosts', { n: more })}</p>}
    </>
  )
  const loading = cluster === undefined || near.loading && !!cluster || far.loading
  const [own, others] = [cluster ? offered(near.rows) : [], offered(far.rows)]
  return (
    <>
      <Input allowClear size="small" value={text} onChange={(e) => setText(e.target.value)} prefix={<Icon name="search" size={12} />} placeholder={t('find_host')} aria-label={t('find_host')} data-test="find-host" spellCheck={false} />
      <div className="pickhost" role="radiogroup" aria-label={t('target_host')} aria-busy={loading}>
        {!named && <button type="button" role="radio" aria-checked={!chosen} className={chosen ? '' : 'at'} onClick={() => choose(undefined)} data-host=""><Icon name="hosts" size={14} /> {t('host_by_manager')}</button>}
        {part(own, others.length ? t('same_cluster') : undefined, false, cluster ? near.total - near.rows.length : 0)}
        {part(others, cluster && own.length ? t('other_clusters') : undefined, true, far.total - far.rows.length)}
        {!loading && !own.length && !others.length && <p className="faint">{named ? t('none_found') : t('no_other_host')}</p>}
      </div>
    </>
  )
}

interface HostProps { row: Obj; at: boolean; choose: (host: string) => void; against?: string; objection?: string; there: number; cluster?: string }

function Host({ row, at, choose, against, objection, there, cluster }: HostProps) {
  const of = useName(cluster)
  const why = against ?? objection
  return (
    <button type="button" role="radio" aria-checked={at} className={at ? 'at' : ''} disabled={!!against} onClick={() => choose(row.id)} data-host={row.id}>
      <StateGlyph type="Host" object={row} />
      <Name text={row.name} max={30} />
      {of && <span className="faint"><Name text={of} max={20} /></span>}
      {there > 0 && <span className="faint">{t('already_there', { n: there })}</span>}
      <span className="grow" />
      <span className="track"><i className="fill" style={{ width: `${row.load?.cpu_percent ?? 0}%` }} /></span>
      <span className="nums">CPU {percent(row.load?.cpu_percent)}</span>
      <span className="nums">{t('free_memory', { size: bytes(row.load?.memory_available_bytes) })}</span>
      {why && <span className="whynot" dir="auto" data-test="whynot">{why}</span>}
    </button>
  )
}
