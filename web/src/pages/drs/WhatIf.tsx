// SPDX-License-Identifier: Apache-2.0
// What would become of a cluster: hosts that fail, virtual machines more, a rule more. The question stands in the URL, with the names of the
// API; the answer is a picture of the hosts before and after, and who would not find a place. Nothing is done.
import { useState } from 'react'
import { Button, Checkbox, InputNumber, Segmented, Select } from 'antd'
import { fieldsOf, word, wordTitle } from '../../api/contract'
import type { DrsHost, DrsStatus, FitAnswer, WhatIfAnswer } from '../../api/generated/types'
import { Card } from '../../kit/Details'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { Labelled } from '../../kit/form/Fields'
import { BytesInput, RefsSelect } from '../../kit/form/inputs'
import { count } from '../../kit/format'
import { Name, Ref } from '../../kit/Name'
import { labelOf } from '../../kit/Value'
import { Glyph } from '../../kit/state/glyphs'
import { useRows } from '../../live/store'
import { useView } from '../../live/view'
import { setParams, useSearch } from '../../router'
import { t } from '../../texts'
import type { TabProps } from '../registry'
import { BeforeAfter } from './Bars'
import { settings } from './Settings'

const MADE_OF = ['Host', 'Vm', 'Cluster', 'AffinityRule']
const KEYS = ['lost', 'vms', 'vcpus', 'memory_bytes', 'cpu_percent', 'rule_kind', 'rule_vms', 'rule_hosts', 'rule_min_domains'] as const
const SIZE = ['vcpus', 'memory_bytes'] as const
const GIB = 1024 ** 3
const DEFAULT = { vcpus: 2, memory_bytes: 4 * GIB, cpu_percent: 20, hosts_lost: 1 }
const MOST = 200
const NEW = '+' // how the manager calls the VMs that are not there yet

const ids = (text: string) => (text ? text.split(',') : [])

export default function WhatIf({ object: cluster }: TabProps) {
  const asked = new URLSearchParams(useSearch())
  const of = (name: string) => asked.get(name) ?? ''
  const lost = ids(of('lost'))
  const rule = of('rule_kind')
  const runsOn = rule.includes('run_on')
  const named = ids(of('rule_vms')).length > 0 && (!runsOn || ids(of('rule_hosts')).length > 0)
  const sized = (query: URLSearchParams) => SIZE.forEach((name) => query.set(name, of(name) || String(DEFAULT[name])))
  const query = new URLSearchParams(KEYS.filter((name) => of(name) && (named || !name.startsWith('rule_'))).map((name) => [name, of(name)]))
  const any = lost.length > 0 || Number(of('vms')) > 0 || (!!rule && named)
  sized(query)
  const before = useView<DrsStatus>(`/clusters/${cluster.id}/drs_status`, MADE_OF)
  const after = useView<WhatIfAnswer>(any ? `/clusters/${cluster.id}/what_if?${query}` : undefined, MADE_OF)
  return (
    <div className="whatif">
      <Question cluster={cluster.id} of={of} runsOn={runsOn} any={any} />
      <div className="stack">
        <Card title={t('answer')}>
          {after.error ? <ErrorBox error={tell(after.error)} /> : any && after.value ? <Verdict answer={after.value} of={of} asking={after.asking} /> : <p className={any ? 'faint' : 'allwell'} aria-busy={any}>{any ? t('loading') : t('what_if_lead')}</p>}
        </Card>
        <Card title={t('before_after')}>
          <Picture before={before.value && (before.value.hosts ?? [])} after={any && !after.error ? after.value?.hosts : undefined} lost={lost} limits={settings('ClusterDrs', cluster.drs)} />
        </Card>
        {any && after.value && after.value.moves!.length > 0 && <Card title={t('moves_then', { n: after.value.moves!.length })}><Moves answer={after.value} /></Card>}
      </div>
    </div>
  )
}

/* ---- the question ---- */

function Question({ cluster, of, runsOn, any }: { cluster: string; of: (name: string) => string; runsOn: boolean; any: boolean }) {
  const hosts = useRows('hosts', { filter: `cluster=${cluster}`, fields: 'name,cluster' }, 1000)
  const here = new Set(hosts.rows.map((row) => row.id))
  const put = (name: string) => (value: unknown) => setParams({ [name]: value == null ? '' : String(value) })
  const kinds = fieldsOf('AffinityRule').kind?.e ?? []
  return (
    <div className="stack">
      <Card title={t('what_if')} actions={<Button size="small" type="text" disabled={!any} onClick={() => setParams(Object.fromEntries(KEYS.map((name) => [name, ''])))}>{t('start_over')}</Button>}>
        <div className="stack">
          <p className="soft">{t('tick_hosts')}</p>
          <Labelled label={t('vms_more')} id="more-vms"><InputNumber id="more-vms" min={0} max={10000} value={of('vms') ? Number(of('vms')) : null} placeholder="0" onChange={put('vms')} /></Labelled>
          <div className="sizes">
            <Labelled label="vCPU" id="more-vcpus"><InputNumber id="more-vcpus" min={1} max={512} value={Number(of('vcpus') || DEFAULT.vcpus)} onChange={put('vcpus')} /></Labelled>
            <Labelled label={t('memory')} id="more-memory"><BytesInput id="more-memory" value={Number(of('memory_bytes') || DEFAULT.memory_bytes)} onChange={put('memory_bytes')} /></Labelled>
            <Labelled label={t('how_busy')} id="more-busy"><InputNumber id="more-busy" min={0} max={100} suffix="%" value={Number(of('cpu_percent') || DEFAULT.cpu_percent)} onChange={put('cpu_percent')} /></Labelled>
          </div>
          <Labelled label={t('rule_more')} id="more-rule">
            <Select id="more-rule" aria-label={t('rule_more')} value={of('rule_kind') || undefined} allowClear placeholder={t('none')} options={kinds.map((kind) => ({ value: kind, label: wordTitle(kind) }))} onChange={put('rule_kind')} popupMatchSelectWidth={false} />
          </Labelled>
          {of('rule_kind') && <Labelled label={t('vms')}><RefsSelect type="Vm" label={t('vms')} value={ids(of('rule_vms'))} among={(row) => here.has(row.host)} onChange={(next) => put('rule_vms')(next.join())} /></Labelled>}
          {of('rule_kind').includes('spread') && <Labelled label={labelOf('AffinityRule', 'min_domains')} id="more-domains"><InputNumber id="more-domains" min={2} max={4096} value={of('rule_min_domains') ? Number(of('rule_min_domains')) : null} placeholder="2" onChange={put('rule_min_domains')} /></Labelled>}
          {runsOn && <Labelled label={t('hosts')}><RefsSelect type="Host" label={t('hosts')} filter={`cluster=${cluster}`} value={ids(of('rule_hosts'))} onChange={(next) => put('rule_hosts')(next.join())} /></Labelled>}
        </div>
      </Card>
      <Fit cluster={cluster} vcpus={of('vcpus') || String(DEFAULT.vcpus)} memory={of('memory_bytes') || String(DEFAULT.memory_bytes)} />
    </div>
  )
}

/** How many more VMs of this size fit. */
function Fit({ cluster, vcpus, memory }: { cluster: string; vcpus: string; memory: string }) {
  const [lost, setLost] = useState(DEFAULT.hosts_lost)
  const { value, error, asking } = useView<FitAnswer>(`/clusters/${cluster}/fit?${new URLSearchParams({ vcpus, memory_bytes: memory, hosts_lost: String(lost) })}`, MADE_OF)
  return (
    <Card title={t('fit_title')}>
      <div className="stack">
        <Labelled label={t('hosts_may_fail')}><Segmented aria-label={t('hosts_may_fail')} options={[0, 1, 2]} value={lost} onChange={setLost} data-test="fit-lost" /></Labelled>
        {error ? <ErrorBox error={tell(error)} /> : value && (
          <div data-test="fit" aria-busy={asking}>
            <p className="bignumber"><b>{count(value.fit)}</b> {t('more_fit', { n: value.fit ?? 0 })}</p>
            <ul className="plan">
              {lost > 0 && <li>{t('fit_now', { n: count(value.fit_now) })}</li>}
              {value.limited_by && value.limited_by !== 'none' && <li>{t(value.limited_by === 'memory' ? 'limited_memory' : 'limited_vcpus')}</li>}
              {!!value.worst?.length && <li>{t('worst_loss', { hosts: value.worst.join(', ') })}</li>}
              {lost > 0 && <li className={value.survives ? undefined : 'warnword'}>{t(value.survives ? 'survives' : 'survives_not')}</li>}
            </ul>
          </div>
        )}
        <p className="faint">{t('fit_help')}</p>
      </div>
    </Card>
  )
}

/* ---- the answer ---- */

/** `asking`: of what was asked before; the next answer is awaited. */
function Verdict({ answer, of, asking }: { answer: WhatIfAnswer; of: (name: string) => string; asking: boolean }) {
  const wanted = Number(of('vms') || 0)
  const unplaced = Math.max(0, wanted - (answer.placed ?? 0))
  const stranded = answer.stranded ?? []
  const homeless = stranded.length > 0 || unplaced > 0
  return (
    <div className="stack" data-test="verdict" aria-busy={asking} data-feasible={String(!!answer.feasible)}>
      <p className="verdict"><Glyph name={answer.feasible ? 'tick' : 'cross'} colour={answer.feasible ? 'ok' : 'bad'} size={20} /> {answer.feasible ? t('all_find_place') : homeless ? t('not_all') : t('rule_would_break')}</p>
      <ul className="plan">
        {!!answer.restarted && <li>{t('restarted_elsewhere', { n: answer.restarted })}</li>}
        {wanted > 0 && <li>{t('new_placed', { n: answer.placed ?? 0, of: wanted })}</li>}
        {!!answer.moves?.length && <li>{t('moves_then', { n: answer.moves.length })}</li>}
      </ul>
      {homeless && (
        <div>
          <h3>{t('no_place')}</h3>
          <ul className="names" data-test="stranded">
            {stranded.slice(0, MOST).map((name) => <li key={name}><Glyph name="cross" colour="bad" size={14} /> <Name text={name} max={32} /></li>)}
            {stranded.length > MOST && <li className="faint">{t('and_more', { n: stranded.length - MOST })}</li>}
            {unplaced > 0 && <li><Glyph name="cross" colour="bad" size={14} /> {t('n_new', { n: unplaced })}</li>}
          </ul>
        </div>
      )}
      {!!answer.reasons?.length && <div><h3>{t('reason')}</h3><ul className="plan">{answer.reasons.map((why) => <li key={why} dir="auto">{why}</li>)}</ul></div>}
    </div>
  )
}

function Picture({ before, after, lost, limits }: { before: DrsHost[] | undefined; after: DrsHost[] | undefined; lost: string[]; limits: Record<string, any> }) {
  const then = new Map(after?.map((host) => [host.host, host]))
  const fails = (id: string | undefined, yes: boolean) => setParams({ lost: (yes ? [...lost, id] : lost.filter((one) => one !== id)).join() })
  if (!before?.length) return <p className="faint" aria-busy={!before}>{before ? t('none') : t('loading')}</p>
  return (
    <>
      <div className="tablebox free" tabIndex={0} role="region" aria-label={t('before_after')}>
        <table className="plain hostswanted">
          <thead><tr><th>{t('fails')}</th><th>{t('host')}</th><th className="number">{t('vms')}</th><th>CPU</th><th>{t('memory')}</th></tr></thead>
          <tbody>
            {before.slice(0, MOST).map((host) => {
              const gone = lost.includes(host.host!)
              const next = gone ? undefined : then.get(host.host)
              const now = after ? next : host
              return (
                <tr key={host.host} data-host={host.host} className={gone ? 'lost' : undefined}>
                  <td><Checkbox checked={gone} aria-label={`${t('fails')}: ${host.name}`} onChange={(e) => fails(host.host, e.target.checked)} /></td>
                  <td><Ref id={host.host} max={36} />{!host.in_service && <span className="tag after">{t('out_of_service')}</span>}</td>
                  <td className="number nums"><span className="faint">{count(host.vms)}</span> → {gone ? 0 : count(now?.vms)}</td>
                  <td><BeforeAfter label={`${host.name} CPU`} before={host.cpu_percent} after={gone ? undefined : now?.cpu_percent} limit={limits.cpu_percent} /></td>
                  <td><BeforeAfter label={`${host.name} ${t('memory')}`} before={host.memory_percent} after={gone ? undefined : now?.memory_percent} limit={limits.memory_percent} /></td>
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
      {before.length > MOST && <p className="faint">{t('and_more', { n: before.length - MOST })}</p>}
      <p className="legend faint"><i className="keywas" />{t('key_before')} <i className="keybar" />{t('key_after')} <i className="keylimit" />{t('key_limit')}</p>
    </>
  )
}

function Moves({ answer }: { answer: WhatIfAnswer }) {
  const moves = answer.moves ?? []
  return (
    <div className="tablebox" tabIndex={0} role="region" aria-label={t('move')}>
      <table className="plain">
        <thead><tr><th>{t('vm')}</th><th>{t('move')}</th><th>{t('reason')}</th></tr></thead>
        <tbody>
          {moves.slice(0, MOST).map((move, i) => (
            <tr key={i}><td>{move.vm === NEW ? t('a_new_vm') : <Name text={move.vm ?? ''} max={36} />}</td><td><span className="fromto"><Name text={move.from ?? ''} max={28} /> <span className="faint">→</span> <Name text={move.to ?? ''} max={28} /></span></td><td>{word(move.reason ?? '')}</td></tr>
          ))}
          {moves.length > MOST && <tr><td colSpan={3} className="faint">{t('and_more', { n: moves.length - MOST })}</td></tr>}
        </tbody>
      </table>
    </div>
  )
}
