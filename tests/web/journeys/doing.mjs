// SPDX-License-Identifier: Apache-2.0
// Whole jobs through their dialogs: what is needed stands first, nothing that the manager needs is left out, what is sent takes nothing away by
// accident, and what cannot be done says what would let it be.
import { check, click, head, openPage, quiet, same, until } from '../kit.mjs'

const HAN = /\p{Script=Han}/u
const GIB = 1024 ** 3
const most = (page, n) => check(page.clicks <= n, `${page.clicks} clicks, at most ${n}`)

export function doing(makeSite, browser) {
  let site
  let page
  let theirs // in Chinese
  /** An estate of its own, since jobs leave things behind. Opened by the first test that needs it. */
  const at = async (path, { chinese } = {}) => {
    site ??= await (await makeSite({ hosts: 3 })).furnish()
    if (!site.vms) await site.machines(['web-01', 'web-02', 'db-01', 'db-02', 'off-01'])
    const one = chinese ? (theirs ??= await openPage(browser, site, { language: 'zh', size: [1280, 720], allow: [/4\d\d/] })) : (page ??= await openPage(browser, site, { size: [1280, 720], allow: [/422/] }))
    await one.goto(site.url + (typeof path === 'function' ? path() : path))
    await quiet(one)
    one.clicks = 0
    return one
  }
  const verb = async (on, name) => {
    await click(on, '[data-test=more-verbs]')
    await click(on, `.ant-dropdown:not(.ant-dropdown-hidden) [data-verb=${name}]`)
    await on.waitForSelector('.ant-modal')
    await quiet(on)
  }
  const done = () => same(page.wrong.splice(0), [], 'what went wrong in the browser')
  /** Whether the button of a dialog can be reached without scrolling. */
  const inSight = (on) => on.evaluate(() => document.querySelector('.ant-modal [data-test=confirm]').getBoundingClientRect().bottom <= innerHeight)
  const inDialog = (what) => `.ant-modal ${what}`

  return [
    ['a token that is made is shown, once, and works', async () => {
      await at('/api-tokens')
      await click(page, '[data-test=create]')
      await page.fill(inDialog('input:not([type=submit])'), 'pipeline')
      await click(page, inDialog('[data-test=confirm]'))
      const token = await page.textContent('[data-test=api-token]')
      check((await site.call('GET', '/vms?limit=1', undefined, { token })).items.length === 1, 'it does not work')
      await page.keyboard.press('Escape') // by accident: it stays
      await page.evaluate(() => document.activeElement.blur())
      for (const key of ['?', 'Control+k']) await page.keyboard.press(key)
      check(await page.isVisible('[data-test=api-token]'), 'a key takes it away')
      await click(page, '[data-test=have-token]')
      await page.waitForURL('**/api-tokens/token-*')
      check(!(await page.textContent('.objectpage')).includes(token), 'it is shown again')
      most(page, 3)
      done()
    }],
    ['a token to join is shown where it is made from the list of tokens', async () => {
      await at('/join-tokens')
      await click(page, '[data-test=create]')
      await click(page, inDialog('[data-test=confirm]'))
      check((await page.textContent('[data-test=join-token]')).length > 20, 'no token')
      await page.keyboard.press('Escape')
      await page.mouse.click(5, 400)
      await quiet(page)
      check(await page.isVisible('[data-test=join-token]'), 'it is gone by accident')
      await click(page, '[data-test=have-token]')
      await page.waitForSelector('[data-test=join-token]', { state: 'hidden' })
      done()
    }],
    ['rights of a role are offered, each with what it allows', async () => {
      await at('/roles')
      await click(page, '[data-test=create]')
      await page.fill(inDialog('input:not([type=submit])'), 'power only')
      await click(page, inDialog('.ant-select'))
      await page.keyboard.type('vm.power')
      await page.waitForSelector('.ant-select-item >> text=/vm\\.power — .*Start/')
      await page.keyboard.press('Enter')
      await page.keyboard.press('Escape')
      await click(page, inDialog('[data-test=confirm]'))
      await page.waitForURL('**/roles/role-*')
      const made = (await site.call('GET', '/roles?filter=name%3D"power only"')).items[0]
      same(made.permissions, ['vm.power'])
      done()
    }],
    ['a disk is added by its size: first in the dialog, its button in sight', async () => {
      await at(() => `/vms/${site.vms[0]}/devices`)
      await click(page, '[data-verb=attach_disk]')
      await page.fill('#disk-size', '33 GiB')
      check(await inSight(page), 'the button is below the window')
      await page.waitForSelector('.checkok')
      await click(page, inDialog('[data-test=confirm]'))
      most(page, 2)
      const disks = await until('two disks', async () => {
        const now = (await site.call('GET', `/vms/${site.vms[0]}`)).disks
        return now.length === 2 && now
      })
      same((await site.call('GET', `/volumes/${disks[1].volume}`)).size_bytes, 33 * GIB)
      await page.waitForSelector(`.card >> text=33 GiB`) // and stands in the table, with its pool
      check((await page.textContent('.card:first-child')).includes('local-01'), 'no pool')
      done()
    }],
    ['a disk grows from the devices of its VM', async () => {
      await at(() => `/vms/${site.vms[1]}/devices`)
      await click(page, '[data-verb=resize]')
      await page.fill(inDialog('input'), '64 GiB')
      await click(page, inDialog('[data-test=confirm]'))
      await page.waitForSelector('.card >> text=64 GiB')
      most(page, 2)
      done()
    }],
    ['a NIC is offered the networks of its own host, told apart by it', async () => {
      await at(() => `/vms/${site.vms[1]}/devices`)
      await click(page, '[data-verb=attach_nic]')
      check(await page.isDisabled(inDialog('[data-test=confirm]')), 'without a network it can be sent')
      await click(page, inDialog('.ant-select'))
      await page.waitForSelector('.ant-select-item-option')
      const offered = await page.locator('.ant-select-item-option').allTextContents()
      same(offered.length, 1)
      check(offered[0].includes('kvm-02'), offered[0])
      await page.keyboard.press('Enter')
      await page.waitForSelector('.checkok')
      check(await inSight(page), 'the button is below the window')
      await click(page, inDialog('[data-test=confirm]'))
      await until('two NICs', async () => (await site.call('GET', `/vms/${site.vms[1]}`)).nics.length === 2)
      done()
    }],
    ['disks move to another pool, which is asked for first', async () => {
      const host = site.hosts[2]
      const other = await site.do('POST', '/pools', { name: 'second', hosts: [host.id], path: '/var/lib/winsphere/pools/second' })
      await at(() => `/vms/${site.vms[2]}`)
      await verb(page, 'migrate_storage')
      check(await page.isDisabled(inDialog('[data-test=confirm]')), 'it can be sent without a target')
      same(await page.locator('.pickhost button').count(), 2, 'pools that its host reaches')
      check(/1 /.test(await page.textContent(`.pickhost [data-pool=${site.pools[2]}] .faint`)), 'the pool that holds its disk is not marked')
      await click(page, `.pickhost [data-pool=${other.result ?? other.target}]`)
      await page.waitForSelector('.checkok')
      await click(page, inDialog('[data-test=confirm]'))
      most(page, 4)
      await until('its task', async () => (await site.call('GET', `/tasks?filter=target%3D${site.vms[2]}`)).items.some((task) => task.kind === 'vm_migrate_storage'))
      done()
    }],
    ['the firewall begins with the rules that are there', async () => {
      await at(() => `/hosts/${site.hosts[0].id}`)
      const rules = [{ source: '10.0.0.0/8', protocol: 'tcp', ports: '22', note: 'operators' }]
      await page.route(`**/api/v1/hosts/${site.hosts[0].id}`, async (route) => {
        const answer = await route.fetch()
        await route.fulfill({ response: answer, json: { ...(await answer.json()), firewall: { enabled: true, rules } } })
      })
      await page.reload()
      await quiet(page)
      page.clicks = 0
      await verb(page, 'set_firewall')
      await page.waitForSelector(inDialog('.part'))
      same(await page.inputValue(inDialog('.part input >> nth=0')), '10.0.0.0/8')
      const asked = page.waitForRequest((one) => one.url().endsWith('/set_firewall') && one.method() === 'POST')
      await click(page, inDialog('[data-test=confirm]'))
      same((await asked).postDataJSON(), { enabled: true, rules })
      await page.unroute(`**/api/v1/hosts/${site.hosts[0].id}`)
      page.wrong.length = 0 // a simulated host has no firewall
    }],
    ['no host is closed to everybody unless that is said', async () => {
      await at('/hosts')
      await page.waitForSelector(`.row[data-id=${site.hosts[1].id}]`)
      const confirm = inDialog('[data-test=confirm]')
      const open = async () => {
        await page.click('.ant-dropdown:not(.ant-dropdown-hidden) [data-verb=set_firewall], .pickedbar [data-verb=set_firewall]')
        await page.waitForSelector('[data-test=firewall-closed]') // nothing may connect: said before
        await quiet(page)
      }
      await page.click(`.row[data-id=${site.hosts[1].id}]`, { button: 'right' })
      await open()
      check(await page.isDisabled(confirm), 'one host is closed by one click')
      await page.keyboard.press('Escape')
      await page.waitForSelector('.ant-modal', { state: 'hidden' })
      await page.click('.head input')
      await page.click(`.row[data-id=${site.hosts[1].id}]`, { button: 'right' })
      await open()
      await page.waitForSelector(inDialog('.selection'))
      check(await page.isDisabled(confirm), 'all hosts are closed by one click')
      await page.check('[data-test=firewall-nobody]')
      check(await page.isEnabled(confirm), 'it cannot be done even when it is said')
      await page.uncheck('[data-test=firewall-nobody]')
      check(await page.isDisabled(confirm), 'it is not taken back')
      const asked = page.waitForRequest((one) => one.url().endsWith('/hosts/batch') && one.method() === 'POST')
      await page.check('[data-test=firewall-nobody]')
      await page.click(confirm)
      same((await asked).postDataJSON().args, { enabled: true, rules: [] })
      await page.waitForSelector('[data-test=batch-summary]')
      page.wrong.length = 0 // a simulated host has no firewall
    }],
    ['a piece that the server no longer has breaks its dialog and nothing else; a token is not made before it can be shown', async () => {
      const gone = (route) => route.fulfill({ status: 404, body: '' })
      await at('/hosts')
      await page.route(/assets\/(JoinDialog|Migrate|TokenMade)-/, gone)
      await click(page, '[data-test=create]')
      await page.waitForSelector(inDialog('.errorbox'))
      check(await page.isVisible('.grid'), 'the page is gone')
      await page.keyboard.press('Escape')
      await page.waitForSelector('.ant-modal', { state: 'hidden' })
      await at(() => `/vms/${site.vms[0]}`)
      await page.waitForSelector(head('running'))
      await page.click('.objecthead [data-verb=migrate]')
      await page.waitForSelector(inDialog('.errorbox'))
      check(await page.isDisabled(inDialog('[data-test=confirm]')), 'what nobody saw can be confirmed')
      await page.keyboard.press('Escape')
      await page.waitForSelector('.ant-modal', { state: 'hidden' })
      await at('/api-tokens')
      const before = (await site.call('GET', '/api-tokens')).total
      await click(page, '[data-test=create]')
      await page.fill(inDialog('input:not([type=submit])'), 'lost')
      await click(page, inDialog('[data-test=confirm]'))
      await page.waitForSelector(inDialog('.errorbox'))
      same((await site.call('GET', '/api-tokens')).total, before, 'tokens that nobody has seen')
      await page.unroute(/assets\/(JoinDialog|Migrate|TokenMade)-/, gone)
      page.wrong.length = 0 // the pieces that are gone
    }],
    ['what cannot be done says in which state it can', async () => {
      await at(() => `/vms/${site.vms[0]}`)
      await page.waitForSelector(head('running'))
      await click(page, '[data-test=more-verbs]')
      const why = await page.textContent('.ant-dropdown [data-verb=export] .why')
      check(/running/i.test(why) && /off/i.test(why), why)
      await page.keyboard.press('Escape')
      done()
    }],
    ['every list is reached from the head', async () => {
      await at('/')
      await click(page, '[data-test=nav-more]')
      await page.waitForSelector('.alllists')
      const within = (what) => page.waitForFunction((selector) => document.activeElement?.matches(selector), what)
      await within('.alllists a') // by keyboard, too
      await page.keyboard.press('Escape')
      await page.waitForSelector('.alllists', { state: 'hidden' })
      await within('[data-test=nav-more]')
      await page.keyboard.press('Enter')
      await within('.alllists a')
      const paths = await page.$$eval('.alllists a', (links) => links.map((link) => link.getAttribute('href')))
      const openapi = await site.call('GET', '/openapi.json')
      const lists = Object.entries(openapi.paths).filter(([path, ways]) => /^\/[a-z-]+$/.test(path) && ways.get?.parameters?.some((one) => one.$ref?.endsWith('/Cursor'))).map(([path]) => path)
      check(lists.length > 20, lists)
      same(lists.filter((list) => !paths.includes(list) && list !== '/sites'), [], 'lists that are not there')
      await click(page, '.alllists a[href="/business-groups"]')
      await page.waitForURL('**/business-groups')
      await page.waitForSelector('.alllists', { state: 'hidden' })
      most(page, 2)
      done()
    }],
    ['a VM goes to any host: its own cluster first, found by name, with its networks there; who cannot take it says why', async () => {
      const own = await (await makeSite({ hosts: 4 })).furnish({ image: false })
      const [here, far, near, away] = own.hosts
      const other = (await own.call('POST', '/clusters', { name: 'other', host_pool: here.host_pool })).id
      await own.call('POST', `/hosts/${far.id}/assign`, { cluster: other })
      await own.call('POST', `/hosts/${near.id}/assign`, { cluster: here.cluster })
      const { switch: far_switch } = await own.call('GET', `/port-groups/${own.groups[1]}`)
      await own.do('DELETE', `/port-groups/${own.groups[1]}`)
      const [elsewhere, dmz] = await Promise.all(['elsewhere', 'dmz'].map(async (name) => {
        const made = await own.do('POST', '/port-groups', { name, switch: far_switch })
        return made.result ?? made.target
      }))
      own.groups[1] = dmz
      const [vm, second] = await own.machines(['mover', 'second'])
      await own.do('POST', `/hosts/${away.id}/enter_maintenance`, {})
      const mine = await openPage(browser, own, { path: `/vms/${vm}`, allow: [/409|422/] })
      const host = (id) => inDialog(`.pickhost [data-host=${id}]`)
      await mine.click('.verbs [data-verb=migrate]')
      await mine.waitForSelector(host(far.id))
      const order = await mine.locator('.pickhost [data-host]').evaluateAll((all) => all.map((one) => one.dataset.host))
      same([order[0], order.includes(here.id), order.indexOf(far.id) > order.indexOf(near.id)], ['', false, true])
      check(await mine.isDisabled(host(away.id)), 'a host in maintenance')
      check(/maintenance/i.test(await mine.textContent(`${host(away.id)} [data-test=whynot]`)), 'no reason')
      await mine.waitForSelector(`${host(far.id)} [data-test=whynot] >> text=/no port group lan/`) // before it is chosen
      same(await mine.locator(`${host(near.id)} [data-test=whynot]`).count(), 0)
      // What it would take is said before it begins, and what that rests on.
      const forecast = inDialog('[data-test=forecast]')
      await mine.click(host(near.id))
      await mine.waitForSelector(`${forecast} >> text=/as the hosts' NICs can/`)
      check(/Takes about .*The guest stands still about .*copies .* of memory.*guest writes 24 MiB\/s \(measured\)/s.test(await mine.textContent(forecast)), await mine.textContent(forecast))
      await mine.click(inDialog('.grouphead'))
      await mine.fill(inDialog('.field:has-text("Bandwidth") input'), '2 MiB')
      await mine.waitForSelector(`${forecast}[data-course=slowed] >> text=/the ceiling that is set/`) // it writes faster than that
      await mine.fill(inDialog('.field:has-text("Bandwidth") input'), '')
      await mine.waitForSelector(`${forecast} >> text=/as the hosts' NICs can/`)
      await mine.fill(inDialog('[data-test=find-host]'), far.name.slice(0, 6))
      await mine.waitForSelector(host(near.id), { state: 'detached' })
      await mine.click(host(far.id))
      await mine.waitForSelector(inDialog('.errorbox'))
      await mine.click(inDialog('[data-network=lan] .ant-select'))
      await mine.click('.ant-select-item-option >> text=elsewhere')
      await mine.waitForSelector(inDialog('.checkok'))
      await mine.click(inDialog('[data-test=confirm]'))
      await until('it is there', async () => (await own.call('GET', `/vms/${vm}`)).host === far.id)
      same((await own.call('GET', `/vms/${vm}`)).nics[0].port_group, elsewhere)
      // Two VMs with networks of two names, neither of which is there.
      await mine.goto(`${own.url}/vms`)
      for (const id of [vm, second]) await mine.click(`.row[data-id=${id}] input`)
      await mine.click('[data-test=picked] [data-verb=migrate]')
      await mine.click(host(here.id))
      for (const name of ['dmz', 'elsewhere']) {
        await mine.click(inDialog(`[data-network=${name}] .ant-select`))
        await mine.click('.ant-select-dropdown:not(.ant-select-dropdown-hidden) .ant-select-item-option >> text=lan')
      }
      await mine.waitForSelector(`${forecast} >> text=/2 of 2 were looked at/`)
      await mine.click(inDialog('[data-test=confirm]'))
      await mine.waitForSelector('[data-test=batch-summary] >> text=2 done')
      for (const id of [vm, second]) same((await own.call('GET', `/vms/${id}`)).nics[0].port_group, own.groups[0])
      same(mine.wrong, [])
      await mine.context().close()
      await own.stop()
    }],
    ['short words have fields of one line, rates have units', async () => {
      await at('/users')
      await click(page, '[data-test=create]')
      await page.waitForSelector(inDialog('.fields'))
      same(await page.locator(inDialog('textarea')).count(), 0)
      await page.keyboard.press('Escape')
      await at(() => `/vms/${site.vms[0]}`)
      await click(page, '[data-verb=migrate]')
      await click(page, inDialog('.grouphead'))
      const asked = page.waitForRequest((one) => one.url().includes('/migrate') && /bandwidth/.test(one.postData() ?? ''))
      await page.fill(inDialog('.field:has-text("Bandwidth") input'), '100 MiB')
      same((await asked).postDataJSON().bandwidth_bytes_per_s, 100 * 1024 ** 2)
      await page.keyboard.press('Escape')
      done()
    }],
    ['what a host lacks stands on its page, worst first, with what to do', async () => {
      await at(() => `/hosts/${site.hosts[0].id}/checks`)
      await page.waitForSelector('[data-test=checks-said]')
      const { failed } = await site.call('GET', `/hosts/${site.hosts[0].id}/check`)
      check(failed > 0 && (await page.textContent('[data-test=checks-said]')).includes(String(failed)), await page.textContent('[data-test=checks-said]'))
      same(await page.getAttribute('table.plain tbody tr:first-child .state', 'data-state'), 'fail')
      check((await page.textContent('table.plain tbody tr:first-child td:last-child')).length > 20, 'no advice')
      done()
    }],
    ['emptying a host says where each VM goes, and which stay because they are off', async () => {
      await at('/')
      const off = await site.call('GET', `/vms/${site.vms[4]}`)
      same(off.power.state, 'off')
      const runs = (await site.call('GET', `/vms?filter=host%3D${off.host} and power.state%3Drunning`)).items
      await at(() => `/hosts/${off.host}`)
      await click(page, '[data-verb=enter_maintenance]')
      await page.waitForSelector(inDialog(`[data-test=staying] [data-id=${off.id}]`))
      check((await page.textContent(inDialog('[data-test=staying]'))).includes('stay'), await page.textContent(inDialog('[data-test=staying]')))
      const { cluster } = await site.call('GET', `/hosts/${off.host}`)
      const [turn] = (await site.call('GET', `/clusters/${cluster}/maintenance_plan?hosts=${off.host}`)).hosts
      for (const move of turn.moves ?? []) await page.waitForSelector(`${inDialog(`[data-id=${move.vm}]`)} >> text=${move.to_name}`)
      check(runs.length > 0 && (turn.moves?.length === runs.length || await page.isVisible(inDialog('.warnword'))), turn)
      await page.keyboard.press('Escape')
      done()
    }],
    ['a rolling maintenance shows its plan before it begins', async () => {
      await at(() => `/clusters/${site.hosts[0].cluster}`)
      await click(page, '[data-verb=roll_maintenance]')
      await page.waitForSelector('[data-test=roll-plan] li')
      const plan = await site.call('GET', `/clusters/${site.hosts[0].cluster}/maintenance_plan`)
      same(await page.locator('[data-test=roll-plan] li .name').allTextContents(), plan.hosts.map((one) => one.name))
      await page.keyboard.press('Escape')
      done()
    }],
    ['in Chinese, too, a dialog says what will happen before it does', async () => {
      const said = []
      for (const [path, verbs] of [[() => `/vms/${site.vms[0]}`, ['power_off', 'reset', 'shutdown', 'migrate']], [() => `/hosts/${site.hosts[0].id}`, ['maintain', 'reboot', 'power_off', 'set_firewall']]]) {
        const on = await at(path, { chinese: true })
        for (const name of verbs) {
          await verb(on, name)
          const lead = await on.locator('.ant-modal .lead').allTextContents()
          if (!lead.some((text) => HAN.test(text))) said.push(`${name}: ${lead}`)
          await on.keyboard.press('Escape')
          await on.waitForSelector('.ant-modal', { state: 'hidden' })
        }
      }
      same(said, [])
    }],
    ['what a refusal needs is told in the language of who asked', async () => {
      const on = await at('/', { chinese: true })
      const told = await on.evaluate(async (vm) => (await fetch(`/api/v1/vms/${vm}/start`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json', 'accept-language': 'zh' } })).json(), site.vms[0])
      same([told.code, told.cause], ['wrong_state', '可用状态：已关机，已休眠'])
    }],
    ['the bin says since when, where, and how large', async () => {
      await site.do('DELETE', `/vms/${site.vms[4]}`, { how: 'bin_with_volumes' })
      await at('/bin')
      await page.waitForSelector(`.row[data-id=${site.vms[4]}]`)
      const heads = await page.locator('.list:first-of-type [role=columnheader]').allTextContents()
      check(heads.some((one) => /bin since/i.test(one)) && heads.some((one) => /memory/i.test(one)), heads)
      done()
    }],
    ['a pool says what could be freed in it: what is in the bin, and disks that nothing uses, not those that an image or a linked disk needs', async () => {
      await at('/')
      const [image] = site.images
      const { volume } = await site.call('GET', `/images/${image}`)
      const { pool, name } = await site.call('GET', `/volumes/${volume}`)
      await site.do('POST', '/volumes', { name: 'forgotten', pool, size_bytes: GIB })
      const [vm] = await site.machines(['thrown-away'], { start: false }) // its disk is in the first pool, too
      await site.do('DELETE', `/vms/${vm}`, { how: 'bin_with_volumes' })
      await at(() => `/pools/${pool}`)
      const room = page.locator('.card:has-text("Full on")')
      await room.locator('text=forgotten').waitFor()
      await room.locator('text=Less than a day').waitFor()
      check(!(await room.innerText()).includes(name), 'the disk of an image')
      await page.locator('.freeable').first().locator('text=thrown-away').waitFor()
      done()
    }],
    ['hosts try a pool when they are asked, and while one is being added; what is well is folded away', async () => {
      await at(() => `/pools/${site.pools[0]}`)
      await click(page, '[data-verb=check]')
      await page.waitForSelector(inDialog('[data-test=pool-said]'))
      check(/can use it/.test(await page.textContent('[data-test=pool-said]')), await page.textContent('[data-test=pool-said]'))
      same(await page.locator(inDialog('table')).count(), 0, 'tables of what is well')
      await click(page, '[data-test=pool-all]')
      await page.locator(inDialog('table')).locator('text=The folder is there').waitFor()
      check(!(await page.innerText('.ant-modal')).includes('path_there'), 'a word of the machine')
      await at('/pools')
      await click(page, '[data-test=create]')
      await click(page, inDialog('.choices button:nth-child(2)'))
      await page.fill('#pool-name', 'Cluster one')
      await page.click('.ant-modal .ant-select')
      for (const host of site.hosts.slice(0, 2)) await page.click(`.ant-select-item >> text=${host.name}`)
      await page.keyboard.press('Escape')
      const told = page.locator(inDialog('[data-test=pool-findings]'))
      await told.locator('text=there is advice').waitFor()
      const row = told.locator('tbody tr')
      same(await row.count(), 1, 'findings that are not well')
      for (const what of [site.hosts[1].name, 'the first host will make it', 'Look whether']) check((await row.innerText()).includes(what), `${what}: ${await row.innerText()}`)
      check(await page.isEnabled(inDialog('[data-test=confirm]')), 'advice bars it')
      const records = (await site.call('GET', '/audit-records?filter=operation=pool_create&limit=20')).items.filter((one) => /^dry run: /.test(one.detail))
      check(records.length > 0 && records.every((one) => one.risk === 'low' && one.result === 'done'), JSON.stringify(records)) // the hosts wrote there
      const asked = []
      page.on('request', (request) => /\/pools\?dry_run=true/.test(request.url()) && asked.push(request.postDataJSON().nfs))
      await click(page, inDialog('.choices button:nth-child(3)'))
      await page.fill('#pool-server', 'filer')
      await page.fill('#pool-export', '/vol')
      await page.locator('#pool-export').press('End')
      await page.locator('#pool-export').pressSequentially('ume')
      await page.waitForSelector(inDialog('[data-test=pool-try]')) // typed, and not left yet
      await click(page, inDialog('[data-test=pool-try]'))
      await page.waitForSelector(inDialog('[data-test=pool-said]'))
      same(asked.filter(Boolean).map((one) => one.export), ['/volume'])
      done()
    }],
    ['what opens a window of one VM is not offered for many', async () => {
      await at('/vms')
      await page.waitForSelector('.row [role=gridcell]')
      for (const n of [1, 2]) await page.click(`.row:nth-child(${n}) input`)
      await page.waitForSelector('[data-test=picked] [data-verb=migrate]')
      same(await page.locator('[data-test=picked] [data-verb=console]').count(), 0)
      done()
    }],
    ['how a backup comes back stands on its page', async () => {
      const made = await site.do('POST', '/backups', { note: 'before the upgrade' })
      const backup = await site.call('GET', `/backups/${made.result ?? made.target}`)
      await at(`/backups/${backup.id}`)
      await page.waitForSelector('[data-test=restore-command]')
      check((await page.textContent('[data-test=restore-command]')).endsWith(`/backups/${backup.file}`), await page.textContent('[data-test=restore-command]'))
      done()
    }],
    ['DRS that is off is not a machine that is off', async () => {
      const on = await at(() => `/clusters/${site.hosts[0].cluster}/drs`, { chinese: true })
      await on.waitForSelector('.card .facts')
      await quiet(on)
      const text = await on.evaluate(() => document.querySelector('.tabpanel').innerText)
      check(text.includes('关闭') && !text.includes('已关机'), text)
    }],
    ['what is not known is a dash', async () => {
      const host = site.hosts[1].id
      await at('/')
      await page.route(`**/api/v1/hosts/${host}`, async (route) => {
        const answer = await route.fetch()
        const object = await answer.json()
        object.facts.cpu = { threads: object.facts.cpu?.threads }
        await route.fulfill({ response: answer, json: object })
      })
      await page.goto(`${site.url}/hosts/${host}`)
      await page.waitForSelector('.card .facts')
      await quiet(page)
      check(/- \/ - \/ \d+/.test(await page.textContent('.objectpage')) && !/undefined|NaN/.test(await page.textContent('.page')), await page.textContent('.objectpage'))
      await page.unroute(`**/api/v1/hosts/${host}`)
      done()
    }],
    ['its estate ends', async () => {
      await page?.context().close()
      await theirs?.context().close()
      await site?.stop()
    }],
  ]
}
