// SPDX-License-Identifier: Apache-2.0
// What the console's tests share: a living estate, a browser, and a page that tells everything that goes wrong in it.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const require = createRequire(join(ROOT, 'web/package.json'))
const { chromium } = require('playwright-core')
export const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const DEADLINE_MS = 60000 // for what never comes; no test is to come near it
const HELD_MS = 600
const MIB = 1024 ** 2

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

export async function until(what, condition, deadline = DEADLINE_MS) {
  const end = Date.now() + deadline
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) throw new Error(`waited ${deadline} ms for ${what}`)
    await sleep(50)
  }
}

/** The estate: a manager with simulated hosts (living-site.c). */
export class Site {
  static async start(program, { hosts = 6, web = join(ROOT, 'web/dist') } = {}) {
    const site = new Site()
    site.dir = mkdtempSync(join(tmpdir(), 'ws-web-'))
    site.answers = []
    site.process = spawn(program, [site.dir, web, String(hosts)], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, G_DEBUG: '' } })
    createInterface({ input: site.process.stdout }).on('line', (line) => {
      if (line.startsWith('port ')) site.port = Number(line.slice(5))
      else if (line === 'ready') site.ready = true
      else site.answers.shift()?.(line === 'ok')
    })
    await until('the estate', () => site.ready || site.ended)
    if (!site.ready) throw new Error('the estate does not start')
    site.url = `https://127.0.0.1:${site.port}`
    site.agent = new Agent({ ca: readFileSync(join(site.dir, 'ca.crt')), keepAlive: true, checkServerIdentity: () => undefined })
    site.password = readFileSync(join(site.dir, 'initial-password'), 'utf8').trim()
    site.token = (await site.call('POST', '/sessions', { user_name: 'admin', password: site.password })).token
    return site
  }

  /** Also by a signal, which leaves no exit code. */
  get ended() {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  command(line) {
    this.process.stdin.write(line + '\n')
    return new Promise((resolve, reject) => this.answers.push((ok) => (ok ? resolve() : reject(new Error(`refused: ${line}`)))))
  }

  /** One request; an error of the API is an exception that has its code. */
  call(method, path, body, { token = this.token } = {}) {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const ask = request(`${this.url}/api/v1${path}`, { method, agent: this.agent, headers: { ...(token && { authorization: `Bearer ${token}` }), ...(text && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }) } }, (answer) => {
        let got = ''
        answer.on('data', (part) => (got += part))
        answer.on('end', () => {
          const value = got ? JSON.parse(got) : null
          if (answer.statusCode < 400) resolve(value)
          else reject(Object.assign(new Error(`${method} ${path}: ${answer.statusCode} ${got}`), value))
        })
      })
      ask.on('error', reject)
      ask.end(text)
    })
  }

  async task(task) {
    return until(`task ${task.id}`, async () => {
      const now = await this.call('GET', `/tasks/${task.id}`)
      return ['done', 'partly_done', 'failed', 'rolled_back', 'cancelled'].includes(now.state) && now
    })
  }

  /** A task to its end, which must be done. */
  async do(method, path, body) {
    const ended = await this.task(await this.call(method, path, body))
    if (ended.state !== 'done') throw new Error(`${method} ${path}: ${ended.state} ${JSON.stringify(ended.error)}`)
    return ended
  }

  async image(name, pool, bytes = 600 * MIB) {
    const made = await this.do('POST', '/images', { name, pool, upload_bytes: bytes, source_format: 'qcow2', cloud_init: true, os: { family: 'linux', variant: 'debian12' } })
    const image = await this.call('GET', `/images/${made.result ?? made.target}`)
    await this.command(`uploaded ${image.volume} ${bytes}`)
    await this.do('POST', `/volumes/${image.volume}/finish_upload`, {})
    return image.id
  }

  /** Pools on all hosts, a network, an image. */
  async furnish({ image = true } = {}) {
    this.hosts = (await this.call('GET', '/hosts?sort=name&limit=100')).items
    this.pools = []
    for (const host of this.hosts) {
      const done = await this.do('POST', '/pools', { name: `local-${host.name.slice(4, 6)}`, hosts: [host.id], path: `/var/lib/winsphere/pools/${host.name.slice(0, 6)}` })
      this.pools.push(done.result ?? done.target)
    }
    for (const host of this.hosts) {
      const sw = await this.do('POST', '/switches', { name: 'front', host: host.id })
      const group = await this.do('POST', '/port-groups', { name: 'lan', switch: sw.result ?? sw.target })
      this.groups = [...(this.groups ?? []), group.result ?? group.target]
    }
    if (image) this.images = [await this.image('debian-12-cloud', this.pools[0])]
    return this
  }

  /** VMs without an image: an empty disk each, on the hosts in turn. */
  async machines(names, { start = true } = {}) {
    const made = []
    for (const [i, name] of names.entries()) {
      const host = this.hosts[i % this.hosts.length]
      const done = await this.do('POST', '/vms', {
        name, host: host.id, cpu: { vcpus: 1 + (i % 4) * 2 || 1 }, memory_bytes: (2 + (i % 6) * 2) * 1024 * MIB, os: { family: 'linux', variant: 'debian12' }, labels: { team: ['shop', 'data', 'it'][i % 3] },
        disks: [{ new_volume: { size_bytes: (20 + i) * 1024 * MIB, pool: this.pools[i % this.pools.length] } }], nics: [{ port_group: this.groups[i % this.groups.length] }],
      })
      made.push(done.result ?? done.target)
    }
    if (start) await Promise.all(made.filter((_, i) => i % 5 !== 4).map((id) => this.do('POST', `/vms/${id}/start`, {})))
    this.vms ??= made
    return made
  }

  async stop() {
    this.process.stdin.end()
    this.agent.destroy()
    await until('its end', () => this.ended)
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** An Excel file of rows of cells, as a spreadsheet would save it. */
export async function makeSheet(path, rows) {
  const { default: write } = await import(pathToFileURL(require.resolve('write-excel-file/node')))
  await write(rows.map((row) => row.map((value) => (value === '' ? null : { value })))).toFile(path)
}

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars', '--force-color-profile=srgb', '--font-render-hinting=none']

export const openBrowser = () => chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS })

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function dice(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}

let opened = 0

/** What a slow line (WEB_SLOW=seed) and a slow machine (WEB_CPU=times) do to the pages of a context; nothing when neither is set. */
async function openSlowly(context) {
  const { WEB_SLOW: seed, WEB_CPU: times } = process.env
  if (!seed && !times) return context.newPage()
  const roll = dice(Number(seed ?? 0) * 7919 + opened++)
  const held = () => sleep(roll() * HELD_MS)
  const gone = () => undefined // a page may be closed at any time
  const slow = async (page) => {
    const session = await context.newCDPSession(page)
    if (times) await session.send('Emulation.setCPUThrottlingRate', { rate: Number(times) })
    if (!seed) return
    // The answer is held, not the question: what it says is old by the time it is read.
    session.on('Fetch.requestPaused', ({ requestId }) => held().then(() => session.send('Fetch.continueRequest', { requestId })).catch(gone))
    await session.send('Fetch.enable', { patterns: [{ urlPattern: '*/api/v1/*', requestStage: 'Response' }] })
  }
  if (seed) {
    await context.routeWebSocket(/\/api\/v1\/watch/, (socket) => {
      const server = socket.connectToServer()
      let last = Promise.resolve() // frames keep their order
      const later = (act) => (last = last.then(held).then(act).catch(gone))
      server.onMessage((message) => later(() => socket.send(message)))
      server.onClose((code, reason) => later(() => socket.close({ code, reason })))
    })
  }
  const page = await context.newPage()
  await slow(page)
  context.on('page', (other) => slow(other).catch(gone))
  return page
}

/** A browser's page on the console. What goes wrong in it is in `page.wrong`; `expectWrong` says what may. */
export async function openPage(browser, site, { path = '/', language = 'en', theme = 'light', size = [1440, 900], login = true, user = 'admin', password, allow = [] } = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: size[0], height: size[1] }, locale: language === 'zh' ? 'zh-CN' : 'en-GB', colorScheme: theme, timezoneId: 'Europe/Berlin', reducedMotion: 'reduce' })
  await context.addInitScript(([l, th]) => {
    if (!localStorage.getItem('ws-language')) localStorage.setItem('ws-language', l)
    if (!localStorage.getItem('ws-theme')) localStorage.setItem('ws-theme', th)
  }, [language, theme])
  const page = await openSlowly(context)
  page.setDefaultTimeout(DEADLINE_MS)
  page.wrong = []
  page.allowed = [...allow]
  page.clicks = 0
  const note = (text) => page.allowed.some((re) => re.test(text)) || page.wrong.push(text)
  page.under = new Set() // requests that are not answered yet
  page.on('request', (ask) => (ask.isNavigationRequest() ? page.under.clear() : ask.url().includes('/api/v1/') && page.under.add(ask)))
  for (const end of ['requestfinished', 'requestfailed']) page.on(end, (ask) => page.under.delete(ask))
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && note(message.text() + (/404/.test(message.text()) ? ` ${message.location().url}` : '')))
  page.on('pageerror', (error) => note(String(error.stack ?? error)))
  page.on('requestfailed', (ask) => ask.failure()?.errorText !== 'net::ERR_ABORTED' && note(`${ask.url()}: ${ask.failure()?.errorText}`))
  if (login) {
    page.allowed.push(/401/)
    await page.goto(site.url + path)
    await page.fill('input[name=user]', user)
    await page.fill('input[name=password]', password ?? site.password)
    await page.click('[data-test=login]')
    await page.waitForSelector('.frame')
    page.allowed.pop()
  }
  return page
}

/** Goes there afresh: what went wrong before is forgotten, what matches `allowed` is expected. */
export async function visit(page, site, path, allowed = []) {
  page.allowed = allowed
  page.wrong.length = 0
  await page.goto(site.url + path)
  await page.waitForSelector('.page > *')
}

/** Simulated hosts have no screen: that is no fault of the page. */
export const nothingWrong = (page) => same(page.wrong.filter((w) => !/422/.test(w)), [], 'what went wrong in the browser')

/** The state an object's page shows in its head: not a word, which stands on buttons too. */
export const head = (state) => `.objecthead .title .state[data-state=${state}]`

/** Until a page has all that it asked for, and nothing in it moves. What it asks for later comes by itself: by time, or because something changed. */
export const quiet = (page) => until('a quiet page', async () => {
  if (page.under.size) return false
  const still = await page.evaluate(async () => {
    await new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted)))
    const moves = document.getAnimations().some((one) => one.playState === 'running' && one.effect?.getComputedTiming().endTime !== Infinity)
    return !moves && !document.querySelector('.skeleton, [aria-busy=true]')
  })
  return still && !page.under.size
})

/** A click that counts. */
export async function click(page, selector, options) {
  page.clicks++
  await page.click(selector, options)
}

/** Runs named tests one after the other and prints TAP. */
export async function run(tests) {
  const only = process.env.ONLY
  const chosen = tests.filter(([name]) => !only || new RegExp(only).test(name))
  console.log(`1..${chosen.length}`)
  let failed = 0
  for (const [i, [name, test]] of chosen.entries()) {
    const began = Date.now()
    try {
      await test()
      console.log(`ok ${i + 1} ${name}`)
    } catch (error) {
      failed++
      console.log(`not ok ${i + 1} ${name}\n${String(error.stack ?? error).split('\n').slice(0, 14).map((l) => '# ' + l).join('\n')}`)
    }
    if (process.env.TIMES) console.log(`# ${Date.now() - began} ms`)
  }
  return failed
}

export function check(condition, what) {
  if (!condition) throw new Error(typeof what === 'string' ? what : JSON.stringify(what))
}

export const same = (got, wanted, what = 'value') => check(JSON.stringify(got) === JSON.stringify(wanted), `${what}: ${JSON.stringify(got)}, expected ${JSON.stringify(wanted)}`)
