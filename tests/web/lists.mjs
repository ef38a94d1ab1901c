// SPDX-License-Identifier: Apache-2.0
// Lists, objects and the tree that stay up to date (live/store, kit/tree), with a manager made up here: what is read when, and what comes while it is read.
import { check, same, sleep, until } from './kit.mjs'

const VMS = 5500
const name = (i) => `vm-${String(i).padStart(5, '0')}`

/** Answers lists of VMs from `vms` page by page; `asked` has the limits. `hold` keeps answers back until it is called again. */
function manager() {
  const own = { vms: Array.from({ length: VMS }, (_, i) => ({ id: `vm-${i + 1}`, revision: 1, name: name(i) })), asked: [], refuse: false, held: null }
  own.fetch = async (path) => {
    const query = new URL(path, 'https://manager').searchParams
    const from = Number(query.get('cursor') ?? 0), limit = Number(query.get('limit'))
    own.asked.push(limit)
    const refused = own.refuse
    const items = own.vms.slice(from, from + limit).map((vm) => ({ ...vm }))
    const next = from + limit < own.vms.length ? String(from + limit - (own.overlap ?? 0)) : undefined
    await (own.held?.until ?? sleep(0))
    return { ok: !refused, status: refused ? 503 : 200, statusText: '', json: async () => ({ code: 'busy', message: 'busy' }), text: async () => JSON.stringify({ items, revision: 1, total: own.vms.length, next_cursor: next }) }
  }
  own.hold = () => {
    const held = {}
    held.until = new Promise((go) => (held.go = go))
    own.held = held
    return () => {
      own.held = null
      held.go()
    }
  }
  return own
}

export async function lists(load) {
  globalThis.window ??= globalThis
  const store = await load('live/store.ts')
  const { ListQuery } = store
  const { link } = await load('live/link.ts')
  const paint = (...changes) => link.take({ revision: 9, changes })
  /** Until those that listen have what was painted. */
  const painted = () => until('what came is told', () => !link.paintTimer)
  const opened = async (own, act) => {
    const before = globalThis.fetch
    globalThis.fetch = own.fetch
    const query = new ListQuery('vms', { sort: 'name' })
    try {
      await until('the first rows', () => !query.state.loading)
      await act(query)
    } finally {
      query.close()
      globalThis.fetch = before
    }
  }

  /** Answers by path, each when it is told to. */
  const slowly = async (act) => {
    const before = globalThis.fetch
    const asked = []
    globalThis.fetch = (path) => new Promise((resolve) => asked.push({ path, answer: (value, status = 200) => resolve({ ok: status < 400, status, statusText: '', json: async () => value, text: async () => JSON.stringify(value) }) }))
    const next = (word) => until(`a request for ${word}`, () => {
      const at = asked.findIndex((one) => one.path.includes(word))
      return at >= 0 && asked.splice(at, 1)[0]
    })
    try {
      await act(next, asked)
    } finally {
      globalThis.fetch = before
    }
  }

  return [
    ['a long way down a list is read in pieces, each shown as it comes, none twice', async () => {
      const own = manager()
      own.overlap = 1 // a row moves back over the border of two pages
      await opened(own, async (query) => {
        same([query.state.rows.length, own.asked], [200, [200]])
        const seen = []
        query.subscribe(() => seen.push(query.state.rows.length))
        query.ensure(VMS)
        await until('the last row', () => query.state.whole)
        same(query.state.rows.map((row) => row.name), own.vms.map((vm) => vm.name))
        check(seen.length > 2 && own.asked.every((limit) => limit <= 2000), { seen, asked: own.asked })
      })
    }],
    ['somewhat further is read in one small piece', async () => {
      const own = manager()
      await opened(own, async (query) => {
        query.ensure(250)
        await until('more', () => query.state.rows.length > 200)
        same([query.state.rows.length, own.asked], [450, [200, 250]])
      })
    }],
    ['a manager that refuses is not asked again and again', async () => {
      const own = manager()
      await opened(own, async (query) => {
        own.refuse = true
        query.ensure(VMS)
        await until('the error', () => query.state.error)
        const n = own.asked.length
        await sleep(0) // it would be asked in the same turn
        same(own.asked.length, n, 'requests')
        own.refuse = false
        query.refresh()
        await until('rows again', () => !query.state.error)
        same(query.state.rows.length, 200)
      })
    }],
    ['what comes by the link while a list is read is not lost', async () => {
      const own = manager()
      await opened(own, async (query) => {
        const same7 = query.state.rows[6]
        const go = own.hold()
        query.refresh()
        await until('the request', () => own.asked.length === 2)
        own.vms = own.vms.filter((vm) => vm.id !== 'vm-3')
        paint({ type: 'Vm', id: 'vm-2', op: 'patch', base: 1, object: { id: 'vm-2', revision: 2, description: 'new' } }, { type: 'Vm', id: 'vm-3', op: 'gone' })
        await until('the changes', () => query.state.rows[1].revision === 2)
        go()
        await until('the answer', () => query.state.rows.length === 200)
        same(query.state.rows[1].description, 'new')
        await until('the row that is gone', () => !query.state.rows.some((row) => row.id === 'vm-3'))
        check(query.state.rows.find((row) => row.id === 'vm-7') === same7, 'a row that did not change is another object')
      })
    }],
    ['what comes by the link of rows that are being read for the first time is not lost', async () => {
      const own = manager()
      const before = globalThis.fetch
      globalThis.fetch = own.fetch
      const go = own.hold()
      const query = new ListQuery('vms', { sort: 'name' })
      try {
        await until('the request', () => own.asked.length === 1)
        paint({ type: 'Vm', id: 'vm-2', op: 'patch', base: 1, object: { id: 'vm-2', revision: 2, description: 'new' } })
        await painted()
        go()
        await until('the first rows', () => !query.state.loading)
        same([query.state.rows[1].description, query.state.rows[1].revision], ['new', 2])
      } finally {
        query.close()
        globalThis.fetch = before
      }
    }],
    ['what comes by the link of an object while it is read is not lost', () => slowly(async (next) => {
      const { refetch, peek } = store
      refetch('vm-90')
      const first = await next('/vms/vm-90')
      paint({ type: 'Vm', id: 'vm-90', op: 'patch', base: 4, object: { id: 'vm-90', revision: 5, power: { state: 'off' } } })
      await painted()
      first.answer({ id: 'vm-90', revision: 4, power: { state: 'running' } })
      await until('the object', () => peek('vm-90'))
      same([peek('vm-90').power.state, peek('vm-90').revision], ['off', 5])
      // A version between is missing: it is asked for again.
      refetch('vm-91')
      const other = await next('/vms/vm-91')
      paint({ type: 'Vm', id: 'vm-91', op: 'patch', base: 7, object: { id: 'vm-91', revision: 8, name: 'b' } })
      await painted()
      other.answer({ id: 'vm-91', revision: 4, name: 'a' })
      ;(await next('/vms/vm-91')).answer({ id: 'vm-91', revision: 8, name: 'b' })
      await until('the newer one', () => peek('vm-91')?.name === 'b')
    })],
    ['a refusal of a request that was sent before one logged in logs nobody out: it is sent again', () => slowly(async (next, asked) => {
      const { configureClient, get, newEra } = await load('api/client.ts')
      let out = 0
      configureClient({ onLoggedOut: () => out++ })
      const found = get('/vms/vm-92')
      const old = await next('/vms/vm-92')
      newEra()
      old.answer({ code: 'unauthenticated', message: 'x' }, 401)
      ;(await next('/vms/vm-92')).answer({ id: 'vm-92', revision: 1 })
      same([(await found).id, out, asked.length], ['vm-92', 0, 0])
      const refused = get('/vms/vm-92').catch((error) => error.status)
      ;(await next('/vms/vm-92')).answer({ code: 'unauthenticated', message: 'x' }, 401)
      same([await refused, out], [401, 1])
    })],
    ['the end of a task is known though the link could not tell it', () => slowly(async (next) => {
      const { whenEnded } = await load('live/follow.ts')
      const ended = whenEnded('task-95')
      link.take({ relist: true })
      ;(await next('/tasks/task-95')).answer({ id: 'task-95', revision: 2, state: 'done' })
      same((await ended).state, 'done')
    })],
    ['what comes by the link while a part of the tree is read is not lost', () => slowly(async (next) => {
      globalThis.WebSocket ??= class {}
      globalThis.location ??= { host: 'manager', pathname: '/' }
      const { enter } = await load('live/session.ts')
      const entered = enter()
      ;(await next('/whoami')).answer({ name: 'admin', user: 'user-1', permissions: ['*.*'], revision: 1 })
      await entered
      const { Tree } = await load('kit/tree/model.ts')
      const tree = new Tree('pools', [], () => undefined)
      try {
        const pool = { id: 'pool-1', revision: 3, name: 'a', state: 'creating' }
        const first = await next('/pools')
        paint({ type: 'Pool', id: 'pool-1', op: 'patch', base: 3, object: { id: 'pool-1', revision: 4, state: 'active' } }, { type: 'Pool', id: 'pool-2', op: 'put', object: { id: 'pool-2', revision: 5, name: 'b', state: 'active' } })
        await painted()
        first.answer({ items: [pool], revision: 3 })
        ;(await next('/pools')).answer({ items: [{ ...pool, revision: 4, state: 'active' }, { id: 'pool-2', revision: 5, name: 'b', state: 'active' }], revision: 5 })
        await until('both', () => tree.lines.length === 2)
        same(tree.lines.map((line) => line.object.state), ['active', 'active'])
      } finally {
        tree.close()
      }
    })],
  ]
}
