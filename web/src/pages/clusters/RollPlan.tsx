// SPDX-License-Identifier: Apache-2.0
// What a rolling maintenance would do: hosts in their order, what moves where, what cannot be emptied and why. Looked at before it begins.
import type { Obj } from '../../api/client'
import { tell } from '../../kit/error/ErrorBox'
import { Name } from '../../kit/Name'
import { Glyph } from '../../kit/state/glyphs'
import { useView } from '../../live/view'
import { t } from '../../texts'

interface Move { to_name?: string }
interface Plan { possible: boolean; hosts: { host: string; name: string; moves?: Move[]; refused?: string }[]; skipped?: { host: string; name: string; reason?: string }[] }

const MADE_OF = ['Host', 'Vm', 'AffinityRule']
const SHOWN = 8

const targets = (moves: Move[]) => [...new Set(moves.map((move) => move.to_name ?? '-'))]

export default function RollPlan({ objects }: { objects: Obj[] }) {
  const { value, error } = useView<Plan>(objects.length === 1 ? `/clusters/${objects[0]!.id}/maintenance_plan` : undefined, MADE_OF)
  if (objects.length !== 1) return null
  return (
    <div className="review" aria-busy={!value && !error} data-test="roll-plan">
      {error ? <span className="warnword">{tell(error).message}</span> : !value ? t('loading') : (
        <>
          <div className={value.possible ? 'soft' : 'warnword'}>{value.possible ? t('plan_order') : t('plan_not')}</div>
          <ol className="rollplan">
            {value.hosts.slice(0, SHOWN).map((one) => (
              <li key={one.host}>
                <Glyph name={one.refused ? 'cross' : 'tick'} colour={one.refused ? 'bad' : 'ok'} /> <Name text={one.name} max={28} />{' '}
                <span className={one.refused ? 'warnword' : 'faint'}>{one.refused ?? (one.moves?.length ? t('plan_moves', { n: one.moves.length, to: targets(one.moves).slice(0, 2).join(', ') + (targets(one.moves).length > 2 ? ' …' : '') }) : t('plan_empty'))}</span>
              </li>
            ))}
            {value.hosts.length > SHOWN && <li className="faint">{t('and_more', { n: value.hosts.length - SHOWN })}</li>}
          </ol>
          {!!value.skipped?.length && <div className="soft">{t('plan_skipped')}: {value.skipped.slice(0, SHOWN).map((one) => one.name).join(', ')}</div>}
        </>
      )}
    </div>
  )
}
