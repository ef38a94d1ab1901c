// SPDX-License-Identifier: Apache-2.0
// The console's pure parts, without a browser.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { check, ROOT, same } from './kit.mjs'
import { lists } from './lists.mjs'

const require = createRequire(join(ROOT, 'web/package.json'))
const { createServer } = await import(pathToFileURL(require.resolve('vite')))

/** Loads modules of the console as they are. */
export async function units() {
  const server = await createServer({ root: join(ROOT, 'web'), configFile: false, logLevel: 'error', server: { middlewareMode: true, hmr: false, ws: false }, appType: 'custom', optimizeDeps: { noDiscovery: true } })
  globalThis.document ??= { documentElement: {} }
  globalThis.localStorage ??= { getItem: () => null, setItem: () => undefined }
  globalThis.addEventListener ??= () => undefined
  const load = (path) => server.ssrLoadModule('/src/' + path)
  const format = await load('kit/format/index.ts')
  const contract = await load('api/contract.ts')
  await contract.loadContract('en')
  const filter = await load('kit/table/filter.ts')
  const { Terminal, keyText } = await load('kit/console/terminal.ts')
  const { keysFor, sequences } = await load('kit/console/layout.ts')
  const { patchOf } = await load('kit/form/patch.ts')
  const link = await load('live/link.ts')
  const screen = (t) => t.screen.map((line) => line.map((c) => c.c).join('').trimEnd())

  const tests = [
    ['sizes are told in powers of 1024, with three digits', () => {
      same([0, 1023, 1024, 1536, 8 * 1024 ** 3, 1.25 * 1024 ** 4, null].map(format.bytes), ['0 B', '1023 B', '1 KiB', '1.5 KiB', '8 GiB', '1.25 TiB', '-'])
      same(format.bytesOf(3.2 * 1024 ** 3, 8 * 1024 ** 3), '3.2 / 8 GiB')
    }],
    ['sizes are understood in any unit', () => {
      same(['8g', '8 GiB', '8192M', '8', '1.5t', '512 B', '', 'x', '8 GX'].map((s) => format.parseBytes(s)), [8, 8, 8, 8, 1536].map((n) => n * 1024 ** 3).concat([512, null, null, null]))
    }],
    ['network rates are bits, shares have one decimal below ten', () => {
      same([format.bits(125), format.bits(1.25e9), format.percent(7.25), format.percent(72.4), format.percent(undefined)], ['1 kbit/s', '10 Gbit/s', '7.3 %', '72 %', '-'])
    }],
    ['what is in the bin says how long it is there yet', () => {
      const now = Date.parse('2026-11-28T12:00:00Z')
      same(['2026-12-10T13:00:00Z', '2026-11-28T15:30:00Z', '2026-11-28T11:00:00Z'].map((when) => format.binned('In bin', when, now)), ['In bin, 12 d left', 'In bin, 3 h 30 min left', 'In bin, about to go'])
    }],
    ['names keep their ends, and what would hide is seen', () => {
      const long = 'a'.repeat(60) + '-001'
      check(format.middle(long).endsWith('-001') && format.middle(long).length <= 48, format.middle(long))
      same(format.visible('a\u202eb\nc'), 'a\u2423b\u2423c')
    }],
    ['steps of tasks are told in words, with the size that is in their name', async () => {
      const { stepInWords } = await load('api/steps.ts')
      const steps = { enter: ['Enter it', '登记'], 'pack (needs at most {})': ['Pack (needs {} at most)', '打包（最多需要 {}）'] }
      same(['enter', 'pack (needs at most 20.3 MiB)', 'some_step'].map((name) => stepInWords(steps, name)), ['Enter it', 'Pack (needs 20.3 MiB at most)', 'Some step'])
    }],
    ['pieces of sentences are told in Chinese, as the manager tells them', async () => {
      const { phrase, setPhrases } = await load('api/phrases.ts')
      same(phrase('a number'), 'a number')
      setPhrases({ 'a number': '数字', off: '关机', hibernated: '已休眠', 'power.state': '电源状态', 'the guest has not released the device': '客户机未释放该设备', 'possible with {} {}': '可用条件：{} 为 {}', 'at most {} items': '最多 {} 项', '{} to {} {}': '{} 到 {} {}' })
      same(['a number', 'at most 3 items', 'at most a number items', 'nics[nic-0]: the guest has not released the device', 'possible with power.state off, hibernated', 'a number; who knows', 'a (b', ''].map(phrase),
        ['数字', '最多 3 项', '最多 数字 项', 'nics[nic-0]：客户机未释放该设备', '可用条件：电源状态 为 关机，已休眠', '数字；who knows', 'a (b', ''])
      same(['1 to 16 at most 3 items', "Failed to connect socket to '/run/daemon-sock'", '1 to many items'].map(phrase), ['1 到 16 最多 3 项', "Failed to connect socket to '/run/daemon-sock'", '1 to many items'])
      setPhrases({})
    }],
    ['words of the filter bar become a filter of the API', () => {
      const of = (text, type = 'Vm') => filter.parse(type, text).filter
      same(of('web state:running cpu>2'), 'name~web and power.state=running and cpu.vcpus>2')
      same(of('memory>=8g'), 'memory_bytes>=8589934592')
      same(of('"two words" ip:10.2.'), 'name~"two words" and guest.ips~10.2.')
      same(of('name:"a\\"b"'), 'name~"a\\\\\\"b"')
      same(filter.parse('Vm', 'nothing:1').unknown, ['nothing'])
      same([of('host.cluster:cl-1'), of('host.load.cpu_percent>80'), filter.parse('Vm', 'host.nothing:1').unknown], ['host.cluster=cl-1', 'host.load.cpu_percent>80', ['host.nothing']])
      check(filter.complete('Vm', 'state:ru').includes('state:running'), filter.complete('Vm', 'state:ru'))
    }],
    ['a patch makes the next version of an object, and of no other one', () => {
      const patch = { type: 'Host', id: 'host-1', op: 'patch', base: 5, object: { id: 'host-1', revision: 6, load: { cpu: 2 }, cluster: null } }
      const known = { id: 'host-1', revision: 5, name: 'a', cluster: 'cl-1', load: { cpu: 1, memory: 3 } }
      same(link.after(known, patch), { id: 'host-1', revision: 6, name: 'a', load: { cpu: 2 } })
      same(known.cluster, 'cl-1') // what views hold is not touched
      same(link.after({ ...known, revision: 6 }, patch).load, known.load) // known already
      same(link.after({ ...known, revision: 4 }, patch), undefined) // a version is missing
      same(link.after(undefined, patch), undefined)
      same(link.after(undefined, { type: 'Host', id: 'host-1', op: 'put', object: known }), known)
      same(link.after({ ...known, revision: 6 }, { type: 'Host', id: 'host-1', op: 'put', object: known }).revision, 6) // an answer was quicker
      const then = { type: 'Host', id: 'host-1', op: 'patch', base: 6, object: { id: 'host-1', revision: 7, name: 'b' } }
      same(link.after(known, link.join(patch, then)), { id: 'host-1', revision: 7, name: 'b', load: { cpu: 2 } })
      same(link.join({ type: 'Host', id: 'host-1', op: 'put', object: known }, patch).object.revision, 6)
      same(link.join(patch, { type: 'Host', id: 'host-1', op: 'gone' }).op, 'gone')
    }],
    ['a terminal writes, wraps, scrolls, erases and answers', () => {
      const t = new Terminal(10, 3)
      t.write('hello\r\nworld')
      same(screen(t), ['hello', 'world', ''])
      t.write('\x1b[H\x1b[2Kx\x1b[31mred\x1b[0m')
      same(screen(t)[0], 'xred')
      same([t.screen[0][1].fg, t.screen[0][0].fg], [1, -1])
      t.write('\x1b[3;1H1234567890AB')
      same(screen(t), ['world', '1234567890', 'AB'])
      same(t.past.map((l) => l.map((c) => c.c).join('').trimEnd()), ['xred'])
      let answer = ''
      t.onReply = (text) => (answer += text)
      t.write('\x1b[6n')
      same(answer, '\x1b[3;3R')
    }],
    ['a terminal takes a scrolled part, inserted lines and the other screen', () => {
      const t = new Terminal(8, 4)
      t.write('a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[3;1H\nX')
      same(screen(t), ['a', 'c', 'X', 'd'])
      t.write('\x1b[r\x1b[2;1H\x1b[L')
      same(screen(t), ['a', '', 'c', 'X'])
      t.write('\x1b[?1049h\x1b[2Jmenu')
      check(screen(t).join('').includes('menu'), screen(t))
      t.write('\x1b[?1049l')
      same(screen(t), ['a', '', 'c', 'X'])
    }],
    ['a terminal survives any bytes', () => {
      const t = new Terminal(20, 5)
      let seed = 7
      const next = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff)
      for (let i = 0; i < 200; i++) {
        t.write(Uint8Array.from({ length: 300 }, () => (next() % 5 === 0 ? 27 : next() % 3 === 0 ? 91 : next() % 256)))
        check(t.screen.length === t.rows && t.screen.every((l) => l.length === t.columns && l.every(Boolean)) && t.x >= 0 && t.x < t.columns && t.y >= 0 && t.y < t.rows, `after ${i}: ${t.x},${t.y} ${t.screen.map((l) => l.length)}`)
      }
    }],
    ['keys are what a terminal sends', () => {
      const key = (k, more = {}) => keyText({ key: k, ctrlKey: false, altKey: false, metaKey: false, ...more }, false)
      same([key('a'), key('Enter'), key('ArrowUp'), key('c', { ctrlKey: true }), key('Shift'), key('x', { altKey: true })], ['a', '\r', '\x1b[A', '\x03', undefined, '\x1bx'])
    }],
    ['characters find their keys on a US keyboard', () => {
      same([keysFor('a'), keysFor('A'), keysFor('@'), keysFor('\n'), keysFor('é')], [['a'], ['shift', 'a'], ['shift', '2'], ['enter'], undefined])
    }],
    ['a pool is full when the line through what was measured says so; without a line nothing is said', async () => {
      const { forecast } = await load('pages/pools/forecast.ts')
      const DAY = 86400000
      const filling = Array.from({ length: 11 }, (_, i) => [i * DAY, i === 4 ? null : 100 + 10 * i])
      same(forecast(filling, 300, 10 * DAY), { kind: 'full', ms: 20 * DAY })
      same(forecast(filling, 150, 10 * DAY), { kind: 'full', ms: 10 * DAY }) // it is
      same(forecast(filling.map(([ms]) => [ms, 100]), 300, 0).kind, 'not_filling')
      same(forecast(filling.map(([ms, used]) => [ms, used && 300 - used]), 300, 0).kind, 'not_filling')
      same(forecast(filling.map(([ms, used]) => [ms / 100, used]), 300, 0).kind, 'too_little')
      same([forecast([], 300, 0).kind, forecast(filling, undefined, 0).kind], ['too_little', 'too_little'])
    }],
    ['why a VM is slow is said by what was measured, the weightiest first; nothing is made up', async () => {
      const { whySlow, meanSince } = await load('pages/vms/why.ts')
      const causes = (m) => whySlow(m).map((one) => one.cause)
      same([causes({}), causes({ cpu: 40, wait: 1, memory: 50, hostIo: 2, hostMemoryFree: 40 })], [[], []])
      same(causes({ cpu: 97, wait: 35, hostCpu: 99 }), ['cpu_wait', 'cpu'])
      same(whySlow({ wait: 35 })[0].cure, { verb: 'migrate' })
      same(causes({ hostIo: 45, hostMemoryFree: 2, memory: 99, cpu: 99, wait: 50 }), ['cpu_wait', 'host_memory', 'host_io'])
      same(causes({ activity: 'migrating' }), ['activity'])
      same([meanSince([[1, 50], [2, null], [3, 10], [4, 20]], 2), meanSince([[1, 5]], 2)], [15, undefined])
    }],
    ['a text is typed in a few pieces, each character by its keys', () => {
      same(sequences('Hi, @x\n', 4), [{ sequence: 'shift+h i comma space', characters: 4 }, { sequence: 'shift+2 x enter', characters: 3 }])
      same(sequences('a'.repeat(500), 125).length, 4)
      check(sequences('"'.repeat(125), 125)[0].sequence.length <= 8192, 'longer than the API takes')
    }],
    ['a patch holds what was changed and nothing else', () => {
      same(patchOf({ a: 1, b: { c: 1, d: 2 }, e: [1] }, { a: 1, b: { c: 3, d: 2 }, e: [1, 2], f: 'x' }), { b: { c: 3 }, e: [1, 2], f: 'x' })
      same(patchOf({ a: 1, b: 2 }, { a: 1 }), { b: null })
    }],
    ['every look has its glyph', async () => {
      const { GLYPHS } = await load('kit/state/glyphs.tsx')
      const { default: data } = await load('api/generated/contract.en.json')
      for (const [path, values] of Object.entries(data.looks)) for (const [value, look] of Object.entries(values)) check(GLYPHS[look.glyph], `${path} ${value}: ${look.glyph}`)
    }],
    ['colours of states stand out from their ground and from each other', async () => {
      const { states, surfaces } = await load('theme/tokens.mjs')
      const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
      const lum = (hex) => rgb(hex).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)).reduce((n, c, i) => n + c * [0.2126, 0.7152, 0.0722][i], 0)
      const contrast = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) }
      for (const theme of ['light', 'dark']) for (const [name, colour] of Object.entries(states[theme])) check(contrast(colour, surfaces[theme].panel) >= 3, `${theme} ${name}: ${contrast(colour, surfaces[theme].panel)}`)
    }],
    ...await lists(load),
  ]
  return { tests, close: () => server.close() }
}
