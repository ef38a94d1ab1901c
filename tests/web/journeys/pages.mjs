// SPDX-License-Identifier: Apache-2.0
// Each page in both languages, light and dark: nothing goes wrong in the browser, no style is put in, nothing is hidden from who cannot see or
// use a mouse, and no text stands there by its name.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AXE, check, openPage, quiet, ROOT, same } from '../kit.mjs'

export async function faults(page) {
  await page.evaluate(AXE)
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] }))
  return found.violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary.split('\n')[1] ?? ''}`).join(' | ')}`)
}

const names = new Set(['frame', 'kit', 'pages/vms', 'pages/hosts', 'pages/sites', 'pages/drs'].flatMap((f) => Object.keys(JSON.parse(readFileSync(join(ROOT, `web/src/${f}/texts.en.json`))))).filter((n) => n.includes('_')))

/** As a link inside of the console does. */
async function goTo(page, path) {
  await page.evaluate((to) => {
    history.pushState(null, '', to)
    dispatchEvent(new PopStateEvent('popstate'))
  }, path)
  await page.waitForSelector('.page > *')
  await quiet(page)
}

export function pages(site, browser) {
  const cluster = `/clusters/${site.hosts[0].cluster}`
  const list = [
    '/', '/vms', '/hosts', '/clusters', '/host-pools', '/pools', '/volumes', '/images', '/switches', '/port-groups', '/tasks', '/ended-tasks', '/alarms', '/events', '/migrations', '/users', '/roles', '/sessions', '/api-tokens', '/join-tokens', '/backups',
    '/audit-records', '/bin', '/business-groups', '/identity-providers', '/compatibility', '/vms/deploy', '/vms/deploy-table', '/vms/new', '/images/upload', `/vms/${site.vms[0]}`, `/vms/${site.vms[0]}/monitor`, `/vms/${site.vms[0]}/devices`, `/vms/${site.vms[0]}/configure`, `/vms/${site.vms[0]}/migrations`, `/vms/${site.vms[0]}/log`, `/vms/${site.vms[0]}/events`,
    `/vms/${site.vms[0]}/tasks`, `/hosts/${site.hosts[0].id}`, `/hosts/${site.hosts[0].id}/monitor`, `/hosts/${site.hosts[0].id}/software`, `/hosts/${site.hosts[0].id}/network`, `/hosts/${site.hosts[0].id}/numa`, `/hosts/${site.hosts[0].id}/hardware`, `/hosts/${site.hosts[0].id}/vms`, `/hosts/${site.hosts[0].id}/configure`,
    `/clusters/${site.hosts[0].cluster}`, `/host-pools/${site.hosts[0].host_pool}`, `/pools/${site.pools[0]}`, `/pools/${site.pools[0]}/monitor`, `/pools/${site.pools[0]}/topology`, `/clusters/${site.hosts[0].cluster}/storage`, `${cluster}/drs`, `${cluster}/rules`, `${cluster}/what-if`, `${cluster}/what-if?vms=10&lost=${site.hosts[0].id}`, '/affinity-rules', '/drs-recommendations', `/images/${site.images[0]}`, `/port-groups/${site.groups[0]}`,
  ]
  /** Pages that differ from each other enough to be looked at by axe. */
  const looked = new Set(['/', '/vms', '/hosts', '/tasks', '/bin', '/compatibility', '/vms/deploy', '/vms/deploy-table', '/vms/new', '/images/upload', `/vms/${site.vms[0]}`, `/vms/${site.vms[0]}/monitor`, `/vms/${site.vms[0]}/devices`, `/vms/${site.vms[0]}/log`, `/hosts/${site.hosts[0].id}`, `/hosts/${site.hosts[0].id}/network`, `/hosts/${site.hosts[0].id}/numa`, `/pools/${site.pools[0]}`, `${cluster}/drs`, `${cluster}/rules`, `${cluster}/what-if?vms=10&lost=${site.hosts[0].id}`])
  const darkLooked = new Set([`${cluster}/drs`, `${cluster}/what-if?vms=10&lost=${site.hosts[0].id}`, '/', '/vms', '/vms/deploy', `/vms/${site.vms[0]}`, `/hosts/${site.hosts[0].id}`])
  const walk = (language, theme) => [`pages in ${language}, ${theme}`, async () => {
    const page = await openPage(browser, site, { language, theme })
    page.allowed.push(/422/) // simulated hosts have no screen
    const said = []
    for (const path of list) {
      await goTo(page, path)
      const wrong = page.wrong.splice(0)
      if (wrong.length) said.push(`${path}: ${wrong.join(' | ')}`)
      const styles = await page.evaluate(() => document.querySelectorAll('style').length)
      if (styles) said.push(`${path}: ${styles} style elements`)
      const words = await page.evaluate(() => document.body.innerText.split(/\s+/))
      const raw = words.filter((w) => names.has(w))
      if (raw.length) said.push(`${path}: names of texts: ${raw}`)
      const unknown = words.filter((w) => /^(undefined|NaN|null|Infinity)\b|\[object/.test(w))
      if (unknown.length) said.push(`${path}: what is not known, as the program has it: ${unknown}`)
      if (looked.has(path) && (theme === 'light' || darkLooked.has(path))) for (const fault of await faults(page)) said.push(`${path}: ${fault}`)
    }
    await page.context().close()
    check(!said.length, said.join('\n'))
  }]
  return [
    walk('en', 'light'), walk('zh', 'dark'),
    ['dialogs have no serious fault', async () => {
      const page = await openPage(browser, site, { path: `/vms/${site.vms[0]}`, allow: [/422/] })
      const said = []
      const look = async (what) => {
        await quiet(page)
        for (const fault of await faults(page)) said.push(`${what}: ${fault}`)
      }
      await page.click('[data-verb=migrate]')
      await page.waitForSelector('.pickhost')
      await look('migrate')
      await page.keyboard.press('Escape')
      await page.waitForSelector('.ant-modal', { state: 'hidden' })
      await page.click('[data-test=more-verbs]')
      await page.waitForSelector('.ant-dropdown [data-verb=pause]')
      await look('menu')
      await page.keyboard.press('Escape')
      await page.waitForSelector('.ant-dropdown', { state: 'hidden' })
      await page.keyboard.press('/')
      await page.waitForSelector('.palette')
      await page.keyboard.type('web')
      await page.waitForSelector('.hit .hitkind')
      await look('search')
      await page.keyboard.press('Escape')
      await page.goto(site.url + '/hosts')
      await page.click('[data-test=create]')
      await page.waitForSelector('.ant-modal .fields')
      await look('add host')
      check(!said.length, said.join('\n'))
      same(page.wrong, [])
      await page.context().close()
    }],
    ['Chinese is Chinese: no page of the main ones shows an English sentence', async () => {
      const page = await openPage(browser, site, { language: 'zh' })
      const said = []
      for (const path of ['/', '/vms', '/hosts', '/pools', '/vms/deploy', '/vms/new', `/vms/${site.vms[0]}`, `/hosts/${site.hosts[0].id}`]) {
        await goTo(page, path)
        const text = await page.evaluate(() => document.body.innerText)
        for (const line of text.replace(/winctl( [a-z-]+)+/g, '').split('\n')) if (/\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b/.test(line)) said.push(`${path}: ${line}`)
      }
      check(!said.length, said.join('\n'))
      await page.context().close()
    }],
    ['however narrow a window is, one sees whose verbs they are', async () => {
      for (const size of [[1280, 720], [853, 480], [640, 480]]) { // the last two: 1280 pixels at 150 and at 200 %
        const page = await openPage(browser, site, { path: `/vms/${site.vms[0]}`, size })
        await page.waitForSelector('.verbs button')
        await quiet(page)
        const seen = await page.evaluate(() => {
          const box = document.querySelector('h1 .name').getBoundingClientRect()
          return { width: box.width, top: document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2)?.closest('h1') !== null, outside: [...document.querySelectorAll('.verbs button')].filter((b) => b.getBoundingClientRect().right > innerWidth + 1).map((b) => b.textContent) }
        })
        check(seen.width > 40 && seen.top && (size[0] < 800 || !seen.outside.length), `${size}: ${JSON.stringify(seen)}`)
        await page.context().close()
      }
    }],
    ['a narrow window keeps all verbs', async () => {
      const page = await openPage(browser, site, { path: `/vms/${site.vms[0]}`, size: [1024, 768] })
      await page.waitForSelector('.verbs button')
      await quiet(page)
      const outside = await page.evaluate(() => [...document.querySelectorAll('.verbs button, .header button')].filter((b) => b.getBoundingClientRect().right > innerWidth + 1).map((b) => b.textContent))
      same(outside, [])
      await page.context().close()
    }],
  ]
}
