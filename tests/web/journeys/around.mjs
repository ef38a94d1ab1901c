// SPDX-License-Identifier: Apache-2.0
// Getting around: what the tree finds, what the palette remembers, which tabs an object has, what a screen keeps.
import { check, head, openPage, quiet, same, until } from '../kit.mjs'

export function around(site, browser) {
  let page
  const at = async (path, allowed = []) => {
    page ??= await openPage(browser, site)
    page.allowed = allowed
    page.wrong.length = 0
    await page.goto(site.url + path)
    await page.waitForSelector('.page > *')
  }
  const good = () => same(page.wrong.filter((w) => !/422/.test(w)), [], 'what went wrong in the browser') // simulated hosts have no screen
  const line = (id) => `.tree .line[data-id=${id}]`
  return [
    ['the tree finds a VM under a host that nobody has unfolded', async () => {
      await at('/')
      const { id, host, name } = (await site.call('GET', '/vms?filter=name%3Dmonitor')).items[0]
      await page.waitForSelector(line(host)) // the cluster is shown open, the host folded
      same(await page.getAttribute(line(host), 'aria-expanded'), 'false')
      await page.fill('[data-test=tree-filter]', name.toUpperCase())
      await page.waitForSelector(`${line(id)}[aria-level="4"]`)
      await page.waitForSelector(line(host))
      same(await page.locator('.tree .line').count(), 4, 'the VM, and what is above it')
      await page.click(line(id))
      await page.waitForURL(`**/vms/${id}`)
      await page.fill('[data-test=tree-filter]', 'nobody is called so')
      await page.waitForSelector('.treepane [role=status] >> text=/has this in its name/')
      await page.fill('[data-test=tree-filter]', '')
      await page.waitForSelector(line(site.hosts[0].id))
      good()
    }],
    ['the tree goes on finding while names change', async () => {
      await at('/')
      const { id } = (await site.call('GET', '/vms?filter=name%3Dvpn')).items[0]
      await page.fill('[data-test=tree-filter]', 'tunnel')
      await page.waitForSelector('.treepane [role=status] >> text=/has this in its name/')
      await site.call('PATCH', `/vms/${id}`, { name: 'vpn-tunnel' })
      await page.waitForSelector(line(id))
      await site.call('PATCH', `/vms/${id}`, { name: 'vpn' })
      await page.waitForSelector(line(id), { state: 'detached' })
      good()
    }],
    ['what was opened lately is a key away, for its user alone', async () => {
      const [first, second] = site.vms
      await at(`/vms/${first}`, [/409/])
      await page.waitForSelector('h1 .name')
      await page.goto(`${site.url}/pools/${site.pools[0]}`)
      await page.waitForSelector('h1 .name')
      await page.goto(`${site.url}/vms/${second}`)
      await page.waitForSelector('h1 .name')
      await page.keyboard.press('/')
      await page.waitForSelector('.hit')
      const hits = await page.locator('.hit').allTextContents()
      check(hits[0].includes('local-01') && hits[1].includes('web-01') && !hits.some((hit) => hit.startsWith('web-02')), hits.slice(0, 4)) // where one is, is no place to go
      await page.keyboard.press('ArrowDown')
      await page.keyboard.press('Enter')
      await page.waitForURL(`**/vms/${first}`)
      const role = await site.call('POST', '/roles', { name: 'visitor', permissions: ['*.read'] })
      await site.call('POST', '/users', { name: 'visitor', password: 'visitor-visitor', roles: [role.id] })
      await page.click('[data-test=user]')
      await page.click('text=Log out')
      await page.fill('.login input[name=user]', 'visitor')
      await page.fill('.login input[name=password]', 'visitor-visitor')
      await page.click('[data-test=login]')
      await page.waitForSelector('.frame')
      await page.goto(site.url + '/')
      await page.waitForSelector('.page > *')
      await page.keyboard.press('/')
      await page.waitForSelector('.hit')
      check(!(await page.locator('.hit').allTextContents()).some((hit) => hit.includes('local-01')), 'what another one looked at')
      await page.context().close()
      page = undefined
    }],
    ['a host has the tabs of what is in it, not of what names it', async () => {
      await at(`/hosts/${site.hosts[0].id}`)
      await page.waitForSelector('.tabs [data-tab=vms]')
      await page.waitForSelector('.tabs [data-tab=pools]')
      same(await page.locator('.tabs [data-tab=clusters]').count(), 0)
      good()
    }],
    ['a screen that is connected again is as large as was chosen', async () => {
      const vm = (await site.call('GET', '/vms?filter=power.state%3Drunning&sort=name&limit=1')).items[0].id
      await at('/', [/./])
      // In place of noVNC: what the console makes of it.
      const stub = 'window.screens = []; export default class extends EventTarget { constructor() { super(); window.screens.push(this); setTimeout(() => this.dispatchEvent(new Event("connect"))) } focus() {} disconnect() {} sendCtrlAltDel() {} }'
      await page.route(/assets\/rfb-[^/]*\.js/, (route) => route.fulfill({ contentType: 'text/javascript', body: stub }))
      await page.route(`**/api/v1/vms/${vm}/console`, (route) => route.fulfill({ json: { ticket: 'x' } }))
      await page.goto(`${site.url}/vms/${vm}/console`)
      await page.waitForSelector(head('running'))
      await until('a screen', () => page.evaluate(() => window.screens?.length === 1 && window.screens[0].scaleViewport === true))
      await page.click('.consolebar >> text=Scale')
      await until('its own size', () => page.evaluate(() => window.screens[0].scaleViewport === false))
      await page.evaluate(() => window.screens[0].dispatchEvent(new Event('disconnect')))
      await until('another one', () => page.evaluate(() => window.screens.length === 2))
      same(await page.evaluate(() => window.screens[1].scaleViewport), false, 'scaled')
      await page.unroute(/assets\/rfb-[^/]*\.js/)
      await page.goto(site.url + '/')
      await quiet(page)
    }],
  ]
}
