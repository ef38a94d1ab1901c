// SPDX-License-Identifier: Apache-2.0
// The words of a filter bar as a filter of the API: "web state:running cpu>2" is name~web and power.state=running and cpu.vcpus>2.
import { quoted } from '../../api/client'
import { fieldAt, fieldsOf, word, type Field } from '../../api/contract'
import { parseBytes } from '../format'

const SHORT: Record<string, Record<string, string>> = {
  Vm: { state: 'power.state', cpu: 'cpu.vcpus', memory: 'memory_bytes', ip: 'guest.ips', os: 'os.variant', load: 'usage.cpu_percent', mac: 'nics.mac' },
  Host: { cpu: 'load.cpu_percent', threads: 'facts.cpu.threads', memory: 'facts.memory_bytes' },
  Pool: { free: 'available_bytes', size: 'capacity_bytes' },
  Volume: { size: 'size_bytes', vm: 'used_by' },
}
const TERM = /^([a-z_.]+)(:|!=|<=|>=|=|<|>|~)(.*)$/i

/** A field of the type, or over one reference of what that refers to: host.cluster. */
function fieldOver(type: string, path: string): Field | undefined {
  const own = fieldAt(type, path)
  const steps = path.split('.')
  for (let i = 1; !own && i < steps.length; i++) {
    const at = fieldAt(type, steps.slice(0, i).join('.'))
    if (at?.t === 'ref' && at.r) return fieldAt(at.r, steps.slice(i).join('.'))
  }
  return own
}

export interface Parsed { filter: string; unknown: string[] }

/** Words, of which those in quotes stay together. */
const split = (text: string) => (text.match(/(?:[^\s"]+|"(?:[^"\\]|\\.)*"?)+/g) ?? []) as string[]

function valueOf(type: string, path: string, text: string): string {
  const bare = text.replace(/^"|"$/g, '')
  const field = fieldOver(type, path)
  if (field?.u === 'bytes') return String(parseBytes(bare) ?? bare)
  if (field?.e) return field.e.find((v) => v === bare || word(v).toLowerCase() === bare.toLowerCase()) ?? bare
  return quoted(bare)
}

export function parse(type: string, text: string): Parsed {
  const terms: string[] = []
  const unknown: string[] = []
  for (const one of split(text)) {
    const m = TERM.exec(one)
    if (!m) {
      terms.push(`${fieldsOf(type).name ? 'name' : fieldsOf(type).target_name ? 'target_name' : fieldsOf(type).object_name ? 'object_name' : 'id'}~${quoted(one.replace(/^"|"$/g, ''))}`)
      continue
    }
    const [, name, op, value] = m as unknown as [string, string, string, string]
    const path = SHORT[type]?.[name] ?? (fieldAt(type, name)?.t === 'object' && fieldAt(type, name + '.state') ? name + '.state' : name)
    const field = fieldOver(type, path)
    if (!field) unknown.push(name)
    else if (value) terms.push(path + (op === ':' ? (['enum', 'ref', 'bool', 'int', 'double'].includes(field.t) ? '=' : '~') : op) + valueOf(type, path, value))
  }
  return { filter: terms.join(' and '), unknown }
}

/** What may stand next in the bar. */
export function complete(type: string, text: string): string[] {
  const last = text.slice(text.lastIndexOf(' ') + 1)
  const m = /^([a-z_.]+):(.*)$/i.exec(last)
  if (m) {
    const path = SHORT[type]?.[m[1]!] ?? m[1]!
    const field = fieldAt(type, path) ?? fieldAt(type, path + '.state')
    return (field?.e ?? []).filter((v) => v.startsWith(m[2]!)).map((v) => `${m[1]}:${v}`)
  }
  if (!last) return []
  const names = [...Object.keys(SHORT[type] ?? {}), ...Object.entries(fieldsOf(type)).filter(([, f]) => f.t !== 'object' && f.t !== 'any').map(([n]) => n)]
  return [...new Set(names)].filter((n) => n.startsWith(last)).slice(0, 8).map((n) => n + ':')
}
