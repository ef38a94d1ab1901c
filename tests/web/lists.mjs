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

  /** Logs in, as who may see all. */
  const enters = async (next) => {
    globalThis.WebSocket ??= class { close() {} }
    globalThis.location ??= { host: 'manager', pathname: '/' }
    const { enter } = await load('live/session.ts')
    const entered = enter()
    ;(await next('/whoami')).answer({ name: 'admin', user: 'user-1', permissions: ['*.*'], revision: 1 })
    await entered
  }

  /** A link whose sockets and clock are ours: `tick` lets time pass. */
  const linked = async (act) => {
    const { Link } = await load('live/link.ts')
    const before = [globalThis.WebSocket, globalThis.setTimeout, globalThis.clearTimeout, Date.now]
    globalThis.location ??= { host: 'manager', pathname: '/' }
    let now = 1e12, next = 1
    const timers = new Map(), sockets = []
    globalThis.WebSocket = class { constructor(url) { sockets.push(Object.assign(this, { url, open: true })) } close() { this.open = false } says(message) { this.onmessage({ data: JSON.stringify(message) }) } }
    globalThis.setTimeout = (f, ms) => (timers.set(next, { f, at: now + ms }), next++)
    globalThis.clearTimeout = (id) => void timers.delete(id)
    Date.now = () => now
    const tick = (ms) => {
      for (const end = now + ms;;) {
        const due = [...timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0]
        now = due ? due[1].at : end
        if (!due) return
        timers.delete(due[0])
        due[1].f()
      }
    }
    try {
      act(new Link(), sockets, tick, (ms) => (now += ms)) // no timer runs while a machine sleeps
    } finally {
      ;[globalThis.WebSocket, globalThis.setTimeout, globalThis.clearTimeout, Date.now] = before
    }
  }

  return [
    ['a link that says nothing counts as down, and goes on where it was; its beat keeps it up', () => linked((own, sockets, tick) => {
      own.start(7)
      for (let i = 0; i < 10; i++) {
        sockets[0].says({ revision: 9 + i, changes: [] })
        tick(10000)
      }
      same([own.state.state, sockets.length], ['up', 1])
      tick(14999)
      same(own.state.state, 'up')
      tick(1) // and it is told at once: what is shown is old already
      same([own.state.state, own.state.told, own.state.lastMs, sockets[0].open], ['down', true, 1e12 + 90000, false])
      tick(1000)
      sockets[0].says({ revision: 30, changes: [] }) // by a socket that is given up: whoever answers now is another one
      same(own.state.state, 'down')
      check(sockets.length > 1 && sockets[1].url.includes('since=18'), sockets.map((one) => one.url))
      const tried = sockets.length
      tick(60000)
      check(sockets.length > tried + 2 && sockets.slice(0, -1).every((one) => !one.open), 'tries that nobody answers are given up, and others made')
      while (!sockets.at(-1).open) tick(1000) // between two tries
      sockets.at(-1).says({ revision: 18, changes: [] })
      same(own.state.state, 'up')
    })],
    ['a link that breaks for a moment is nobody\'s business; for longer it is told', () => linked((own, sockets, tick) => {
      own.start(7)
      sockets[0].says({ revision: 9, changes: [] })
      sockets[0].onclose({ code: 1006 })
      same([own.state.state, own.state.told], ['down', false])
      tick(1000)
      sockets[1].says({ revision: 9, changes: [] })
      tick(5000)
      same(own.state.state, 'up')
      sockets[1].onclose({ code: 1006 })
      tick(4000)
      same([own.state.state, own.state.told], ['down', true])
    })],
    ['who comes back to the page after a sleep, or with another network, does not look at what was', () => linked((own, sockets, tick, sleeps) => {
      own.start(7)
      sockets[0].says({ revision: 9, changes: [] })
      own.retry()
      same(sockets.length, 1)
      sleeps(3600000)
      own.retry() // somebody looks
      same([own.state.state, own.state.told, sockets.length, sockets[0].open], ['down', true, 2, false])
      sockets[1].says({ revision: 9, changes: [] })
      same(own.state.state, 'up')
      own.retry(true) // another network
      same([own.state.state, sockets.length, sockets[1].open], ['up', 3, false])
      own.retry(true)
      same(sockets.length, 3, 'sockets; one that is being made is left alone')
    })],
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
    ['a verb on more objects than a batch takes is sent in parts; where one is refused, what began is told and what did not', async () => {
      const { sendMany } = await load('kit/verbs/many.ts')
      const before = globalThis.fetch
      const asked = []
      globalThis.fetch = async (path, { body }) => {
        asked.push(JSON.parse(body))
        const ok = asked.length !== 6
        const value = ok ? { id: `task-${asked.length}`, revision: 1, state: 'queued' } : { code: 'busy', message: 'busy' }
        return { ok, status: ok ? 202 : 503, statusText: '', json: async () => value, text: async () => JSON.stringify(value) }
      }
      try {
        const objects = Array.from({ length: 25000 }, (_, i) => ({ id: `vm-${i + 1}`, revision: 1 }))
        const sent = await sendMany('vms', { name: 'start', task: true }, objects, () => ({}))
        same([sent.tasks, sent.unsent.length, asked.map((one) => one.ids.length)], [['task-1', 'task-2', 'task-3'], 0, [10000, 10000, 5000]])
        same(new Set(asked.flatMap((one) => one.ids)).size, 25000, 'each once')
        check(asked.reduce((n, one) => n + one.parallel, 0) <= 16, 'no faster than one batch')
        await sendMany('vms', { name: 'start', task: true }, objects.slice(0, 3), () => ({}))
        same(asked[3], { verb: 'start', ids: ['vm-1', 'vm-2', 'vm-3'] })
        const half = await sendMany('vms', { name: 'stop', task: true }, objects, () => ({ force: true }))
        same([half.tasks, half.unsent.length, half.unsent[0].id, half.error.code, asked.length], [['task-5'], 15000, 'vm-10001', 'busy', 6])
        await sendMany('vms', { name: 'migrate', task: true }, objects.slice(0, 3), (vm) => ({ host: 'host-1', networks: vm.id === 'vm-2' ? [{ key: 'nic-0', port_group: 'pg-1' }] : undefined }))
        same(asked.slice(6).map((one) => [one.ids, !!one.args.networks]), [[['vm-1', 'vm-3'], false], [['vm-2'], true]])
        // A verb that answers at once says of each object what became of it.
        const told = (ids) => ids.map((id) => (id === 'vm-1500' ? { id, error: { code: 'wrong_state', message: 'no', params: {}, request_id: 'x' } } : { id }))
        globalThis.fetch = async (_path, { body }) => {
          const value = { results: told(JSON.parse(body).ids) }
          return { ok: true, status: 200, statusText: '', json: async () => value, text: async () => JSON.stringify(value) }
        }
        const ignored = await sendMany('vms', { name: 'ignore' }, objects.slice(0, 2500), () => ({}))
        same([ignored.tasks, ignored.answered.length, ignored.answered.filter((one) => one.error).map((one) => [one.id, one.error.code])], [[], 2500, [['vm-1500', 'wrong_state']]])
      } finally {
        globalThis.fetch = before
      }
    }],
    ['a filter of the tree finds what nobody has unfolded, with what is above it', () => slowly(async (next, asked) => {
      await enters(next)
      const { Tree } = await load('kit/tree/model.ts')
      const tree = new Tree('hosts', ['pool-of-hosts'], () => undefined)
      const shown = () => tree.lines.map((line) => `${line.depth} ${line.more ?? line.object.name}`)
      try {
        ;(await next('/host-pools')).answer({ items: [{ id: 'hp-1', revision: 1, name: 'all' }], total: 1, revision: 1 })
        await until('the root', () => tree.lines.length === 1)
        tree.setFilter('Web ')
        same([shown(), tree.searching], [[], true])
        ;(await next('/vms?')).answer({ items: [{ id: 'vm-7', revision: 1, name: 'web-1', host: 'host-3' }, { id: 'vm-9', revision: 1, name: 'web-10', host: 'host-3' }], total: 250, revision: 1 })
        for (const plural of ['/host-pools?', '/clusters?', '/hosts?']) (await next(plural)).answer({ items: [], total: 0, revision: 1 })
        ;(await next('/hosts/host-3')).answer({ id: 'host-3', revision: 1, name: 'h3', cluster: 'cl-2', host_pool: 'hp-1' })
        ;(await next('/clusters/cl-2')).answer({ id: 'cl-2', revision: 1, name: 'c2', host_pool: 'hp-1' })
        await until('what was found', () => !tree.searching)
        same(shown(), ['0 all', '1 c2', '2 h3', '3 web-1', '3 web-10', '0 248'])
        same(asked.length, 0, 'requests beside')
        paint({ type: 'Vm', id: 'vm-7', op: 'patch', base: 1, object: { id: 'vm-7', revision: 2, power: { state: 'running' } } })
        await until('its state', () => tree.lines.some((line) => line.object.power?.state === 'running'))
        // What is above is known already: nothing is asked but what is looked for.
        tree.toggle('hp-1', true)
        for (const [path, items] of [['/clusters', [{ id: 'cl-2', revision: 1, name: 'c2', host_pool: 'hp-1' }]], ['/hosts?', []]]) (await next(path)).answer({ items, total: items.length, revision: 1 })
        await until('the cluster', () => tree.lines.length === 6)
        tree.setFilter('web-1')
        ;(await next('/vms?')).answer({ items: [{ id: 'vm-7', revision: 2, name: 'web-1', host: 'host-3' }], total: 1, revision: 1 })
        ;(await next('/hosts?')).answer({ items: [{ id: 'host-3', revision: 1, name: 'h3', cluster: 'cl-2', host_pool: 'hp-1' }], total: 1, revision: 1 })
        for (const plural of ['/host-pools?', '/clusters?']) (await next(plural)).answer({ items: [], total: 0, revision: 1 })
        await until('what was found', () => !tree.searching)
        same([shown(), asked.length], [['0 all', '1 c2', '2 h3', '3 web-1'], 0])
        tree.setFilter('')
        same(shown(), ['0 all', '1 c2'])
      } finally {
        tree.close()
      }
    })],
    ['the tree says how many children it does not show', () => slowly(async (next) => {
      await enters(next)
      const { Tree } = await load('kit/tree/model.ts')
      const tree = new Tree('pools', [], () => undefined)
      try {
        ;(await next('/pools')).answer({ items: [{ id: 'pool-1', revision: 1, name: 'a' }], total: 20300, next_cursor: 'x', revision: 1 })
        await until('the line', () => tree.lines.some((line) => line.more === 20299))
        same(tree.lines.length, 2)
      } finally {
        tree.close()
      }
    })],
    ['what comes by the link while a part of the tree is read is not lost', () => slowly(async (next) => {
      await enters(next)
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
