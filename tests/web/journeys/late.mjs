// SPDX-License-Identifier: Apache-2.0
// While an answer is late: nothing is told that is not known, nothing is done twice, nothing else is opened than what was asked for.
import { check, head, openPage, quiet, same, until } from '../kit.mjs'
import { faults } from './pages.mjs'

const holds = []

/** Holds back what the page asks for until `go`, or the next page. */
async function hold(page, pattern, method = 'GET') {
  let go
  const told = new Promise((resolve) => (go = resolve))
  const keep = async (route) => {
    if (route.request().method() !== method) return route.fallback()
    await told
    await route.continue().catch(() => undefined)
  }
  await page.route(pattern, keep)
  holds.push(go)
  return async () => {
    go()
    await page.unroute(pattern, keep)
  }
}

/** What the page sends from now on, as "METHOD path". */
const noteSent = (page) => page.evaluate(() => {
  const real = globalThis.fetch
  globalThis.sent = []
  globalThis.fetch = (path, options) => {
    globalThis.sent.push(`${options?.method ?? 'GET'} ${path}`)
    return real(path, options)
  }
})
const sent = (page, begin) => page.evaluate((start) => globalThis.sent.filter((line) => line.startsWith(start)), begin)

export function late(site, browser) {
  let page
  const at = async (path) => {
    page ??= await openPage(browser, site)
    page.allowed = [/409/, /422/] // simulated hosts have no screen
    page.wrong.length = 0
    for (const go of holds.splice(0)) go() // of a test that failed
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    await page.goto(site.url + path)
    await page.waitForSelector('.page > *')
    await quiet(page)
  }
  const good = () => same(page.wrong, [], 'what went wrong in the browser')
  /** What is shown while the answer is awaited, and what when it has come. */
  const awaited = async (pattern, act, box, never, then) => {
    const go = await hold(page, pattern)
    await act()
    await page.waitForSelector(`${box} [aria-busy=true]`)
    const text = await page.textContent(box)
    check(!never.test(text), `told before it is known: ${text}`)
    await go()
    await page.waitForSelector(then)
    good()
  }
  return [
    ['Enter before the answer opens what was typed', async () => {
      const vm = site.vms[8]
      await at('/')
      const go = await hold(page, '**/api/v1/search?*')
      await page.keyboard.press('/')
      await page.keyboard.type('gitea')
      await page.evaluate(() => {
        const later = globalThis.setTimeout
        globalThis.setTimeout = (act, ms, ...more) => later(act, ms > 5000 ? ms : 0, ...more)
      }) // the answer comes later than any wait; that for the manager's beat is none
      await page.keyboard.press('Enter')
      await page.evaluate(() => new Promise((then) => setTimeout(then)))
      await go()
      await page.waitForURL(`**/vms/${vm}`)
      good()
    }],
    ['a second click or Enter before the answer asks for nothing', async () => {
      const [vm] = await site.machines(['twice'], { start: false })
      await at(`/vms/${vm}`)
      await noteSent(page)
      let go = await hold(page, '**/api/v1/vms/*/start', 'POST')
      await page.dblclick('.verbs [data-verb=start]')
      same(await sent(page, `POST /api/v1/vms/${vm}/start`), [`POST /api/v1/vms/${vm}/start`])
      await go()
      await page.waitForSelector(head('running'))
      await site.do('POST', `/vms/${vm}/power_off`, {})
      await page.waitForSelector(head('off'))
      for (const [key, name] of [['Escape', 'thrice'], ['Enter', 'once more']]) {
        await page.hover('.objecthead h1')
        await page.click('.rename')
        await page.fill('.objecthead input', name)
        await page.press('.objecthead input', key)
        await page.waitForSelector('.objecthead input', { state: 'detached' })
      }
      await page.waitForSelector('h1 >> text=once more')
      same((await sent(page, `PATCH /api/v1/vms/${vm}`)).length, 1, 'renamed')
      go = await hold(page, '**/api/v1/vms/*', 'DELETE')
      await page.click('[data-test=more-verbs]')
      await page.click('.ant-dropdown:not(.ant-dropdown-hidden) [data-verb=delete]:not(:has(.why))')
      await page.fill('[data-test=confirm-name]', 'once more')
      await page.waitForSelector('[data-test=confirm]:not([disabled])') // until then nobody has seen what it asks
      for (let i = 0; i < 2; i++) await page.press('[data-test=confirm-name]', 'Enter')
      same(await page.locator('.ant-modal .errorbox').allTextContents(), [])
      same((await sent(page, `DELETE /api/v1/vms/${vm}`)).filter((line) => !line.includes('dry_run')), [`DELETE /api/v1/vms/${vm}`])
      await go()
      await page.waitForSelector(head('in_bin'))
      good()
      await at('/business-groups')
      await site.do('DELETE', `/vms/${vm}`, { how: 'destroy' })
      await noteSent(page)
      go = await hold(page, '**/api/v1/business-groups', 'POST')
      await page.click('[data-test=create]')
      const name = page.locator('.ant-modal form input').first()
      await name.fill('once')
      for (let i = 0; i < 2; i++) await name.press('Enter')
      same((await sent(page, 'POST /api/v1/business-groups')).length, 1, 'made')
      await go()
      const [group] = await until('the group', async () => {
        const found = (await site.call('GET', '/business-groups?filter=name=once')).items
        return found.length && found
      })
      await page.waitForURL(`**/business-groups/${group.id}`)
      await site.call('DELETE', `/business-groups/${group.id}`)
      good()
    }],
    ['what is not known yet is not told', async () => {
      const host = site.hosts[0]
      const running = (await site.call('GET', `/vms?filter=host=${host.id}%20and%20power.state=running`)).total
      check(running > 0, 'nothing runs there')
      await at(`/hosts/${host.id}`)
      await awaited('**/api/v1/vms?*', () => page.click('[data-verb=enter_maintenance]'), '.ant-modal .review', /No VMs run here/, '.ant-modal .names li')
      await at(`/clusters/${host.cluster}/summary`)
      await awaited('**/api/v1/drs-recommendations?*', () => page.click('[data-tab=drs]'), '.cards.drs .card:first-of-type', /Nothing is advised/, '.cards.drs .allwell, .cards.drs [data-state=pending]')
    }],
    ['checks that were passed are those of what is chosen now', async () => {
      const vm = (await site.call('GET', `/vms?filter=host=${site.hosts[0].id}%20and%20power.state=running&sort=name`)).items[0].id
      await at(`/vms/${vm}`)
      await page.click('.verbs [data-verb=migrate]')
      await page.click(`.pickhost [data-host=${site.hosts[1].id}]`)
      await page.waitForSelector('.ant-modal .checkok')
      const go = await hold(page, `**/api/v1/vms/${vm}/migrate?dry_run=true`, 'POST')
      await page.click(`.pickhost [data-host=${site.hosts[2].id}]`)
      same(await page.locator('.ant-modal .checkok').count(), 0, 'checks said to be passed')
      await go()
      await page.waitForSelector('.ant-modal .checkok, .ant-modal .errorbox')
      await page.keyboard.press('Escape')
      good()
    }],
    ['what changes before the stream of changes is open is on the page', async () => {
      const vm = site.vms[0]
      const theirs = await openPage(browser, site, { allow: [/409/, /422/] })
      let go
      const told = new Promise((resolve) => (go = resolve))
      await theirs.routeWebSocket(/\/api\/v1\/watch/, async (socket) => {
        await told
        socket.connectToServer()
      })
      await theirs.goto(`${site.url}/vms/${vm}`)
      await theirs.waitForSelector(head('running'))
      await site.do('POST', `/vms/${vm}/pause`, {}) // while it stands still nothing else tells of it
      go()
      await theirs.waitForSelector(head('paused'))
      await site.do('POST', `/vms/${vm}/resume`, {})
      same(theirs.wrong, [])
      await theirs.context().close()
    }],
    ['a list and a search that are awaited have no serious fault', async () => {
      await at('/')
      let go = await hold(page, '**/api/v1/hosts?*')
      await page.click('.treepane .ant-segmented-item >> nth=2') // the tree reads no hosts there
      await page.goto(site.url + '/hosts')
      await page.waitForSelector('.row.ghost')
      same(await faults(page), [])
      await go()
      await page.waitForSelector('.row [role=gridcell]')
      await page.click('.treepane .ant-segmented-item >> nth=0')
      go = await hold(page, '**/api/v1/search?*')
      await page.focus('.grid')
      await page.keyboard.press('/')
      await page.keyboard.type('gitea')
      same(await faults(page), [])
      await go()
      await page.keyboard.press('Escape')
      good()
    }],
  ]
}
