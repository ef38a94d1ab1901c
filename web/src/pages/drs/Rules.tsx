// SPDX-License-Identifier: Apache-2.0
// Affinity rules of a cluster, and which virtual machines break them now.
import type { ReactNode } from 'react'
import { Button } from 'antd'
import type { Obj } from '../../api/client'
import type { AffinityViolation, AffinityViolations } from '../../api/generated/types'
import { opOf, resource, wordTitle } from '../../api/contract'
import { Card, EditButton } from '../../kit/Details'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { CreateDialog } from '../../kit/form/CreateDialog'
import { Name, Ref, To } from '../../kit/Name'
import { closeOverlay, openOverlay } from '../../kit/overlay'
import { Said } from '../../kit/Said'
import { Glyph, Icon } from '../../kit/state/glyphs'
import { refusal } from '../../kit/verbs/check'
import { ask } from '../../kit/verbs/run'
import { useObject, useRows } from '../../live/store'
import { useView } from '../../live/view'
import { t } from '../../texts'
import type { TabProps } from '../registry'

const MADE_OF = ['Vm', 'AffinityRule', 'Host']
const MOST = 500
const SHOWN = 6
export const EDITED = ['name', 'kind', 'enabled', 'vms', 'vm_label', 'hosts', 'host_label', 'min_domains', 'description']

export function useBroken(cluster: string): { items: AffinityViolation[]; known: boolean } {
  const { value } = useView<AffinityViolations>(`/clusters/${cluster}/rule_violations`, MADE_OF)
  return { items: value?.items ?? [], known: !!value }
}

/** What breaks rules, in sentences. */
export function Broken({ items, named }: { items: AffinityViolation[]; named?: boolean }) {
  return (
    <ul className="broken" data-test="broken">
      {items.slice(0, MOST).map((one, i) => (
        <li key={i}>
          <Glyph name="triangle" colour="warn" size={14} title={t('broken')} />
          <span>{named && <><To to={`/affinity-rules/${one.rule}`}><Name text={one.name ?? ''} max={32} /></To>: </>}<Sentence one={one} /></span>
        </li>
      ))}
      {items.length > MOST && <li className="faint">{t('and_more', { n: items.length - MOST })}</li>}
    </ul>
  )
}

/** The manager's own reason is for logs; who and where is told with links. */
function Sentence({ one }: { one: AffinityViolation }) {
  const { object: rule } = useObject(one.rule)
  const parts: Record<string, ReactNode> = { vm: <Ref id={one.vm} max={32} />, host: <Ref id={one.host} max={32} />, other: <Ref id={one.other} max={32} />, domain: <Name text={one.domain ?? ''} max={32} /> }
  const forbids = String(rule?.kind).includes('_not_')
  switch (rule?.kind) {
    case 'keep_together': return <Said text={t('broken_together')} parts={parts} />
    case 'keep_apart': return <Said text={t('broken_apart')} parts={parts} />
    case 'must_spread':
    case 'should_spread': return <Said text={t('broken_spread')} parts={parts} />
    case undefined: return <Said text={t('broken_where')} parts={parts} />
    default: return <Said text={t(forbids ? 'broken_not_there' : 'broken_elsewhere')} parts={parts} />
  }
}

/** Objects and a label, of which a rule is. */
function Members({ ids, label }: { ids: string[] | undefined; label: string | undefined }) {
  if (!ids?.length && !label) return <span className="faint">-</span>
  return (
    <span className="many">
      {label && <span className="tag"><Name text={label} max={30} /></span>}
      {ids?.slice(0, SHOWN).map((id, i) => <span key={id}>{i > 0 && ', '}<Ref id={id} max={24} /></span>)}
      {(ids?.length ?? 0) > SHOWN && <span className="faint"> {t('and_more', { n: ids!.length - SHOWN })}</span>}
    </span>
  )
}

export default function Rules({ object: cluster }: TabProps) {
  const { rows, loading, error, total } = useRows('affinity-rules', { filter: `cluster=${cluster.id}`, sort: 'name' }, MOST)
  const broken = useBroken(cluster.id)
  const create = opOf('affinity-rules', 'create')!
  const refused = refusal(create, undefined)
  const make = () => openOverlay(<CreateDialog plural="affinity-rules" initial={{ cluster: cluster.id }} except={['cluster']} onMade={closeOverlay} />)
  return (
    <div className="cards drs">
      <Card
        wide title={resource('affinity-rules')!.many}
        actions={<Button size="small" type="primary" disabled={!!refused} title={refused} icon={<Icon name="plus" size={12} />} onClick={make} data-test="new-rule">{t('new', { kind: resource('affinity-rules')!.one })}</Button>}
      >
        {error && <ErrorBox error={tell(error)} />}
        {!loading && !rows.length ? <p className="faint">{t('no_rules')}</p> : (
          <div className="tablebox free" tabIndex={0} role="region" aria-label={resource('affinity-rules')!.many}>
            <table className="plain">
              <thead><tr><th>{t('name')}</th><th>{t('kind')}</th><th>{t('vms')}</th><th>{t('hosts')}</th><th>{t('state')}</th><th aria-label={t('verbs')} /></tr></thead>
              <tbody>{rows.map((rule) => <RuleRow key={rule.id} rule={rule} broken={broken.known ? broken.items.filter((one) => one.rule === rule.id) : undefined} />)}</tbody>
            </table>
          </div>
        )}
        {total > rows.length && <p className="faint">{t('and_more', { n: total - rows.length })}</p>}
      </Card>
    </div>
  )
}

/** `broken` is undefined while it is not known. */
function RuleRow({ rule, broken }: { rule: Obj; broken: AffinityViolation[] | undefined }) {
  const remove = opOf('affinity-rules', 'delete')!
  const refused = refusal(remove, rule)
  const state = !rule.enabled ? ['dash', 'off', t('rule_off')] : !broken ? ['dots', 'busy', t('loading')] : broken.length ? ['triangle', 'warn', t('broken')] : ['tick', 'ok', t('kept')]
  return (
    <>
      <tr data-rule={rule.id} className={broken?.length ? 'nobottom' : undefined}>
        <td><To to={`/affinity-rules/${rule.id}`}><Name text={rule.name} max={36} /></To></td>
        <td>{wordTitle(rule.kind)}{String(rule.kind).includes('spread') && <span className="faint"> {t('over_domains', { n: rule.min_domains ?? 2 })}</span>}</td>
        <td><Members ids={rule.vms} label={rule.vm_label} /></td>
        <td><Members ids={rule.hosts} label={rule.host_label} /></td>
        <td><span className="state" data-test="rule-state"><Glyph name={state[0]!} colour={state[1]!} size={14} /> {state[2]}</span></td>
        <td className="number">
          <EditButton plural="affinity-rules" object={rule} only={EDITED} title={rule.name} />
          <Button size="small" type="text" disabled={!!refused} title={refused ?? remove.l} aria-label={`${remove.l} ${rule.name}`} icon={<Icon name="bin" size={13} />} onClick={() => ask('affinity-rules', remove, [rule])} data-test="delete-rule" />
        </td>
      </tr>
      {!!broken?.length && <tr className="below"><td colSpan={6}><Broken items={broken} /></td></tr>}
    </>
  )
}
