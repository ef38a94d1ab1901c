// SPDX-License-Identifier: Apache-2.0
// The tree's nodes: children are read when a node is opened, and kept up to date by the link. Nothing is done for what is folded. A filter asks the manager: what it
// looks for may hang under what nobody has opened yet.
import { get, list, quoted, type Obj } from '../../api/client'
import { resource } from '../../api/contract'
import { after, link, type Change } from '../../live/link'
import { may } from '../../live/session'
import { noteName } from '../../live/store'
import { compareNames } from '../format'

/** How children of a node are found: type, the field that names the parent, further terms. */
interface Branch { plural: string; field?: string; terms?: string; leaf?: boolean }

export type View = 'hosts' | 'groups' | 'pools' | 'networks'

const FIELDS: Record<string, string> = {
  vms: 'name,power,activity,health,host,group,management', 'business-groups': 'name,parent', hosts: 'name,state,mode,activity,health,cluster,host_pool', clusters: 'name,health,activity,host_pool', 'host-pools': 'name,health', pools: 'name,state,activity,health',
  volumes: 'name,state,activity,health,pool', switches: 'name,state,activity,health,host', 'port-groups': 'name,state,activity,health,switch',
}

const BRANCHES: Record<View, Record<string, Branch[]>> = {
  hosts: {
    '': [{ plural: 'host-pools' }],
    'host-pools': [{ plural: 'clusters', field: 'host_pool' }, { plural: 'hosts', field: 'host_pool', terms: 'cluster=""' }],
    clusters: [{ plural: 'hosts', field: 'cluster' }],
    hosts: [{ plural: 'vms', field: 'host', terms: 'management!=in_bin', leaf: true }],
  },
  groups: {
    '': [{ plural: 'business-groups', terms: 'parent=""' }, { plural: 'vms', terms: 'group="" and management!=in_bin', leaf: true }],
    'business-groups': [{ plural: 'business-groups', field: 'parent' }, { plural: 'vms', field: 'group', terms: 'management!=in_bin', leaf: true }],
  },
  pools: { '': [{ plural: 'pools' }], pools: [{ plural: 'volumes', field: 'pool', leaf: true }] },
  networks: { '': [{ plural: 'switches' }], switches: [{ plural: 'port-groups', field: 'switch', leaf: true }] },
}

/** Fields that say where a node hangs. */
const PLACES = ['management', 'host', 'group', 'parent', 'cluster', 'host_pool', 'pool', 'switch']

/** `more`: no object, but how many of them are not shown here. */
export interface Line { id: string; plural: string; depth: number; object: Obj; open: boolean; leaf: boolean; size: number; index: number; more?: number }

const MOST = 20000
/** Of each kind that a filter finds. */
const FOUND = 200
/** Above them so many are asked for one by one; more of a kind all at once. */
const SINGLY = 8
const TYPING_MS = 120
const UNFOLD = 12
const SETTLE_MS = 1500

/** Not its load: most of what comes. */
const concerns = (plural: string, change: Change) => change.op !== 'patch' || FIELDS[plural]!.split(',').some((field) => field in change.object)

export class Tree {
  private children = new Map<string, Obj[]>()
  /** Among which rows a node hangs; made anew when rows came or went. */
  private place: Map<string, Obj[]> | null = null
  private open: Set<string>
  /** Nobody has folded anything yet: small parts are shown open. */
  private fresh: boolean
  private reading = new Set<string>()
  /** Nodes that changed while some were read: answers may be older. */
  private touched = new Set<string>()
  private listeners = new Set<() => void>()
  private off: (() => void)[]
  private timer = 0
  private dirty = new Set<string>()
  /** Children that are not among those read, by their parent. */
  private beyond = new Map<string, number>()
  /** What the manager found for the filter, and what is above it; undefined: not known yet. */
  private found?: { children: Map<string, Obj[]>; beyond: number }
  private asking?: AbortController
  private askTimer = 0
  lines: Line[] = []
  filter = ''
  /** The filter is being looked for. */
  searching = false

  constructor(readonly view: View, open: string[], private readonly keep: (open: string[]) => void) {
    this.open = new Set(open)
    this.fresh = open.length === 0
    this.off = [link.onChanges((c) => this.take(c)), link.onRelist(() => this.reload())]
    void this.read('', '')
  }

  close() {
    for (const f of this.off) f()
    clearTimeout(this.timer)
    clearTimeout(this.askTimer)
    this.asking?.abort()
  }

  subscribe = (f: () => void) => {
    this.listeners.add(f)
    return () => this.listeners.delete(f)
  }

  private branchesOf(plural: string): Branch[] {
    return (BRANCHES[this.view][plural] ?? []).filter((b) => may(resource(b.plural)?.ops.find((o) => o.name === 'list')?.right ?? ''))
  }

  private async read(id: string, plural: string) {
    if (this.reading.has(id)) return void this.touched.add(id)
    this.reading.add(id)
    try {
      const parts = await Promise.all(this.branchesOf(plural).map((b) => list(b.plural, {
        filter: [b.field && `${b.field}=${id}`, b.terms].filter(Boolean).join(' and ') || undefined, fields: FIELDS[b.plural], sort: 'name', limit: MOST,
      })))
      const rows = parts.flatMap((p) => p.items)
      if (this.touched.has(id) || rows.some((row) => this.touched.has(row.id))) this.later(id)
      for (const row of rows) noteName(row.id, row.name)
      this.children.set(id, rows)
      this.beyond.set(id, parts.reduce((n, p) => n + Math.max(0, (p.total ?? 0) - p.items.length), 0))
      this.place = null
      if (this.fresh && rows.length <= UNFOLD) for (const row of rows) if (['host-pools', 'clusters', 'business-groups'].includes(this.pluralOf(row.id))) this.open.add(row.id)
      for (const row of rows) if (this.open.has(row.id) && !this.children.has(row.id)) void this.read(row.id, this.pluralOf(row.id))
      this.paint()
    } catch { /* the list's page tells why */ } finally {
      this.reading.delete(id)
      if (!this.reading.size) this.touched.clear()
    }
  }

  private pluralOf(id: string): string {
    for (const branches of Object.values(BRANCHES[this.view])) for (const b of branches) if (resource(b.plural)?.prefix === id.slice(0, id.lastIndexOf('-'))) return b.plural
    return ''
  }

  toggle(id: string, wanted = !this.open.has(id)) {
    this.fresh = false
    if (wanted) {
      this.open.add(id)
      if (!this.children.has(id)) void this.read(id, this.pluralOf(id))
    } else {
      this.open.delete(id)
      this.forget(id)
    }
    this.keep([...this.open].slice(-500))
    this.paint()
  }

  /** What is folded is read anew when it is opened again. */
  private forget(id: string) {
    for (const child of this.children.get(id) ?? []) this.forget(child.id)
    this.children.delete(id)
    this.place = null
  }

  reload() {
    this.children.clear()
    this.place = null
    void this.read('', '')
    if (this.filter) this.askSoon(0)
  }

  /** What is loaded is sifted at once, what the manager finds comes after. */
  setFilter(text: string) {
    const wanted = text.trim().toLowerCase()
    if (wanted === this.filter) return
    this.filter = wanted
    this.found = undefined
    this.asking?.abort()
    clearTimeout(this.askTimer)
    this.askTimer = 0
    this.searching = !!wanted
    if (wanted) this.askSoon(TYPING_MS)
    this.paint()
  }

  private askSoon(ms: number) {
    this.askTimer ||= window.setTimeout(() => {
      this.askTimer = 0
      void this.ask()
    }, ms)
  }

  private async ask() {
    const mine = new AbortController()
    this.asking?.abort()
    this.asking = mine
    try {
      const plurals = [...new Set(Object.values(BRANCHES[this.view]).flat().map((b) => b.plural))].filter((plural) => may(resource(plural)?.ops.find((o) => o.name === 'list')?.right ?? ''))
      const pages = await Promise.all(plurals.map((plural) => list(plural, {
        filter: `name~${quoted(this.filter)}${plural === 'vms' ? ' and management!=in_bin' : ''}`, fields: FIELDS[plural], sort: 'name', limit: FOUND,
      }, mine.signal)))
      const rows = new Map(pages.flatMap((page) => page.items).map((row) => [row.id, row]))
      await this.addParents(rows, mine.signal)
      const children = new Map<string, Obj[]>()
      for (const row of rows.values()) {
        noteName(row.id, row.name)
        const parent = this.parentOf(this.pluralOf(row.id), row)
        if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), row])
      }
      for (const siblings of children.values()) siblings.sort((a, b) => plurals.indexOf(this.pluralOf(a.id)) - plurals.indexOf(this.pluralOf(b.id)) || compareNames(a.name ?? a.id, b.name ?? b.id))
      if (mine.signal.aborted) return
      this.found = { children, beyond: pages.reduce((n, page) => n + Math.max(0, (page.total ?? 0) - page.items.length), 0) }
    } catch { /* what is loaded is sifted all the same; the lists' pages tell why */ }
    if (mine.signal.aborted) return
    this.searching = false
    this.paint()
  }

  /** All that is above the rows, up to the root. */
  private async addParents(rows: Map<string, Obj>, signal: AbortSignal) {
    for (;;) {
      const missing = new Map<string, string[]>()
      for (const row of rows.values()) { // those that are added meanwhile too
        const id = this.parentOf(this.pluralOf(row.id), row)
        if (!id || rows.has(id)) continue
        const known = this.rowsAround(id)?.find((one) => one.id === id)
        const plural = this.pluralOf(id)
        if (known) rows.set(id, known)
        else if (!missing.get(plural)?.includes(id)) missing.set(plural, [...(missing.get(plural) ?? []), id])
      }
      if (!missing.size) return
      await Promise.all([...missing].map(async ([plural, ids]) => {
        const got = ids.length <= SINGLY ? await Promise.all(ids.map((id) => get<Obj>(`/${plural}/${id}?fields=${FIELDS[plural]}`, signal))) : (await list(plural, { fields: FIELDS[plural], limit: MOST }, signal)).items
        for (const row of got) if (ids.includes(row.id)) rows.set(row.id, row)
        for (const id of ids) if (!rows.has(id)) throw new Error(id) // gone meanwhile
      }))
    }
  }

  /** Opens the way to an object: its parents, the nearest last. */
  reveal(parents: string[]) {
    for (const id of parents) if (!this.open.has(id)) this.toggle(id, true)
  }

  private take(changes: Change[]) {
    let seen = false
    for (const change of changes) {
      const plural = this.pluralOf(change.id)
      if (!plural) continue
      if (this.filter) seen = this.takeFound(plural, change) || seen
      if (this.reading.size && concerns(plural, change)) this.touched.add(change.id)
      if (change.op === 'gone') {
        seen = this.drop(change.id) || seen
        continue
      }
      const object = this.whole(plural, change)
      if (!object) continue
      const parent = this.parentOf(plural, object)
      if (parent !== undefined && this.reading.has(parent)) this.touched.add(parent)
      const rows = parent === undefined ? undefined : this.children.get(parent)
      const at = rows?.findIndex((row) => row.id === change.id) ?? -1
      if (!rows) seen = this.drop(change.id) || seen
      else if (at < 0) {
        this.drop(change.id)
        this.later(parent!)
      } else {
        if (rows[at]!.name !== object.name) this.later(parent!)
        rows[at] = object
        seen = true
      }
    }
    if (seen) this.paint()
  }

  /** Of what the filter found: its state at once; what came, went or hangs elsewhere is asked for. */
  private takeFound(plural: string, change: Change): boolean {
    const moves = change.op !== 'patch' || 'name' in change.object || PLACES.some((field) => field in change.object)
    if (moves) this.askSoon(SETTLE_MS)
    if (!this.found || change.op === 'gone' || !concerns(plural, change)) return false
    for (const rows of this.found.children.values()) {
      const at = rows.findIndex((row) => row.id === change.id)
      const now = at < 0 ? undefined : after(rows[at], change)
      if (now) rows[at] = now
      if (at >= 0) return !!now
    }
    return false
  }

  /** Its children are read again soon. */
  private later(id: string) {
    this.dirty.add(id)
    this.timer ||= window.setTimeout(() => this.sortDirty(), this.dirty.size > 50 ? SETTLE_MS : 200)
  }

  private rowsAround(id: string): Obj[] | undefined {
    if (!this.place) {
      this.place = new Map()
      for (const rows of this.children.values()) for (const row of rows) this.place.set(row.id, rows)
    }
    return this.place.get(id)
  }

  /** The object after a change; undefined where that shows nothing new here, or is to be asked for first. */
  private whole(plural: string, change: Change): Obj | undefined {
    if (!concerns(plural, change)) return undefined
    const row = this.rowsAround(change.id)?.find((r) => r.id === change.id)
    if (change.op !== 'patch') return after(row, change)
    const now = row && after(row, change)
    if (now) return now
    if (!row && !PLACES.some((field) => field in change.object)) return undefined
    void get<Obj>(`/${plural}/${change.id}?fields=${FIELDS[plural]}`).then((object) => this.take([{ type: change.type, id: change.id, op: 'put', object }]), () => undefined)
    return undefined
  }

  private sortDirty() {
    this.timer = 0
    for (const id of this.dirty) void this.read(id, id ? this.pluralOf(id) : '')
    this.dirty.clear()
  }

  private parentOf(plural: string, object: any): string | undefined {
    if (plural === 'vms' && object.management === 'in_bin') return undefined
    if (plural === 'hosts') return object.cluster ?? object.host_pool
    const mine = Object.values(BRANCHES[this.view]).flat().filter((b) => b.plural === plural)
    for (const b of mine) if (b.field && object[b.field]) return object[b.field]
    return mine.some((b) => !b.field) ? '' : undefined
  }

  private drop(id: string): boolean {
    for (const [parent, rows] of this.children) {
      const at = rows.findIndex((row) => row.id === id)
      if (at >= 0) {
        this.children.set(parent, rows.filter((row) => row.id !== id))
        this.place = null
        return true
      }
    }
    return false
  }

  private paint() {
    const lines: Line[] = []
    const { found, filter } = this
    const visit = (id: string, depth: number): boolean => {
      const rows = (found?.children ?? this.children).get(id) ?? []
      let any = false
      for (const [index, object] of rows.entries()) {
        const own = this.pluralOf(object.id)
        const leaf = this.branchesOf(own).length === 0
        const fits = !filter || !!found || (object.name ?? '').toLowerCase().includes(filter)
        const from = lines.length
        const line: Line = { id: object.id, plural: own, depth, object, open: this.open.has(object.id), leaf, size: rows.length, index }
        lines.push(line)
        const inner = line.open || filter ? visit(object.id, depth + 1) : false
        if (filter) line.open = inner
        if (!fits && !inner) lines.length = from
        else any = true
      }
      const beyond = filter ? 0 : this.beyond.get(id) ?? 0
      if (beyond) this.pushMore(lines, id, depth, beyond)
      return any
    }
    visit('', 0)
    if (found?.beyond) this.pushMore(lines, '', 0, found.beyond)
    this.lines = lines
    for (const f of this.listeners) f()
  }

  private pushMore(lines: Line[], parent: string, depth: number, more: number) {
    const id = `more-of-${parent}`
    lines.push({ id, plural: '', depth, object: { id, revision: 0 }, open: false, leaf: true, size: 1, index: 0, more })
  }
}
