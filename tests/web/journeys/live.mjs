// SPDX-License-Identifier: Apache-2.0
// What others do, or what happens behind the manager's back, is on screen without a reload; what goes wrong is said, and nothing is lost by it.
import { check, head, nothingWrong, openPage, quiet, same, until, visit } from '../kit.mjs'

export function live(site, browser, makeSite) {
  let page
  const at = async (path, allowed = []) => {
    page ??= await openPage(browser, site)
    await visit(page, site, path, allowed)
  }
  const good = () => nothingWrong(page)
  return [
    ['a change by somebody else is on the page, in the list, in the tree', async () => {
      const vm = site.vms[0]
      await at(`/vms/${vm}`, [/409/]) // its picture may be asked for just when it stops
      await page.waitForSelector(head('running'))
      await site.do('POST', `/vms/${vm}/pause`, {}) // to its end: while it lasts nothing else is taken
      await page.waitForSelector(head('paused'))
      await page.waitForSelector(`[data-id=${vm}] [aria-label=Paused]`)
      await page.goto(site.url + '/vms?filter=web-01')
      await page.waitForSelector(`.row[data-id=${vm}] .state[data-state=paused]`)
      await site.do('POST', `/vms/${vm}/resume`, {})
      await page.waitForSelector(`.row[data-id=${vm}] .state[data-state=running]`)
      good()
    }],
    ['what happens behind the manager is on the page', async () => {
      const vm = site.vms[6]
      await at(`/vms/${vm}`, [/409/])
      await page.waitForSelector(head('running'))
      await site.command(`end ${vm}`)
      await page.waitForSelector(head('off'))
      good()
    }],
    ['a crashed VM has its alarm: on its page and in the list, with what to do, in both languages, until it runs', async () => {
      const vm = (await site.call('GET', '/vms?filter=power.state%3Drunning&sort=name&limit=1')).items[0].id // whatever others have done to theirs
      await at(`/vms/${vm}`, [/409/])
      await page.waitForSelector(head('running'))
      await site.command(`end ${vm} crashed`)
      const box = page.locator('[data-test=alarm]')
      await box.waitFor()
      const said = await box.innerText()
      check(said.includes('Guest crashed') && said.includes('winctl vm log'), said)
      await at('/alarms')
      const row = page.locator('.row', { hasText: 'Guest crashed' })
      await row.waitFor()
      const line = await row.innerText()
      check(line.includes('Look at its screen and its log'), line)
      const chinese = await openPage(browser, site, { language: 'zh' })
      await chinese.goto(`${site.url}/vms/${vm}`)
      await chinese.locator('[data-test=alarm]', { hasText: '客户机崩溃' }).waitFor()
      check((await chinese.locator('[data-test=alarm]').innerText()).includes('查看其屏幕和日志'), 'what to do, in Chinese')
      await chinese.context().close()
      await at(`/vms/${vm}`, [/409/])
      await box.waitFor()
      await site.do('POST', `/vms/${vm}/start`, {})
      await box.waitFor({ state: 'detached' })
      good()
    }],
    ['charts show what was measured before the page was opened, as far back as is chosen', async () => {
      const vm = (await site.call('GET', '/vms?filter=power.state%3Drunning&sort=name&limit=1')).items[0].id
      await site.command('past 3')
      await at(`/vms/${vm}/monitor`)
      const points = () => page.locator('figure.chart').first().getAttribute('data-points').then(Number)
      const choose = (range) => page.click(`[data-test=range] label:has(input[type=radio]):has-text("${range}")`)
      await choose('Hour')
      await until('an hour of 20 s', async () => (await points()) > 150)
      await until('both lines', async () => /^CPU: This VM [\d.]+ %, Its host [\d.]+ %$/.test(await page.getAttribute('figure.chart [role=img]', 'aria-label')))
      await choose('Day')
      await until('three hours of 5 min', async () => (await points()) > 30 && (await points()) < 40)
      await choose('Week')
      await until('three hours of 30 min', async () => (await points()) > 3 && (await points()) < 8)
      await page.reload()
      await until('the choice is kept', async () => (await points()) > 3 && (await points()) < 8)
      await choose('Live')
      await page.waitForSelector('.rangebar >> text=As it comes in')
      await at(`/pools/${site.pools[0]}/monitor`)
      await until('a pool', async () => (await points()) > 150)
      good()
    }],
    ['what hangs on a port group is shown from the wire to the VM', async () => {
      const host = site.hosts[0].id
      await at(`/hosts/${host}/network`)
      await page.waitForSelector(`.layernode[data-node=${site.groups[0]}]`)
      const vms = (await site.call('GET', `/vms?filter=host=${host} and management!=in_bin&limit=100`)).items.filter((vm) => vm.nics.length)
      await until('its VMs', async () => (await page.locator('.layers ul').last().locator('[data-node]').count()) >= vms.length)
      await page.hover(`.layernode[data-node=${site.groups[0]}]`)
      await until('its lines: to its switch, and to each VM', async () => (await page.locator('.layers path.near').count()) === vms.length + 1)
      await at(`/pools/${site.pools[0]}/topology`)
      await page.waitForSelector(`.layernode[data-node=${site.vms[0]}]`)
      await at(`/clusters/${site.hosts[0].cluster}/storage`)
      await page.waitForSelector(`.layernode[data-node=${site.pools[0]}]`)
      good()
    }],
    ['the tree shows VMs by business groups, and follows who moves them', async () => {
      const [vm, other] = site.vms
      const shop = (await site.call('POST', '/business-groups', { name: 'shop' })).id
      const front = (await site.call('POST', '/business-groups', { name: 'front end', parent: shop })).id
      await site.call('POST', `/business-groups/${front}/take`, { vms: [vm] })
      await at(`/vms/${vm}`)
      await page.click('.treepane .ant-segmented-item >> text=Groups')
      await page.waitForSelector(`.line[data-id=${vm}][aria-level="3"]`) // its way is unfolded
      await page.waitForSelector(`.line[data-id=${other}][aria-level="1"]`) // in no group
      await site.call('POST', `/business-groups/${shop}/take`, { vms: [vm, other] })
      await page.waitForSelector(`.line[data-id=${vm}][aria-level="2"]`)
      await page.waitForSelector(`.line[data-id=${other}][aria-level="2"]`)
      await site.call('POST', `/business-groups/${shop}/release`, { vms: [vm, other] })
      await page.waitForSelector(`.line[data-id=${vm}][aria-level="1"]`)
      await at(`/business-groups/${shop}`)
      await page.waitForSelector('h1 >> text=shop')
      await page.waitForSelector('[data-test=quota] >> text=no limit')
      await site.call('PATCH', `/business-groups/${shop}`, { quota: { vms: 5, memory_bytes: 2 ** 30 } })
      await page.waitForSelector('[data-test=quota] >> text=0 / 5')
      await at(`/business-groups/${front}`)
      await page.waitForSelector('.card:has-text("shop") .usage >> text=0 / 5') // it counts for the group above
      await at(`/business-groups/${shop}`)
      await page.click('.treepane .ant-segmented-item >> text=Hosts')
      await site.call('DELETE', `/business-groups/${front}`)
      await site.call('DELETE', `/business-groups/${shop}`)
      good()
    }],
    ['a lost host is seen, and comes back', async () => {
      const host = site.hosts[2].id
      await at(`/hosts/${host}`)
      await page.waitForSelector(head('connected'))
      await site.command(`cut ${host}`)
      await page.waitForSelector(head('lost'))
      await site.command(`connect ${host}`)
      await page.waitForSelector(head('connected'))
      good()
    }],
    ['buttons follow the object that is shown', async () => {
      const vm = site.vms[2]
      await at(`/vms/${vm}`, [/409/]) // its picture may be asked for just when it goes off
      await page.waitForSelector('.verbs [data-verb=shutdown]:enabled')
      await site.do('POST', `/vms/${vm}/power_off`, {})
      await page.waitForSelector('.verbs [data-verb=start]:enabled')
      same(await page.locator('.verbs [data-verb=shutdown]').count(), 0)
      await page.click('.verbs [data-verb=start]')
      await page.waitForSelector(head('running'))
      good()
    }],
    ['a VM that is deleted while its page is open says so', async () => {
      const [vm] = await site.machines(['short-lived'], { start: false })
      await at(`/vms/${vm}`)
      await page.waitForSelector('h1 >> text=short-lived')
      await site.do('DELETE', `/vms/${vm}`, { how: 'destroy' })
      await page.waitForSelector('[data-test=gone]')
      same(await page.locator('.verbs').count(), 0)
      good()
      await at('/vms/vm-99999999', [/404/])
      await page.waitForSelector('.errorbox')
    }],
    ['a refused verb tells object, reason, what to do and its number', async () => {
      const vm = site.vms[4]
      await at(`/vms/${vm}`, [/409/])
      await page.waitForSelector('.verbs [data-verb=start]:enabled')
      await page.route('**/api/v1/vms/*/start', async (route) => {
        await site.do('POST', `/vms/${vm}/start`, {}) // somebody was quicker
        await route.continue()
      })
      await page.click('.verbs [data-verb=start]')
      const box = page.locator('.toast .errorbox')
      await box.waitFor()
      const text = await box.textContent()
      check(/cannot start while/.test(text) && /Request [\w-]{8,}/.test(text), text)
      await page.unroute('**/api/v1/vms/*/start')
      good()
    }],
    ['a change of the same field by somebody else is told while one edits', async () => {
      const vm = site.vms[6]
      await at(`/vms/${vm}`)
      await page.click('.card [aria-label^=Change]')
      await page.fill('.ant-modal textarea', 'mine')
      await site.call('PATCH', `/vms/${vm}`, { description: 'theirs' })
      await page.waitForSelector('.ant-modal .notice')
      same(await page.inputValue('.ant-modal textarea'), 'mine')
      await page.keyboard.press('Escape')
      good()
    }],
    ['a session that ends in the middle asks again and keeps the place', async () => {
      await at('/vms/deploy', [/401/, /WebSocket/])
      await page.fill('#deploy-name', 'half-typed')
      const me = await page.evaluate(() => fetch('/api/v1/whoami').then((r) => r.json()))
      await site.call('DELETE', `/sessions/${me.session}`)
      await page.fill('#deploy-count', '2')
      await page.waitForSelector('.login.over')
      await page.fill('.login input[name=password]', site.password)
      await page.click('.login [data-test=login]')
      await page.waitForSelector('.login', { state: 'detached' })
      same(await page.inputValue('#deploy-name'), 'half-typed')
      good()
    }],
    ['too many wrong passwords say how long to wait, for that user alone', async () => {
      await at('/vms', [/401/, /429/, /WebSocket/])
      await page.waitForSelector('.row [role=gridcell]')
      const me = await page.evaluate(() => fetch('/api/v1/whoami').then((r) => r.json()))
      await site.call('DELETE', `/sessions/${me.session}`)
      await page.reload()
      await page.waitForSelector('.login')
      const button = '.login [data-test=login]'
      await page.fill('.login input[name=user]', 'mistyped')
      await until('the wait', async () => {
        await page.fill('.login input[name=password]', 'a guess')
        const [answer] = await Promise.all([page.waitForResponse('**/api/v1/sessions*'), page.click(button)])
        await page.waitForSelector('.login .errorbox')
        await page.waitForSelector(`${button}:not(.ant-btn-loading)`)
        return answer.status() === 429
      })
      check(/in \d+ s/.test(await page.innerText(button)), await page.innerText(button))
      check(await page.isDisabled(button), 'the button waits')
      check(/looked at in \d+ s/.test(await page.innerText('.login .errorbox')), await page.innerText('.login .errorbox'))
      await page.fill('.login input[name=user]', 'admin')
      await page.fill('.login input[name=password]', site.password)
      await page.click(button)
      await page.waitForSelector('.login', { state: 'detached' })
      good()
    }],
    ['rows stay where they are while somebody picks; new ones wait for a word', async () => {
      await at('/vms')
      await page.waitForSelector('.row [role=gridcell]')
      await page.click('.row:nth-child(2) input')
      const [made] = await site.machines(['aaa-first'], { start: false })
      await page.waitForSelector('.listbar >> text=sort now')
      same(await page.locator('.row >> text=aaa-first').count(), 0)
      await page.click('.listbar >> text=sort now')
      await page.waitForSelector('.row >> text=aaa-first')
      await site.do('DELETE', `/vms/${made}`, { how: 'destroy' })
      good()
    }],
    ['names are text, whatever they are', async () => {
      const names = ['<img src=x onerror="window.hurt=1"><script>window.hurt=2</script>', 'مرحبا بالعالم (hurt)', '名'.repeat(85), 'a'.repeat(250) + '-tail']
      const made = await site.machines(names, { start: false })
      await at('/vms?filter=' + encodeURIComponent('hurt'), [/422/])
      await page.waitForSelector('.row >> text=onerror')
      for (const [i, id] of made.entries()) {
        await page.goto(`${site.url}/vms/${id}`)
        await page.waitForSelector('h1 .name')
        same(await page.evaluate(() => [document.querySelectorAll('h1 img').length, window.hurt ?? 0]), [0, 0], names[i])
      }
      check((await page.textContent('h1')).endsWith('-tail'), await page.textContent('h1'))
      await page.keyboard.press('/')
      await page.keyboard.type('onerror')
      await page.waitForSelector('.hit >> text=onerror')
      await page.keyboard.press('Escape')
      await Promise.all(made.map((id) => site.do('DELETE', `/vms/${id}`, { how: 'destroy' })))
      good()
    }],
    ['who may only read is offered nothing else, and told which right it takes', async () => {
      const role = await site.call('POST', '/roles', { name: 'reader', permissions: ['*.read'] })
      await site.call('POST', '/users', { name: 'reader', password: 'reader-reader', roles: [role.id] })
      const theirs = await openPage(browser, site, { user: 'reader', password: 'reader-reader', path: '/vms' })
      await theirs.waitForSelector('.row [role=gridcell]')
      check(await theirs.isDisabled('[data-test=deploy]'), 'deploy is offered')
      await theirs.goto(`${site.url}/vms/${site.vms[0]}`)
      await theirs.waitForSelector('.verbs button')
      for (const button of await theirs.locator('.verbs [data-verb]').all()) {
        check(await button.isDisabled(), 'a verb is offered')
        check(/right/.test(await button.getAttribute('title')), 'no reason')
      }
      same(await theirs.locator('.rename').count(), 0)
      same(theirs.wrong.filter((w) => !/422/.test(w)), [])
      await theirs.context().close()
    }],
    ['a slow answer shows that it is awaited', async () => {
      await at('/')
      let go
      const seen = new Promise((resolve) => (go = resolve))
      await page.route('**/api/v1/vms/vm-*', async (route) => {
        await seen
        await route.continue().catch(() => undefined)
      })
      await page.goto(`${site.url}/vms/${site.vms[0]}`)
      await page.waitForSelector('.page > .skeleton[aria-busy=true]')
      go()
      await page.waitForSelector('h1 .name')
      await page.unroute('**/api/v1/vms/vm-*')
      good()
    }],
    ['a manager that does not answer, its connections still open, is noticed: no verb is offered on what is old, until it answers', async () => {
      const other = await (await makeSite()).furnish({ image: false })
      const [vm] = await other.machines(['still'])
      const theirs = await openPage(browser, other, { path: `/vms/${vm}`, allow: [/WebSocket|ERR_|Failed to load|409|422/] })
      await theirs.waitForSelector('.verbs [data-verb=shutdown]:enabled')
      other.process.kill('SIGSTOP') // nothing is closed: as by a cut cable
      await theirs.waitForSelector('[data-test=linkbar]')
      for (const button of await theirs.locator('.verbs [data-verb]').all()) {
        check(await button.isDisabled(), 'a verb is offered on what is old')
        check(/does not answer/.test(await button.getAttribute('title')), await button.getAttribute('title'))
      }
      await theirs.click('[data-test=more-verbs]')
      await theirs.waitForSelector('.verbitem[data-verb=power_off]')
      same(await theirs.locator('.ant-dropdown-menu-item:not(.ant-dropdown-menu-item-disabled) .verbitem').count(), 0)
      await theirs.keyboard.press('Escape')
      await theirs.click('.mainnav a[href="/vms"]')
      await theirs.waitForSelector('[data-test=deploy]:disabled')
      await theirs.goBack()
      other.process.kill('SIGCONT')
      await theirs.waitForSelector('[data-test=linkbar]', { state: 'detached' })
      await theirs.waitForSelector('.verbs [data-verb=shutdown]:enabled')
      same(theirs.wrong, [])
      await theirs.context().close()
      await other.stop()
    }],
    ['a manager that is gone is said to be, since when, and found again by itself', async () => {
      const other = await makeSite()
      const theirs = await openPage(browser, other)
      theirs.allowed.push(/WebSocket|ERR_|Failed to load/)
      other.process.kill('SIGKILL')
      await theirs.waitForSelector('[data-test=linkbar]')
      check(/stopped at \d\d:\d\d:\d\d/.test(await theirs.textContent('[data-test=linkbar]')), 'no time')
      same(theirs.wrong, [])
      await theirs.context().close()
      await until('its end', () => other.process.exitCode !== null || other.process.signalCode)
    }],
  ]
}
