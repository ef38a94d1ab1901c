// SPDX-License-Identifier: Apache-2.0
// Emptying a host: what becomes of each VM on it, those that are off too, before anything is started.
import type { ReactNode } from 'react'
import type { Obj } from '../../api/client'
import { Fields } from '../../kit/form/Fields'
import { bytes } from '../../kit/format'
import { Name } from '../../kit/Name'
import { StateGlyph } from '../../kit/state/State'
import type { FormProps } from '../../kit/verbs/forms'
import { may } from '../../live/session'
import { useRows } from '../../live/store'
import { useView } from '../../live/view'
import { t } from '../../texts'

interface Move { vm: string; to_name?: string }
interface Plan { hosts: { host: string; moves?: Move[]; refused?: string }[] }

const SHOWN = 8
const READ = 200
const MADE_OF = ['Host', 'Vm', 'AffinityRule']
const OFF = ['off', 'hibernated']

export default function MaintenanceFields({ objects, value, change }: FormProps) {
  const host = objects.length === 1 ? objects[0] : undefined
  return (
    <>
      {host && <There host={host} moves={value.vms === 'migrate'} offMoves={value.powered_off === 'move'} />}
      <Fields type="HostEnterMaintenance" except={value.vms === 'shut_down' ? [] : ['shut_down_timeout_s']} value={value} change={change} />
    </>
  )
}

function There({ host, moves, offMoves }: { host: Obj; moves: boolean; offMoves: boolean }) {
  const here = `host=${host.id} and management!=in_bin`
  const running = useRows('vms', { filter: `${here} and ${OFF.map((state) => `power.state!=${state}`).join(' and ')}`, sort: '-memory_bytes' }, READ)
  const resting = useRows('vms', { filter: `${here} and power.state=off`, sort: 'name' }, READ)
  const asleep = useRows('vms', { filter: `${here} and power.state=hibernated`, sort: 'name' }, READ)
  const plan = useView<Plan>(host.cluster && moves && may('cluster.read') ? `/clusters/${host.cluster}/maintenance_plan?hosts=${host.id}` : undefined, MADE_OF)
  const turn = plan.value?.hosts.find((one) => one.host === host.id)
  const to = new Map((turn?.moves ?? []).map((move) => [move.vm, move.to_name]))
  const memory = running.rows.reduce((n, row) => n + (row.memory_bytes ?? 0), 0)
  const still = [...resting.rows, ...asleep.rows]
  const nStill = resting.total + asleep.total
  return (
    <div className="review" data-test="maintenance">
      <div className="soft" aria-busy={running.loading}>{running.loading ? t('loading') : running.total ? t('vms_here', { n: running.total, size: bytes(memory) }) : t('no_vms_run_here')}</div>
      {turn?.refused && <div className="warnword" dir="auto">{turn.refused}</div>}
      <Vms rows={running.rows} total={running.total} more={(row) => <>{bytes(row.memory_bytes)}{to.get(row.id) && <> → <Name text={to.get(row.id)!} max={24} /></>}</>} />
      {nStill > 0 && (
        <div data-test="staying">
          <div className="soft">{t(offMoves ? 'off_move_too' : 'off_stay', { n: nStill })}</div>
          <Vms rows={still} total={nStill} more={() => null} />
        </div>
      )}
    </div>
  )
}

function Vms({ rows, total, more }: { rows: Obj[]; total: number; more: (row: Obj) => ReactNode }) {
  return (
    <ul className="names onecolumn">
      {rows.slice(0, SHOWN).map((row) => <li key={row.id} data-id={row.id}><StateGlyph type="Vm" object={row} size={14} /> <Name text={row.name} max={32} /> <span className="faint">{more(row)}</span></li>)}
      {total > SHOWN && <li className="faint">{t('and_more', { n: total - SHOWN })}</li>}
    </ul>
  )
}
