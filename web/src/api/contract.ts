// SPDX-License-Identifier: Apache-2.0
// What the console knows of the API: types, verbs, looks, words; generated from api/ in one file for each language and loaded with it.
import { phrase, setPhrases } from './phrases'

export interface Field {
  /** Label. */
  l: string
  t: 'bool' | 'int' | 'double' | 'string' | 'enum' | 'ref' | 'anyref' | 'time' | 'object' | 'map' | 'any'
  many?: boolean
  /** Description, once help.ts has it; in Chinese of those that their label does not tell. */
  d?: string
  u?: string
  e?: string[]
  /** Words of its choices, where they mean something else here than elsewhere (kit/form/shape). */
  w?: Record<string, string>
  /** Words that may be chosen from (kit/form/shape). */
  offers?: () => { value: string; label: string }[]
  /** Choices that no form offers (kit/form/shape). */
  never?: string[]
  /** Type that it refers to. */
  r?: string
  /** Type of the part. */
  o?: string
  ro?: boolean
  im?: boolean
  req?: boolean
  sec?: boolean
  vol?: boolean
  idx?: boolean
  min?: number
  max?: number
  mult?: number
  items?: number
  fmt?: string
  pat?: string
  def?: unknown
}

export type Danger = 0 | 1 | 2 | 3

export interface Op {
  name: string
  kind: 'list' | 'get' | 'create' | 'update' | 'delete' | 'verb' | 'collection_verb'
  l: string
  d?: string
  right: string
  /** Of an update: fields that take a right of their own too. */
  fields?: Record<string, string>
  danger?: Danger
  activity?: string
  task?: boolean
  /** Values of enums at which it is allowed. */
  allowed?: Record<string, string[]>
  /** Type of its body. */
  body?: string
}

export interface Resource {
  type: string
  prefix: string
  one: string
  many: string
  columns: string[]
  ops: Op[]
  history?: boolean
}

export interface Look { glyph: string; colour: string }

interface Contract {
  types: Record<string, Record<string, Field>>
  resources: Record<string, Resource>
  looks: Record<string, Record<string, Look>>
  words: Record<string, string>
  texts: Record<string, [string, string?]>
  errors: Record<string, [string, string?]>
}

let contract: Contract = { types: {}, resources: {}, looks: {}, words: {}, texts: {}, errors: {} }
let pluralByPrefix: Record<string, string> = {}
let pluralByType: Record<string, string> = {}
const fieldsAt = new Map<string, Field | undefined>()

export async function loadContract(language: string): Promise<void> {
  contract = (language === 'zh' ? await import('./generated/contract.zh.json') : await import('./generated/contract.en.json')).default as unknown as Contract
  pluralByPrefix = {}
  pluralByType = {}
  fieldsAt.clear()
  for (const [plural, resource] of Object.entries(contract.resources)) {
    pluralByPrefix[resource.prefix] = plural
    pluralByType[resource.type] = plural
  }
  setPhrases({})
  if (language === 'zh') void import('./generated/phrases.zh.json').then((file) => setPhrases(file.default), () => undefined) // nobody waits for it
}

export const resources = () => contract.resources
export const resource = (plural: string): Resource | undefined => contract.resources[plural]
export const fieldsOf = (type: string): Record<string, Field> => contract.types[type] ?? {}
export const pluralOfType = (type: string): string | undefined => pluralByType[type]
/** "vm-7" is one of "vms". */
export const pluralOf = (id: string): string | undefined => pluralByPrefix[id.slice(0, id.lastIndexOf('-'))]
export const typeOf = (id: string): string | undefined => contract.resources[pluralOf(id) ?? '']?.type

/** The field at a dotted path of a type, such as Vm and cpu.vcpus. */
export function fieldAt(type: string, path: string): Field | undefined {
  const key = type + '.' + path
  const known = fieldsAt.get(key)
  if (known || fieldsAt.has(key)) return known
  let field: Field | undefined
  let fields: Record<string, Field> | undefined = fieldsOf(type)
  for (const step of path.split('.')) {
    field = fields?.[step]
    fields = field?.o ? fieldsOf(field.o) : undefined
  }
  if (fieldsAt.size < 5000) fieldsAt.set(key, field) // paths that people type, too
  return field
}

/** What stands at a dotted path of an object. */
export function valueAt(object: unknown, path: string): unknown {
  let at: any = object
  for (const step of path.split('.')) {
    if (at == null) return undefined
    at = at[step]
  }
  return at
}

/** A word of the API (a state, an activity, a choice) in the user's language. */
export const word = (name: string): string => contract.words[name] ?? name.replace(/_/g, ' ')
/** The same at the beginning of a line: verbs are kept in lower case, as they stand inside of sentences. */
export const wordTitle = (name: string): string => {
  const text = word(name)
  return /^[a-z][a-z ]*$/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text
}

/** A choice of a field, as people read it. */
export const choice = (field: Field | undefined, value: string): string => field?.w?.[value] ?? wordTitle(value)

/** A state at a path such as "Vm.power.state", as it stands in a table. */
export function wordAt(path: string, value: string): string {
  const dot = path.indexOf('.')
  return fieldAt(path.slice(0, dot), path.slice(dot + 1))?.w?.[value] ?? word(value)
}

/** The label of a field by its own name, wherever in the type it is. */
export function labelAnywhere(type: string, name: string): string {
  const fields = fieldsOf(type)
  if (fields[name]) return fields[name]!.l
  for (const part of Object.values(fields)) if (part.o && fieldsOf(part.o)[name]) return fieldsOf(part.o)[name]!.l
  return name
}

export const look = (path: string, value: string): Look => contract.looks[path]?.[value] ?? { glyph: 'circle', colour: 'off' }
export const hasLook = (path: string): boolean => path in contract.looks
/** What a task does, by its kind: "vm_start" is the verb start of VMs. */
export function taskLabel(task: Record<string, any>): string {
  for (const r of Object.values(contract.resources)) {
    const snake = r.type.replace(/(?<!^)([A-Z])/g, '_$1').toLowerCase() + '_'
    if (!task.kind?.startsWith(snake)) continue
    const op = r.ops.find((o) => snake + o.name === task.kind)
    if (op) return ['create', 'update', 'delete'].includes(op.name) && !op.l.includes(r.one) ? `${op.l} ${r.one}` : op.l
  }
  return word(task.verb ?? task.kind ?? '')
}

export const opOf = (plural: string, name: string): Op | undefined => contract.resources[plural]?.ops.find((o) => o.name === name)

/** Parameters that are pieces of sentences; of the others, names, only what has several words may be one. */
const PIECES = new Set(['expected', 'reason', 'reasons', 'what', 'verb', 'need', 'operation', 'state', 'change'])
const NAMES = new Set(['object', 'user', 'provider'])

function param(name: string, value: string): string {
  const said = contract.words[value]
  return said ?? (PIECES.has(name) || (NAMES.has(name) && value.includes(' ')) ? phrase(value) : value)
}

const fill = (text: string, params: Record<string, unknown>) =>
  text.replace(/\{(\w+)\}/g, (whole, name) => (params[name] === undefined ? whole : param(name, String(params[name]))))

/** A sentence of a log or an event. */
export function sentence(name: string | undefined, params: Record<string, unknown> = {}): string {
  const text = name ? contract.texts[name] : undefined
  return text ? fill(text[0], params) : name ?? ''
}

/** What a kind of alarm means, and what to do. */
export function alarmTexts(kind: unknown): { means: string; hint?: string } {
  const text = contract.texts[`alarm_${String(kind)}`]
  return { means: text?.[0] ?? '', hint: text?.[1] }
}

/** An error as tasks keep it. */
export function failure(code: string, params: Record<string, unknown> = {}): { message: string; hint?: string } {
  const text = contract.errors[code]
  return text ? { message: fill(text[0], params), hint: text[1] && fill(text[1], params) } : { message: code }
}
