// SPDX-License-Identifier: Apache-2.0
// The value of a field, shown as its kind and unit ask for; in tables and on pages alike.
import type { ReactNode } from 'react'
import { choice, fieldAt, valueAt, word, type Field } from '../api/contract'
import { t } from '../texts'
import { ago, count, left, time, visible, withUnit } from './format'
import { Name, Ref } from './Name'
import { activityText, lookPath, State } from './state/State'

/** Names of hardware and of programs keep their case. */
const plain = (field: Field, value: string) => (word(value) === value && !field.w ? value : choice(field, value))

const NONE = <span className="faint">-</span>

function one(field: Field, value: any, type: string, path: string): ReactNode {
  switch (field.t) {
    case 'bool': return value ? t('yes') : t('no')
    case 'int':
    case 'double': return field.u ? withUnit(value, field.u) : count(value)
    case 'enum': {
      const look = lookPath(type, path)
      return look ? State({ path: look, value }) : plain(field, value)
    }
    case 'ref':
    case 'anyref': return <Ref id={value} />
    case 'time': return <time dateTime={value} title={time(value)}>{ago(value)}</time>
    case 'map': return Object.entries(value).map(([k, v]) => <span className="tag" key={k}><bdi>{visible(k)}</bdi>: <bdi>{visible(String(v))}</bdi></span>)
    case 'object': return value.state !== undefined ? word(String(value.state)) : value.verb ? activityText(value) : value.level ? word(value.level) : value.percent !== undefined ? `${value.percent} %` : <span className="faint">{Object.keys(value).length}</span>
    case 'any': return <span className="mono">{JSON.stringify(value)}</span>
    default: return /^[a-z_]+-\d+$/.test(value) && path !== 'name' ? <Ref id={value} /> : Name({ text: String(value), max: 80 })
  }
}

/** Of a state part (power, health, activity) the state is what people look at. */
const inside = (type: string, path: string): string => {
  const field = fieldAt(type, path)
  return field?.t === 'object' && !field.many && fieldAt(type, path + '.state')?.t === 'enum' ? path + '.state' : path
}

/** Without hooks: lists call it as a function. */
export function Value({ type, path, object }: { type: string; path: string; object: any }): ReactNode {
  const at = inside(type, path)
  const field = fieldAt(type, at)
  const value = valueAt(object, at)
  if (!field || value == null || value === '' || (field.t === 'map' && !Object.keys(value as object).length)) return NONE
  if (at === 'bin_expires' && typeof value === 'string') return <time dateTime={value} title={time(value)}>{left(value)}</time>
  if (!field.many) return one(field, value, type, at)
  if (!Array.isArray(value) || value.length === 0) return NONE
  if (field.t === 'object') return value.length
  return (
    <span className="many">
      {value.slice(0, 12).map((item, i) => <span key={i}>{i > 0 && ', '}{one(field, item, type, at)}</span>)}
      {value.length > 12 && <span className="faint"> {t('and_more', { n: value.length - 12 })}</span>}
    </span>
  )
}

export const isNumber = (field: Field | undefined) => (field?.t === 'int' || field?.t === 'double') && !field.many

/** The head of a column: of "power.state" the whole is called power. */
export function labelOf(type: string, path: string): string {
  if (path === 'id') return 'ID'
  const steps = path.split('.')
  const last = fieldAt(type, path)
  if (steps.length > 1 && (steps.at(-1) === 'state' || steps.at(-1) === 'level')) return fieldAt(type, steps.slice(0, -1).join('.'))?.l ?? path
  return last?.l ?? path
}
