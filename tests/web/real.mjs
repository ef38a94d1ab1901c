// SPDX-License-Identifier: Apache-2.0
// real.mjs PROGRAMS: what simulated hosts cannot show, on real ones: a guest's screen and serial line in the browser, keys that reach it,
// a move, an image uploaded and deployed, the bin and back. Prints TAP.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { check, head, openBrowser, openPage, ROOT, run, same, sleep, until } from './kit.mjs'

const BOOT_MS = 180000 // a guest that is emulated, on a busy machine
const real = spawn(join(ROOT, 'tests/web/real-site'), [process.argv[2], join(ROOT, 'web/dist')], { stdio: ['pipe', 'pipe', 'inherit'] })
const line = await new Promise((resolve) => {
  createInterface({ input: real.stdout }).on('line', (text) => text.startsWith('ready ') && resolve(text))
  real.on('exit', () => resolve(''))
})
if (!line) {
  console.log('1..1\nnot ok 1 the site starts')
  process.exit(1)
}
const [, port, password, vm, file] = line.split(' ')
const site = { url: `https://127.0.0.1:${port}`, password }
const browser = await openBrowser()
const page = await openPage(browser, site, { path: `/vms/${vm}` })
page.allowed.push(/ERR_NETWORK_CHANGED/) // others' interfaces come and go on this machine
/** From the menu of all verbs of the page. */
async function verb(name) {
  await page.click('[data-test=more-verbs]')
  await page.click(`.ant-dropdown:not(.ant-dropdown-hidden) [data-verb=${name}]:not(:has(.why))`)
}
const serial = () => page.textContent('[data-test=serial]')
/** Nothing went wrong in the browser; a test's own failure is not the next one's. */
const good = () => same(page.wrong.splice(0), [])
/** The console with its serial line; the screen comes first, and a socket that is left while it is being made is a complaint of the browser. */
async function openSerial() {
  await page.goto(`${site.url}/vms/${vm}/console`)
  await page.waitForSelector('[data-test=console-status] >> text=Connected', { timeout: BOOT_MS })
  await page.click('.consolebar >> text=Serial')
  await page.waitForSelector('[data-test=serial]')
  await page.waitForSelector('[data-test=console-status] >> text=Connected', { timeout: BOOT_MS })
}

const failed = await run([
  ['the page of a VM shows its screen', async () => {
    await page.waitForSelector('.screen img', { timeout: BOOT_MS })
    good()
  }],
  ['the serial line is a terminal: the guest answers what is typed', async () => {
    await openSerial()
    await until('its login', async () => {
      await page.focus('[data-test=serial]')
      await page.keyboard.press('Enter')
      await sleep(2000)
      return /login:/.test(await serial())
    }, BOOT_MS)
    good()
  }],
  ['the screen is drawn, keys reach the guest', async () => {
    await page.click('.consolebar >> text=Screen')
    await page.waitForSelector('[data-test=screen] canvas')
    await page.waitForSelector('[data-test=console-status] >> text=Connected', { timeout: BOOT_MS })
    const picture = () => page.evaluate(() => document.querySelector('[data-test=screen] canvas').toDataURL().length)
    const before = await until('a picture', async () => (await picture()) > 2000 && picture())
    await page.click('[data-test=screen] canvas')
    await page.keyboard.type('nobody-here')
    await until('what was typed on the screen', async () => (await picture()) !== before, BOOT_MS)
    good()
  }],
  ['the console has a window of its own, and another after the first is closed', async () => {
    for (let i = 0; i < 2; i++) {
      const [own] = await Promise.all([page.context().waitForEvent('page'), page.click('[data-verb=console]')])
      await own.waitForSelector('[data-test=console-status] >> text=Connected', { timeout: BOOT_MS })
      same(new URL(own.url()).hash, `#vm=${vm}`)
      await own.close()
    }
    good()
  }],
  ['it moves to the other host while it runs, and its serial line is found again', async () => {
    await page.goto(`${site.url}/vms/${vm}`)
    const from = await page.getAttribute('.crumbs a[href^="/hosts/"]', 'href')
    await page.click('.verbs [data-verb=migrate]')
    await page.click('.pickhost [data-host^=host]')
    await page.waitForSelector('.ant-modal .checkok', { timeout: BOOT_MS })
    await page.click('[data-test=confirm]')
    await page.waitForSelector(`.crumbs a[href^="/hosts/"]:not([href="${from}"])`, { timeout: BOOT_MS })
    await page.waitForSelector(head('running'), { timeout: BOOT_MS })
    await openSerial()
    await until('what the guest echoes', async () => {
      await page.focus('[data-test=serial]')
      await page.keyboard.type('moved-here')
      await page.keyboard.press('Enter')
      await sleep(1000)
      return /moved-here/.test(await serial())
    }, BOOT_MS)
    good()
  }],
  ['an image is uploaded in pieces, and deployed', async () => {
    await page.goto(site.url + '/images/upload')
    await page.setInputFiles('[data-test=file]', file)
    await page.fill('#image-name', 'uploaded')
    await page.click('form .field:has-text("Storage pool") .ant-select')
    await page.click('.ant-select-item >> text=shared')
    await page.click('[data-test=confirm]')
    await page.waitForURL('**/images/img-*', { timeout: BOOT_MS })
    await page.waitForSelector(head('ready'), { timeout: BOOT_MS })
    await page.click('.card [data-test=deploy]')
    await page.fill('#deploy-name', 'from-upload')
    await page.waitForSelector('.checkok')
    await page.click('[data-test=confirm]')
    await page.waitForSelector('.row >> text=from-upload', { timeout: BOOT_MS })
    await page.click('.row >> text=from-upload')
    await page.waitForSelector(head('running'), { timeout: BOOT_MS })
    good()
  }],
  ['a VM is switched off, goes into the bin by its name, comes back and starts', async () => {
    await verb('power_off')
    await page.click('[data-test=confirm]')
    await page.waitForSelector(head('off'), { timeout: BOOT_MS })
    await verb('delete')
    await page.fill('[data-test=confirm-name]', 'from-upload')
    await page.click('[data-test=confirm]')
    await page.waitForSelector(head('in_bin'), { timeout: BOOT_MS })
    await page.click('.header [data-test=nav-more]')
    await page.click('.alllists >> text=Recycle bin')
    await page.click('.row >> text=from-upload', { button: 'right' })
    await page.click('.ant-dropdown:not(.ant-dropdown-hidden) [data-verb=restore]')
    await page.waitForSelector('.row >> text=from-upload', { state: 'detached', timeout: BOOT_MS })
    await page.goto(site.url + '/vms?filter=from-upload')
    await page.click('.row >> text=from-upload')
    await page.click('.verbs [data-verb=start]:enabled', { timeout: BOOT_MS })
    await page.waitForSelector(head('running'), { timeout: BOOT_MS })
    good()
  }],
  ['a VM is switched off and destroyed by its name', async () => {
    await verb('power_off')
    await page.click('[data-test=confirm]')
    await page.waitForSelector(head('off'), { timeout: BOOT_MS })
    await verb('delete')
    await page.click('.ant-modal .ant-select')
    await page.click('.ant-select-item >> text=Destroy at once')
    await page.fill('[data-test=confirm-name]', 'from-upload')
    await page.click('[data-test=confirm]')
    await page.waitForSelector('[data-test=gone]', { timeout: BOOT_MS })
    check(page.wrong.every((w) => /40[49]/.test(w)), page.wrong)
  }],
])
await browser.close()
real.stdin.end()
await until('the end of the site', () => real.exitCode !== null, BOOT_MS)
process.exit(failed ? 1 : 0)
