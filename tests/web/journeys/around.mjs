// SPDX-License-Identifier: Apache-2.0
// Getting around: what the tree finds, what the palette remembers, which tabs an object has, what a screen keeps.
import { check, head, nothingWrong, openPage, quiet, same, until, visit } from '../kit.mjs'

export function around(site, browser) {
  let page
  const at = async (path, allowed = []) => {
    page ??= await openPage(browser, site)
    await visit(page, site, path, allowed)
  }
  const good = () => nothingWrong(page)
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
    ['a cluster, a port group and a pool list the VMs that are in them, and follow who moves', async () => {
      const { cluster } = site.hosts[0]
      const all = await site.call('GET', `/vms?filter=host.cluster%3D${cluster} and management!%3Din_bin&limit=1000&fields=name`)
      const everywhere = (await site.call('GET', '/vms?filter=management!%3Din_bin&limit=1000')).items
      const inside = new Set((await site.call('GET', `/hosts?filter=cluster%3D${cluster}`)).items.map((host) => host.id))
      same(all.total, everywhere.filter((one) => inside.has(one.host)).length, 'VMs of its hosts')
      await at(`/clusters/${cluster}/vms`)
      await until('all of them', async () => (await page.textContent('[data-test=count]')) === String(all.total))
      const vm = everywhere.find((one) => inside.has(one.host) && one.power.state === 'running')
      const other = (await site.call('POST', '/clusters', { name: 'apart', host_pool: site.hosts[0].host_pool })).id
      await site.call('POST', `/hosts/${vm.host}/assign`, { cluster: other })
      await page.waitForSelector(`.row[data-id=${vm.id}]`, { state: 'detached' }) // its host went, and it went with that
      await page.goto(`${site.url}/clusters/${other}/vms`)
      await page.waitForSelector(`.row[data-id=${vm.id}]`)
      await page.goto(`${site.url}/clusters/${other}`)
      await page.waitForSelector(`.top >> text=${vm.name}`)
      await page.click('[data-test=top-vms] >> text=Memory')
      await page.waitForSelector('.card:has([data-test=top-vms]) .nums >> text=/[GM]iB/')
      await page.click('[data-test=top-vms] >> text=CPU')
      await site.call('POST', `/hosts/${vm.host}/assign`, { cluster })
      await page.goto(`${site.url}/port-groups/${vm.nics[0].port_group}/vms`)
      await page.waitForSelector(`.row[data-id=${vm.id}]`)
      const volume = await site.call('GET', `/volumes/${vm.disks[0].volume}`)
      await page.goto(`${site.url}/pools/${volume.pool}/vms`)
      await page.waitForSelector(`.row[data-id=${vm.id}]`)
      const wrong = await site.call('GET', '/vms?filter=host.cluster.name%3Dx').catch((error) => error.code)
      same(wrong, 'bad_filter', 'over two references')
      await site.call('DELETE', `/clusters/${other}`)
      good()
    }],
    ['a text is typed into a VM in a few requests, and none of it is in the audit log', async () => {
      const vm = (await site.call('GET', '/vms?filter=power.state%3Drunning&sort=name&limit=1')).items[0].id
      await at(`/vms/${vm}/console`, [/./])
      const sent = []
      page.on('request', (one) => one.url().endsWith('/send_keys') && sent.push(one.postDataJSON()))
      await page.click('.consolebar >> text=Send keys')
      await page.click('.ant-dropdown-menu-item >> text=Type')
      await page.fill('.ant-modal textarea', 'Secret-Word 42!\n'.repeat(32).slice(0, 500))
      await page.click('.ant-modal .ant-btn-primary')
      await until('all of it', () => sent.length === 4)
      await page.waitForSelector('.ant-modal .ant-btn-primary:enabled')
      same(sent.flatMap((one) => one.sequence.split(' ')).length, 500)
      same(sent[0].sequence.split(' ').slice(0, 8), ['shift+s', 'e', 'c', 'r', 'e', 't', 'minus', 'shift+w'])
      const records = (await site.call('GET', '/audit-records?limit=10')).items.filter((one) => one.operation === 'vm_send_keys')
      same([records.length, JSON.stringify(records).includes('shift+s')], [4, false])
      for (const [body, field] of [[{}, 'keys'], [{ keys: ['a'], sequence: 'b' }, 'sequence'], [{ sequence: 'a  b' }, 'sequence'], [{ sequence: 'a A' }, 'sequence'], [{ sequence: Array(257).fill('a').join(' ') }, 'sequence']]) {
        same((await site.call('POST', `/vms/${vm}/send_keys`, body).catch((error) => error)).field, field, JSON.stringify(body).slice(0, 40))
      }
      await page.keyboard.press('Escape')
      await page.waitForSelector('.ant-modal', { state: 'detached' })
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
      await page.evaluate(() => navigator.clipboard.writeText('from the clipboard'))
      await page.click('[data-test=paste]')
      await until('the text in the dialog', async () => (await page.inputValue('.ant-modal textarea')) === 'from the clipboard')
      await page.context().clearPermissions()
      await page.keyboard.press('Escape')
    }],
    ['why a VM is slow is one click away: a cause with its cure, or that nothing measured explains it', async () => {
      const vm = (await site.call('GET', '/vms?filter=power.state%3Drunning&sort=name&limit=1')).items[0]
      await at(`/vms/${vm.id}`, [/409/])
      await page.click('[data-tab=why]')
      await page.waitForSelector('[data-test=why] .finding, [data-test=why] >> text=/Nothing that is measured/')
      await until('charts', async () => (await page.locator('figure.chart').count()) === 4)
      // What the manager tells of it decides.
      await page.route(`**/api/v1/vms/${vm.id}`, async (route) => {
        const answer = await route.fetch()
        const now = await answer.json()
        await route.fulfill({ json: { ...now, revision: now.revision + 1000, usage: { ...now.usage, cpu_wait_percent: 44 } } }) // newer than what comes by the link
      })
      await page.goto(`${site.url}/vms/${vm.id}/why`)
      await page.waitForSelector('[data-cause=cpu_wait] >> text=44 %')
      await page.click('[data-cause=cpu_wait] [data-verb=migrate]')
      await page.waitForSelector('.ant-modal .pickhost')
      await page.keyboard.press('Escape')
      await page.unroute(`**/api/v1/vms/${vm.id}`)
      await page.goto(site.url + '/')
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
