// SPDX-License-Identifier: Apache-2.0
// Moves that DRS advises: what, why in the manager's own sentences, and a button. Those that are being done stay until they have ended.
import { useState } from 'react'
import { Button } from 'antd'
import { post, type Obj } from '../../api/client'
import type { DrsRecommendationExplainResult } from '../../api/generated/types'
import { fieldsOf, opOf, word } from '../../api/contract'
import { useHelp } from '../../api/help'
import { Card } from '../../kit/Details'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { ago, bytes, count, duration, percent, withUnit } from '../../kit/format'
import { Ref } from '../../kit/Name'
import { Said } from '../../kit/Said'
import { Glyph, Icon } from '../../kit/state/glyphs'
import { State } from '../../kit/state/State'
import { toastError } from '../../kit/toast'
import { refusal } from '../../kit/verbs/check'
import { useForecasts } from '../../kit/verbs/foretold'
import { ask } from '../../kit/verbs/run'
import { may } from '../../live/session'
import { useObject } from '../../live/store'
import { useView } from '../../live/view'
import { t } from '../../texts'
import Forecast from '../vms/Forecast'
import { ends, isOf, Moved, type Kind } from './Moved'

const DISK_FIGURES = 3 // the same of a disk: what is copied, both pools
const FIGURES = 4 // sentences of the manager between the reason and the alternatives: what the VM wants, both hosts, what it saves

const seconds = (value: number | undefined) => withUnit(value ?? 0, 's')
const threads = (value: number | undefined) => count(value === undefined ? value : Number(value.toFixed(value < 10 ? 1 : 0)))

/** What the move would take, as far as it may be asked for and nothing stands against it now. */
function Foretold({ advice }: { advice: Obj }) {
  const ofDisk = isOf(advice, 'storage')
  const args = () => (ofDisk ? { disks: [{ key: advice.disk, pool: advice.to_pool }] } : { host: advice.to })
  const forecasts = useForecasts('vms', opOf('vms', ofDisk ? 'migrate_storage' : 'migrate')!, [{ id: advice.vm } as Obj], args, advice.state === 'pending' && may('vm.migrate'))
  return forecasts.length > 0 ? <Forecast forecasts={forecasts} of={1} /> : null
}

/** Why a move is advised: the reason, the figures that it was decided on, the hosts that were weighed as well. Figures are in the record itself; told
 * here with their units. */
export function Why({ advice }: { advice: Obj }) {
  const { value, error } = useView<DrsRecommendationExplainResult>(`/drs-recommendations/${advice.id}/explain`, [])
  if (error) return <ErrorBox error={tell(error)} />
  const lines = value?.lines ?? []
  const { effect, alternatives = [] } = advice
  const ofDisk = isOf(advice, 'storage')
  const others = alternatives.map((one: any, i: number) => {
    if (one.refused) return lines[1 + (effect ? (ofDisk ? DISK_FIGURES : FIGURES) : 0) + i] ?? ''
    return ofDisk ? t('would_be_used', { pool: one.pool, percent: percent(one.space_after) }) : t('would_save', { host: one.host, gain: seconds(one.gain) })
  })
  return (
    <div className="why" data-test="why" aria-busy={!value}>
      <p className="reason" dir="auto">{lines[0]}</p>
      {effect && ofDisk && (
        <ul className="plan">
          <li>{t('why_disk', { disk: advice.disk, vm: advice.vm_name, size: bytes(effect.disk_bytes) })}</li>
          {(['from', 'to'] as const).map((side, i) => (
            <li key={side}><Said text={t('why_pool', { before: percent(effect[`${side}_space_before`]), after: percent(effect[`${side}_space_after`]) })} parts={{ pool: <Ref id={ends(advice)[i]} max={32} /> }} /></li>
          ))}
        </ul>
      )}
      {effect && !ofDisk && (
        <ul className="plan">
          <li>{t('why_vm', { vm: advice.vm_name, cpu: threads(effect.vm_cpu), forecast: threads(effect.vm_cpu_forecast), memory: bytes(effect.vm_memory_bytes) })}</li>
          {(['from', 'to'] as const).map((side) => (
            <li key={side}>
              <Said
                text={t('why_host', { cpu_before: percent(effect[`${side}_cpu_before`]), cpu_after: percent(effect[`${side}_cpu_after`]), memory_before: percent(effect[`${side}_memory_before`]), memory_after: percent(effect[`${side}_memory_after`]) })}
                parts={{ host: <Ref id={advice[side]} max={32} /> }}
              />
            </li>
          ))}
          <li>{t('why_gain', { gain: seconds(effect.gain), cost: seconds(effect.cost) })}</li>
        </ul>
      )}
      {others.length > 0 && <><h3>{t('weighed_too')}</h3><ul className="plan">{others.map((line: string, i: number) => <li key={i} dir="auto">{line}</li>)}</ul></>}
      <Foretold advice={advice} />
      {advice.note && <p dir="auto">{advice.note}</p>}
    </div>
  )
}

/** CPU of both hosts, or space of both pools, before and after. */
export function Effect({ effect, of }: { effect: any; of: 'cpu' | 'space' }) {
  if (!effect) return <span className="faint">-</span>
  return (
    <span className="nums effect">
      <span title={fieldsOf('DrsEffect')[`from_${of}_before`]?.l}>{percent(effect[`from_${of}_before`])} → {percent(effect[`from_${of}_after`])}</span>
      <span className="faint">|</span>
      <span title={fieldsOf('DrsEffect')[`to_${of}_before`]?.l}>{percent(effect[`to_${of}_before`])} → {percent(effect[`to_${of}_after`])}</span>
    </span>
  )
}

function Row({ advice }: { advice: Obj }) {
  const [open, setOpen] = useState(false)
  const { object: task } = useObject(advice.task)
  const op = opOf('drs-recommendations', 'accept')!
  const refused = refusal(op, advice)
  const pending = advice.state === 'pending'
  const ofDisk = isOf(advice, 'storage')
  return (
    <>
      <tr data-advice={advice.id} data-state={advice.state} className={open ? 'at' : undefined}>
        <td><Button size="small" type="text" aria-expanded={open} aria-label={t('why')} title={t('why')} icon={<Icon name={open ? 'down' : 'right'} size={12} />} onClick={() => setOpen(!open)} data-test="explain" /></td>
        <td><Ref id={advice.vm} max={32} /></td>
        <td><Moved advice={advice} max={28} /></td>
        <td>{word(advice.reason)}</td>
        <td><Effect effect={advice.effect} of={ofDisk ? 'space' : 'cpu'} /></td>
        <td className="number">{!advice.effect ? '-' : ofDisk ? bytes(advice.effect.disk_bytes) : seconds(advice.effect.gain)}</td>
        <td className="number">
          {pending
            ? <Button size="small" type="primary" ghost disabled={!!refused} title={refused} onClick={() => ask('drs-recommendations', op, [advice])} data-test="accept">{op.l}</Button>
            : <span className="fromto"><State path="DrsRecommendation.state" value={advice.state} />{task && <span className="nums">{percent(task.progress ?? 0)}</span>}</span>}
        </td>
      </tr>
      {open && <tr className="below"><td /><td colSpan={6}><Why advice={advice} /></td></tr>}
    </>
  )
}

const inOrder = (a: Obj, b: Obj) => a.wave - b.wave || a.step - b.step

const wordsOf = (kind: Kind) => (kind === 'storage'
  ? { off: t('advises_no_disks'), none: t('no_disk_advised'), effect: t('space_effect'), effectHelp: t('space_effect_help'), cost: t('copies'), costHelp: t('copies_help') }
  : { off: t('advises_rules_only'), none: t('nothing_advised'), effect: t('effect'), effectHelp: t('effect_help'), cost: t('saves'), costHelp: t('saves_help') })

function Advice({ rows, loading, level, kind }: Pick<RecommendationsProps, 'rows' | 'loading' | 'level' | 'kind'>) {
  const words = wordsOf(kind)
  if (loading && !rows.length) return <p className="faint" aria-busy>{t('loading')}</p>
  if (!rows.length) return <p className="allwell"><Glyph name="tick" colour="ok" /> {level === 'off' ? words.off : words.none}</p>
  return (
    <div className="tablebox free" tabIndex={0} role="region" aria-label={t('recommendations')}>
      <table className="plain">
        <thead><tr><th aria-label={t('why')} /><th>{t('vm')}</th><th>{t('move')}</th><th>{t('reason')}</th><th title={words.effectHelp}>{words.effect}</th><th className="number" title={words.costHelp}>{words.cost}</th><th aria-label={t('verbs')} /></tr></thead>
        <tbody>{[...rows].sort(inOrder).map((advice) => <Row key={advice.id} advice={advice} />)}</tbody>
      </table>
    </div>
  )
}

/** A verb of all recommendations of a cluster. */
function ClusterVerb({ cluster, name, body, icon, n, done, primary }: { cluster: string; name: string; body?: Record<string, string>; icon: string; n?: number; done: () => void; primary?: boolean }) {
  useHelp()
  const [busy, setBusy] = useState(false)
  const op = opOf('drs-recommendations', name)!
  const refused = refusal(op, undefined)
  const run = async () => {
    setBusy(true)
    try {
      await post(`/drs-recommendations/${name}`, { cluster, ...body })
      done()
    } catch (error) {
      toastError(tell(error), op.l)
    }
    setBusy(false)
  }
  return (
    <Button size="small" type={primary ? 'primary' : 'default'} loading={busy} disabled={!!refused || n === 0} title={refused ?? op.d} icon={<Icon name={icon} size={12} />} onClick={() => void run()} data-test={name}>
      {n ? `${op.l} (${n})` : op.l}
    </Button>
  )
}

interface RecommendationsProps { kind: Kind; cluster: string; status: { looked?: string; next?: string } | undefined; again: () => void; rows: Obj[]; loading: boolean; level: string | undefined }

/** When it was looked, what came of it, and the buttons for all of it. */
export function Recommendations({ kind, cluster, status, again, rows, loading, level }: RecommendationsProps) {
  const pending = rows.filter((row) => row.state === 'pending').length
  return (
    <Card wide title={t('recommendations')} actions={<>
      <span className="faint">{status?.looked ? t('looked', { time: ago(status.looked) }) : ''}{status?.next ? ` · ${t('looks_again', { time: duration(Math.max(0, Date.parse(status.next) - Date.now())) })}` : ''}</span>
      <ClusterVerb cluster={cluster} name="refresh" icon="restart" done={again} />
      <ClusterVerb cluster={cluster} name="accept_all" body={{ kind }} icon="play" n={pending} done={again} primary={pending > 0} />
    </>}>
      <Advice kind={kind} rows={rows} loading={loading} level={level} />
    </Card>
  )
}
