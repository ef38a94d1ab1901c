// SPDX-License-Identifier: Apache-2.0
// One cache of objects that all views read. Changes from the link are written into it; nobody keeps a copy.
import { useCallback, useEffect, useState, useSyncExternalStore } from 'react'
import { ApiError, get, list, type Obj, type Query } from '../api/client'
import type { Page } from '../api/generated/types'
import { fieldAt, fieldsOf, pluralOf, resource } from '../api/contract'
import { after, join, link, type Change } from './link'

export interface Entry { object?: Obj; error?: ApiError; gone?: boolean }

const EMPTY: Entry = {}
const entries = new Map<string, Entry>()
const waiting = new Map<string, Set<() => void>>()
/** Objects that are being read, and what came of them meanwhile: the answer may be older than that. */
const asked = new Map<string, { change?: Change; gone?: boolean; again?: boolean }>()

function tell(key: string) {
  for (const f of waiting.get(key) ?? []) f()
}

function listen(key: string, f: () => void) {
  let set = waiting.get(key)
  if (!set) waiting.set(key, (set = new Set()))
  set.add(f)
  return () => {
    set.delete(f)
    if (set.size === 0 && waiting.get(key) === set) waiting.delete(key)
  }
}

function setEntry(id: string, entry: Entry) {
  entries.set(id, entry)
  tell(id)
}

async function fetchObject(id: string): Promise<void> {
  const plural = pluralOf(id)
  if (!plural) return setEntry(id, { error: new ApiError(404, 'not_found', id) })
  const under = asked.get(id)
  if (under) return void (under.again = true) // what is being read may be from before
  const mine: { change?: Change; gone?: boolean; again?: boolean } = {}
  asked.set(id, mine)
  try {
    const answer = await get<Obj>(`/${plural}/${id}`)
    const now: Obj | undefined = mine.change ? after(answer, mine.change) : answer
    if (!now) mine.again = true // a version between is missing
    const object = now ?? answer
    const known = entries.get(id)?.object
    const gone = mine.gone || undefined
    if (!known || known.revision <= object.revision || gone) setEntry(id, { object: known && known.revision > object.revision ? known : object, gone })
  } catch (error) {
    if (error instanceof ApiError) setEntry(id, error.status === 404 ? { ...entries.get(id), error, gone: true } : { ...entries.get(id), error })
  }
  asked.delete(id)
  if (mine.again && !mine.gone) return fetchObject(id)
}

/** An answer to a request of ours that is an object. */
export function learn(object: Obj | null | undefined) {
  if (!object?.id || !object.revision || !waiting.has(object.id)) return
  const known = entries.get(object.id)?.object
  if (!known || known.revision < object.revision) setEntry(object.id, { object })
}

/** The object with this id, as it is now. */
export function useObject(id: string | undefined): Entry {
  const entry = useSyncExternalStore(
    useCallback((f: () => void) => (id ? listen(id, f) : () => {}), [id]),
    () => (id ? entries.get(id) ?? EMPTY : EMPTY),
  )
  useEffect(() => {
    if (id && !entries.has(id) && !asked.has(id)) void fetchObject(id)
  }, [id, entry])
  return entry
}

export const refetch = (id: string) => void fetchObject(id)
export const peek = (id: string): Obj | undefined => entries.get(id)?.object

// ---- names of what is referred to ----

const names = new Map<string, string>()
const loaded = new Map<string, Promise<void>>()
/** Of these there are few enough to know all names at once. */
const WHOLE = new Set(['hosts', 'clusters', 'host-pools', 'pools', 'switches', 'port-groups', 'images', 'users', 'roles', 'sites'])

async function loadNames(plural: string) {
  try {
    const page = await list(plural, { fields: 'name', limit: 20000 })
    for (const row of page.items) {
      names.set(row.id, row.name)
      tell('name:' + row.id)
    }
  } catch { loaded.delete(plural) /* may not be read, or later */ }
}

async function loadName(id: string, plural: string) {
  if (!fieldsOf(resource(plural)?.type ?? '').name) return // such as a task: it is called by its id
  try {
    const object = await get<Obj>(`/${plural}/${id}?fields=name`)
    names.set(id, object.name ?? id)
  } catch { names.set(id, id) }
  tell('name:' + id)
}

/** Waits for the names of these objects, where there are few enough of their kind to know all. */
export async function namesOf(ids: Iterable<string>): Promise<void> {
  const kinds = new Set<string>()
  for (const id of ids) {
    const plural = pluralOf(id)
    if (plural && WHOLE.has(plural) && !names.has(id)) kinds.add(plural)
  }
  await Promise.all([...kinds].map((plural) => {
    const under = loaded.get(plural) ?? loadNames(plural)
    loaded.set(plural, under)
    return under
  }))
}

/** The name of an object; undefined while it is not known. */
export function useName(id: string | undefined): string | undefined {
  useEffect(() => {
    const plural = id && pluralOf(id)
    if (!id || !plural || names.has(id)) return
    const key = WHOLE.has(plural) ? plural : id
    if (!loaded.has(key)) loaded.set(key, WHOLE.has(plural) ? loadNames(plural) : loadName(id, plural))
  }, [id])
  return useSyncExternalStore(useCallback((f: () => void) => (id ? listen('name:' + id, f) : () => {}), [id]), () => (id ? names.get(id) : undefined))
}

export const nameNow = (id: string) => names.get(id) ?? id
export const noteName = (id: string, name: string) => {
  if (names.get(id) === name) return
  names.set(id, name)
  tell('name:' + id)
}

/** Names that records carry of what may be gone by now: known without asking. */
function hint(id: unknown, name: unknown) {
  if (typeof id === 'string' && typeof name === 'string' && name && !names.has(id)) noteName(id, name)
}

function hints(row: Obj) {
  hint(row.object, row.object_name)
  hint(row.target, row.target_name)
  hint(row.vm, row.vm_name)
  if (row.request?.name) hint(row.result, row.request.name)
}

// ---- lists ----

const FIRST = 200
/** Rows in one answer: reading it takes less than a frame, so that scrolling and typing go on while thousands come. More at once for a long way. */
const PAGE = 250
const FAR_PAGE = 2000
const SETTLE_MS = 1000

export interface ListState {
  rows: Obj[]
  total: number
  loading: boolean
  whole: boolean
  error?: ApiError
  /** Rows would move or come when it were read again; waits for the user to let go. */
  stale: boolean
}

export class ListQuery {
  state: ListState = { rows: [], total: 0, loading: true, whole: false, stale: false }
  private byId = new Map<string, number>()
  private cursor?: string
  private busy: Promise<void> | null = null
  private timer = 0
  private again = false
  private wanted = 0
  /** What came of rows that are not here while some were read. */
  private missed = new Map<string, Change>()
  private listeners = new Set<() => void>()
  private stop: (() => void)[] = []
  private abort = new AbortController()
  /** Somebody points at rows or has picked some: they stay where they are. */
  held = false
  private readonly type: string
  private readonly history: boolean
  private readonly polls: number
  private readonly over: { type: string; field: string }[]

  constructor(readonly plural: string, readonly query: Query, private readonly first = FIRST) {
    this.type = resource(plural)?.type ?? ''
    this.history = !!resource(plural)?.history
    this.over = joins(this.type, this.paths())
    this.stop.push(link.onChanges((changes) => this.take(changes)), link.onRelist(() => this.refresh()))
    this.polls = this.history ? window.setInterval(() => document.hidden || this.refresh(), 10000) : 0
    this.refresh()
  }

  close() {
    this.abort.abort()
    clearTimeout(this.timer)
    clearInterval(this.polls)
    for (const f of this.stop) f()
  }

  subscribe = (f: () => void) => {
    this.listeners.add(f)
    return () => this.listeners.delete(f)
  }

  private set(change: Partial<ListState>) {
    this.state = { ...this.state, ...change }
    for (const f of this.listeners) f()
  }

  private note(row: Obj, at: number) {
    this.byId.set(row.id, at)
    if (row.name) noteName(row.id, row.name)
    hints(row)
  }

  private index(rows: Obj[]) {
    this.byId.clear()
    for (let i = 0; i < rows.length; i++) this.note(rows[i]!, i)
  }

  /** Reads what is shown anew. */
  refresh = () => {
    if (this.busy) {
      this.again = true
      return
    }
    this.start(this.readAnew(Math.max(this.first, this.state.rows.length)))
  }

  private start(reading: Promise<void>) {
    this.busy = reading.catch((error) => {
      this.wanted = 0
      if (error instanceof ApiError) this.set({ error, loading: false })
    }).finally(() => {
      this.busy = null
      this.missed.clear()
      if (this.again) {
        this.again = false
        this.schedule()
      } else this.ensure(0)
    })
  }

  private page(limit: number, cursor: string | undefined) {
    return list(this.plural, { ...this.query, limit: Math.min(limit, Math.max(FAR_PAGE, this.first)), cursor }, this.abort.signal)
  }

  /** All that was there, and in one go: rows do not jump while it is read. What came by the link meanwhile stays. */
  private async readAnew(n: number) {
    let page = await this.page(n, undefined)
    const rows = page.items
    while (page.next_cursor && rows.length < n) {
      page = await this.page(n - rows.length, page.next_cursor)
      rows.push(...page.items)
    }
    for (let i = 0; i < rows.length; i++) {
      const known = this.state.rows[this.byId.get(rows[i]!.id) ?? -1]
      rows[i] = known && known.revision >= rows[i]!.revision ? known : this.asOfNow(rows[i]!)
    }
    this.index(rows)
    this.reached(page, { rows, error: undefined, stale: false })
  }

  /** Page after page, as they come; the manager makes the next one while this one is shown. */
  private async readOn() {
    const next = (rows: number, cursor: string | undefined) => (cursor && rows < this.wanted ? this.page(this.wanted - rows > FAR_PAGE ? FAR_PAGE : PAGE, cursor) : null)
    for (let coming = next(this.state.rows.length, this.cursor); coming;) {
      const page = await coming
      coming = next(this.state.rows.length + page.items.length, page.next_cursor)
      coming?.catch(() => undefined) // told when it is waited for
      const rows = this.state.rows.slice()
      for (const row of page.items) {
        if (this.byId.has(row.id)) continue // it has moved back meanwhile
        this.note(row, rows.length)
        rows.push(this.asOfNow(row))
      }
      this.reached(page, { rows })
    }
  }

  /** A row of an answer with what came by the link since that was made. */
  private asOfNow(row: Obj): Obj {
    const change = this.missed.get(row.id)
    const now = change && after(row, change)
    if (change && (!now || this.matters(row, now))) this.again = true
    return now ?? row
  }

  private reached(page: Page<Obj>, change: Partial<ListState> & { rows: Obj[] }) {
    this.cursor = page.next_cursor
    this.set({ ...change, total: page.total ?? change.rows.length + (page.next_cursor ? 1 : 0), loading: false, whole: !page.next_cursor })
  }

  /** Makes sure that the first `n` rows are there, and some more. */
  ensure(n: number) {
    this.wanted = Math.max(this.wanted, n)
    if (!this.busy && this.cursor && this.wanted > this.state.rows.length) this.start(this.readOn())
  }

  private schedule() {
    if (this.timer) return
    this.timer = window.setTimeout(() => {
      this.timer = 0
      if (this.held) this.set({ stale: true })
      else this.refresh()
    }, SETTLE_MS)
  }

  release() {
    this.held = false
    if (this.state.stale) this.schedule()
  }

  private take(changes: Change[]) {
    let rows: Obj[] | null = null
    let moves = false
    let gone: Set<string> | null = null
    for (const change of changes) {
      if (this.over.some((one) => one.type === change.type && (change.op === 'patch' ? one.field in change.object : true))) moves = true // a host came into the cluster: its VMs did
      if (change.type !== this.type) continue
      const at = this.byId.get(change.id)
      if (change.op === 'gone') {
        if (at !== undefined) (gone ??= new Set()).add(change.id)
        else moves = true
      } else if (at === undefined) {
        moves = moves || this.concerns(change)
        if (this.busy) this.missed.set(change.id, join(this.missed.get(change.id), change))
      } else {
        const now = after((rows ?? this.state.rows)[at], change)
        rows ??= this.state.rows.slice()
        if (!now) moves = true // a version between is missing
        else {
          if (this.matters(rows[at]!, now)) moves = true
          rows[at] = now
          hints(now)
          if (change.object.name) noteName(change.id, change.object.name)
        }
      }
    }
    if (gone) {
      const lost = gone
      rows = (rows ?? this.state.rows).filter((row) => !lost.has(row.id))
      this.index(rows)
    }
    if (gone && this.busy) this.again = true // what is being read may still have it
    if (rows) this.set({ rows, total: this.state.total - (gone?.size ?? 0) })
    if (moves) this.schedule()
  }

  /** What rows are there and where depends on. */
  private paths(): string[] {
    return [...(this.query.sort ?? '').split(',').map((s) => s.replace(/^-/, '')), ...(this.query.filter ?? '').split(' and ').map((term) => term.split(/[=!<>~]/)[0]!.trim())].filter(Boolean)
  }

  /** Could the change make the row move or leave the list? */
  private matters(before: Obj, now: Obj): boolean {
    return this.paths().some((path) => JSON.stringify(at(before, path)) !== JSON.stringify(at(now, path)))
  }

  /** Could the change of an object that is not shown bring it in, or move what is? */
  private concerns(change: Change): boolean {
    return change.op === 'put' || this.paths().some((path) => path.split('.')[0]! in change.object)
  }
}

/** A path over a reference ends at that: what is there is not known here. */
function at(object: any, path: string): unknown {
  for (const step of path.split('.')) {
    if (typeof object === 'string') return object
    object = object?.[step]
  }
  return object
}

/** Over which references the terms of a filter go: the type there, and the field of it (Vm, host.cluster: Host, cluster). */
function joins(type: string, paths: string[]): { type: string; field: string }[] {
  return paths.flatMap((path) => {
    const steps = path.split('.')
    for (let i = 1; i < steps.length; i++) {
      const field = fieldAt(type, steps.slice(0, i).join('.'))
      if (field?.t === 'ref' && field.r) return [{ type: field.r, field: steps[i]! }]
    }
    return []
  })
}

/** A list that stays up to date; a new one when plural or query change. */
export function useList(plural: string | undefined, query: Query = {}, first = FIRST): ListQuery | null {
  const key = plural ? plural + JSON.stringify(query) + first : ''
  const [made, setMade] = useState<{ key: string; list: ListQuery } | null>(null)
  useEffect(() => {
    if (!plural) return
    const fresh = new ListQuery(plural, query, first)
    setMade({ key, list: fresh })
    return () => fresh.close()
    // The key says all of the query.
  }, [key])
  return made?.key === key ? made.list : null
}

const NONE: ListState = { rows: [], total: 0, loading: true, whole: false, stale: false }
const nothing = () => () => {}

export function useListState(query: ListQuery | null): ListState {
  return useSyncExternalStore(query ? query.subscribe : nothing, () => (query ? query.state : NONE))
}

export function useRows(plural: string | undefined, query: Query = {}, first = FIRST): ListState {
  return useListState(useList(plural, query, first))
}

// ---- the link writes into the cache ----

link.onChanges((changes) => {
  for (const change of changes) {
    const reading = asked.get(change.id)
    if (change.op === 'gone') {
      if (reading) reading.gone = true
      if (entries.has(change.id)) setEntry(change.id, { ...entries.get(change.id), gone: true })
      continue
    }
    if (names.has(change.id) && change.object.name) noteName(change.id, change.object.name)
    if (!entries.has(change.id) && !waiting.has(change.id) && !reading) continue
    const object = after(entries.get(change.id)?.object, change)
    if (object) setEntry(change.id, { object })
    else if (reading) reading.change = join(reading.change, change)
    else void fetchObject(change.id)
  }
  // Objects that nobody looks at any more are forgotten, so that an open tab does not grow for ever.
  if (entries.size > 2000) for (const id of entries.keys()) if (!waiting.has(id)) entries.delete(id)
})

link.onRelist(() => {
  for (const id of entries.keys()) waiting.has(id) ? void fetchObject(id) : entries.delete(id)
})

export function forgetAll() {
  entries.clear()
  names.clear()
  loaded.clear()
}
