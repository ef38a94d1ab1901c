// SPDX-License-Identifier: Apache-2.0
// A state as people see it: glyph and word. The server says it, api/looks.yaml says how it looks; nothing is worked out here.
// Nothing here has hooks: lists call these as functions, since a component for each would cost more than what it shows.
import { hasLook, look, valueAt, word, wordAt } from '../../api/contract'
import type { Obj } from '../../api/client'
import { Glyph } from './glyphs'
import { t } from '../../texts'
import { ago, binned } from '../format'

/** Enum that is the state of each type. */
const STATE_PATH: Record<string, string> = { Vm: 'power.state', EndedTask: 'state' }
const LOOKS: Record<string, string> = { EndedTask: 'Task.state', 'PoolHostState.state': 'Pool.state', 'Health.level': 'Alarm.level' }

export const lookPath = (type: string, path: string) => {
  const own = LOOKS[type] ?? LOOKS[`${type}.${path}`] ?? `${type}.${path}`
  return hasLook(own) ? own : undefined
}

/** The facts about an object that its glyph shows: [path of its look, value]. What bars its use is told before what it does. */
export function mainState(type: string, object: Obj): [string, string] | undefined {
  if (type === 'Vm' && object.management && object.management !== 'managed') return ['Vm.management', object.management]
  if (type === 'Host' && object.state === 'connected' && object.mode && object.mode !== 'normal') return ['Host.mode', object.mode]
  const path = STATE_PATH[type] ?? 'state'
  const value = valueAt(object, path)
  if (typeof value === 'string') return [lookPath(type, path) ?? `${type}.${path}`, value]
  if (type === 'Alarm') return ['Alarm.level', object.level]
  return undefined
}

export function StateGlyph({ type, object, size }: { type: string; object: Obj; size?: number }) {
  const state = mainState(type, object)
  const health = object.health?.level
  const busy = object.activity
  const words = [state && wordAt(...state), busy && activityText(busy), health && health !== 'ok' && word(health)].filter(Boolean).join(', ')
  if (!state && !busy && !health) return null
  const shown = state ? look(state[0], state[1]) : { glyph: 'circle', colour: 'off' }
  return (
    <span className={`stateglyph${busy ? ' busy' : ''}`} title={words}>
      {Glyph({ name: shown.glyph, colour: shown.colour, title: words, size })}
      {health && health !== 'ok' && <i className={`badge ${health}`} aria-hidden />}
    </span>
  )
}

export const activityText = (activity: any) => word(activity.verb) + (activity.percent === undefined ? '' : ` ${activity.percent} %`)

/** Glyph and word of one enum. */
export function State({ path, value, soft }: { path: string; value: string | undefined; soft?: boolean }) {
  if (!value) return <span className="faint">-</span>
  const shown = look(path, value)
  return (
    <span className={`state${soft ? ' soft' : ''}`} data-state={value}>
      {Glyph({ name: shown.glyph, colour: shown.colour })}
      <span>{wordAt(path, value)}</span>
    </span>
  )
}

const words = (state: [string, string], object: Obj) =>
  state[1] === 'in_bin' && typeof object.bin_expires === 'string' ? binned(wordAt(...state), object.bin_expires) : wordAt(...state)

/** State, activity and since when: for the head of a page and the column of a list. */
export function ObjectState({ type, object, long }: { type: string; object: Obj; long?: boolean }) {
  const state = mainState(type, object)
  if (object.activity) {
    return (
      <span className="state">
        <Glyph name="dots" colour="busy" />
        <span>{activityText(object.activity)}</span>
      </span>
    )
  }
  if (!state) return null
  const shown = look(...state)
  const since = type === 'Vm' ? object.power?.since : object.state_since
  return (
    <span className="state" data-state={state[1]}>
      {Glyph({ name: shown.glyph, colour: shown.colour })}
      <span>{words(state, object)}</span>
      {long && since && <span className="faint">{t('since', { time: ago(since) })}</span>}
    </span>
  )
}
