// SPDX-License-Identifier: Apache-2.0
// screenshots BUILD OUTPUT: pictures of the main pages, in both languages, light and dark, of a manager with simulated hosts.
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { openBrowser, openPage, Site, sleep } from './kit.mjs'

const [build, output] = process.argv.slice(2)
mkdirSync(output, { recursive: true })
const site = await (await Site.start(join(resolve(build), 'tests/web/living-site'), { hosts: 8 })).furnish()
await site.machines(['web-01', 'web-02', 'web-03', 'db-primary', 'db-replica', 'cache-01', 'cache-02', 'mail', 'build-runner-1', 'build-runner-2', 'gitea', 'vpn', 'monitor', 'backup', 'shop-test', 'wiki', 'ldap', 'proxy'])
await site.image('debian-13-cloud', site.pools[1])
await site.image('rocky-9', site.pools[2])
await site.command(`alarm ${site.hosts[1].id} major certificate_expiring`)
await site.call('PATCH', `/vms/${site.vms[0]}`, { description: 'Front end of the shop. Kept by the web team; restarted on Sundays.' })
const pinned = await site.do('POST', '/vms', { name: 'trading', host: site.hosts[0].id, cpu: { vcpus: 4, pinning: [0, 1, 2, 3].map((vcpu) => ({ vcpu, cpus: String(4 + vcpu) })) }, memory_bytes: 8589934592, disks: [{ new_volume: { size_bytes: 21474836480, pool: site.pools[0] } }] })
await site.do('POST', `/vms/${pinned.result ?? pinned.target}/start`, {})
// Rules of which one is broken, and hosts that are wanted for more than their thresholds.
const { cluster } = site.hosts[0]
await site.call('PATCH', `/clusters/${cluster}`, { drs: { level: 'manual', rules: 'manual', cpu_percent: 15, memory_percent: 40, duration_s: 0 } })
await site.call('POST', '/affinity-rules', { name: 'licences of the database', cluster, kind: 'should_run_on', vms: [site.vms[3]], hosts: [site.hosts[0].id] })
await site.call('POST', '/affinity-rules', { name: 'web servers apart', cluster, kind: 'keep_apart', vms: site.vms.slice(0, 3) })
await site.call('POST', '/drs-recommendations/refresh', { cluster })
const browser = await openBrowser()

const PAGES = [
  ['home', '/'], ['vms', '/vms'], ['vm', `/vms/${site.vms[0]}`, 9000], ['vm-monitor', `/vms/${site.vms[0]}/monitor`, 26000], ['vm-devices', `/vms/${site.vms[0]}/devices`], ['vm-configure', `/vms/${site.vms[0]}/configure`], ['host', `/hosts/${site.hosts[0].id}`, 5000],
  ['host-numa', `/hosts/${site.hosts[0].id}/numa`], ['host-hardware', `/hosts/${site.hosts[0].id}/hardware`], ['hosts', '/hosts'], ['cluster', `/clusters/${site.hosts[0].cluster}`], ['drs', `/clusters/${cluster}/drs`], ['rules', `/clusters/${cluster}/rules`], ['what-if', `/clusters/${cluster}/what-if?lost=${site.hosts[0].id}&vms=20`, 2500], ['pool', `/pools/${site.pools[0]}`], ['deploy', '/vms/deploy'], ['new-vm', '/vms/new'], ['upload', '/images/upload'],
  ['tasks', '/tasks'], ['events', '/events'], ['bin', '/bin'],
]

async function shots(language, theme) {
  const page = await openPage(browser, site, { language, theme })
  page.allowed.push(/./)
  const take = (name) => page.screenshot({ path: join(output, `${name}-${language}-${theme}.png`) })
  for (const [name, path, wait = 900] of PAGES) {
    await page.goto(site.url + path)
    await page.waitForSelector('.page > *')
    if (name === 'deploy') {
      await page.click('.imagecards button')
      await page.fill('#deploy-name', 'shop')
      await page.fill('#deploy-count', '12')
    }
    await sleep(language === 'en' && theme === 'light' ? wait : Math.min(wait, 4500))
    await take(name)
  }
  await page.goto(site.url + '/vms')
  await page.waitForSelector('.row [role=gridcell]')
  for (const n of [1, 2, 4]) await page.click(`.row:nth-child(${n}) input`)
  await take('vms-picked')
  await page.goto(`${site.url}/vms/${site.vms[0]}`)
  await page.click('[data-verb=migrate]')
  await page.waitForSelector('.pickhost [data-host^=host]')
  await page.click('.pickhost [data-host^=host]')
  await sleep(900)
  await take('migrate')
  await page.keyboard.press('Escape')
  await sleep(300)
  await page.click('[data-test=more-verbs]')
  await sleep(700)
  await take('verbs')
  await page.keyboard.press('Escape')
  await page.goto(`${site.url}/hosts/${site.hosts[0].id}`)
  await page.click('[data-verb=enter_maintenance]')
  await sleep(900)
  await take('maintenance')
  await page.keyboard.press('Escape')
  await page.goto(site.url + '/')
  await page.waitForSelector('.cards')
  await page.keyboard.press('/')
  await page.keyboard.type('10.20.0')
  await sleep(700)
  await take('search')
  await page.keyboard.press('Escape')
  await page.click('[data-test=tasks]')
  await sleep(300)
  await page.click('.taskrows .linklike')
  await sleep(500)
  await take('taskbar')
  await page.context().close()
}

await shots('en', 'light')
await shots('zh', 'dark')
const empty = await Site.start(join(resolve(build), 'tests/web/living-site'), { hosts: 1 })
const page = await openPage(browser, empty)
await page.waitForSelector('[data-step=host][data-done=true]')
await page.screenshot({ path: join(output, 'first-hour-en-light.png') })
await page.click('[data-step=pool] button')
await page.fill('#pool-name', 'local')
await sleep(1200)
await page.screenshot({ path: join(output, 'add-pool-en-light.png') })
await page.context().close()
const out = await openPage(browser, empty, { login: false })
await out.goto(empty.url)
await out.waitForSelector('.login')
await out.screenshot({ path: join(output, 'login-en-light.png') })
await browser.close()
await empty.stop()
await site.stop()
