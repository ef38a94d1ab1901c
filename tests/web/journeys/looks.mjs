// SPDX-License-Identifier: Apache-2.0
// The main pages look as they did: each is taken in light and dark, made ten times smaller and compared with the picture in reference/. At that size a
// letter is a grey dot, so that fonts hardly count; a part that is missing, moved, overflowing or of another colour does. UPDATE=1 writes the
// pictures anew: look at them before they are committed.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { check, openPage, quiet, ROOT, same, until } from '../kit.mjs'

const FOLDER = join(ROOT, 'tests/web/reference')
const FONTS = join(FOLDER, 'fonts.json')
const SIZE = [144, 90]
const NEAR = 26 // of 255: what a pixel may differ by
const LONG_MS = 20000 // for what comes after a page: then it is told
const MOST = 0.006 // of the pixels may differ by more
const MOST_WITH_OTHER_FONTS = 0.05 // where letters have other widths or another browser draws them, lines break elsewhere

/** Of those that are made of the same parts one is enough in dark. */
const DARK = new Set(['home', 'vms', 'vm', 'host', 'drs', 'what-if', 'deploy'])

/** Load that stands still, and nothing that depends on who was quicker. */
async function stillSite(makeSite) {
  const site = await (await makeSite({ hosts: 4 })).furnish()
  await site.machines(['web-01', 'web-02', 'db-primary', 'db-replica', 'cache-01', 'mail', 'gitea', 'backup'], { start: false })
  for (const [i, id] of site.vms.entries()) if (i % 4 !== 3) await site.do('POST', `/vms/${id}/start`, {})
  await site.call('PATCH', `/clusters/${site.hosts[0].cluster}`, { drs: { level: 'manual', interval_s: 3600 } })
  await site.call('POST', '/affinity-rules', { name: 'web apart', cluster: site.hosts[0].cluster, kind: 'keep_apart', vms: site.vms.slice(0, 2) })
  await site.command('still')
  return site
}

/** What no two runs have in common: when it was, how long it took, what was drawn since the page was opened. */
const settle = (page) => page.evaluate(() => {
  for (const one of document.querySelectorAll('.spark, canvas, .stateglyph.busy')) one.style.visibility = 'hidden'
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walk.nextNode()) {
    const text = walk.currentNode.nodeValue
    const plain = text.replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d|just now|刚刚|[\d.]+ (s|min|ms|秒|分钟|毫秒)( ago|前)?/g, '·')
    if (plain !== text) walk.currentNode.nodeValue = plain
  }
})

/** How wide this machine's letters are, and which browser draws them: what the references were taken with is in fonts.json. */
const lettersOf = (page) => page.evaluate(() => {
  const pen = document.createElement('canvas').getContext('2d')
  return ['', '600 '].flatMap((weight) => ['WinSphere 0123456789', '虚拟机'].map((text) => {
    pen.font = `${weight}16px ${getComputedStyle(document.body).fontFamily}`
    return Math.round(pen.measureText(text).width)
  })).concat(/Chrome\/(\d+)/.exec(navigator.userAgent)?.[1] ?? '?')
})

/** Pictures are made smaller and compared on a page of their own, without the console's content policy. */
async function makeBench(browser) {
  const page = await (await browser.newContext()).newPage()
  await page.evaluate(() => {
    globalThis.pixels = async (base64, width, height) => {
      const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob(), { resizeWidth: width, resizeHeight: height, resizeQuality: 'high' })
      const canvas = Object.assign(document.createElement('canvas'), { width, height })
      canvas.getContext('2d').drawImage(bitmap, 0, 0)
      return canvas
    }
    globalThis.data = (canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
  })
  return {
    smaller: (png) => page.evaluate(async ([text, [w, h]]) => (await globalThis.pixels(text, w, h)).toDataURL('image/png').split(',')[1], [png.toString('base64'), SIZE]).then((text) => Buffer.from(text, 'base64')),
    /** Share of the pixels that differ. */
    differ: (a, b) => page.evaluate(async ([x, y, [w, h], near]) => {
      const [p, q] = [globalThis.data(await globalThis.pixels(x, w, h)), globalThis.data(await globalThis.pixels(y, w, h))]
      let n = 0
      for (let i = 0; i < p.length; i += 4) if (Math.max(Math.abs(p[i] - q[i]), Math.abs(p[i + 1] - q[i + 1]), Math.abs(p[i + 2] - q[i + 2])) > near) n++
      return n / (w * h)
    }, [a.toString('base64'), b.toString('base64'), SIZE, NEAR]),
    close: () => page.context().close(),
  }
}

export function looks(makeSite, browser) {
  let site
  let bench
  const pages = () => [
    ['home', '/', '.dashboard .card'], ['vms', '/vms', '.row [role=gridcell]'], ['vm', `/vms/${site.vms[0]}`, '.card'], ['vm-devices', `/vms/${site.vms[0]}/devices`, '.tabpanel table'],
    ['hosts', '/hosts', '.row [role=gridcell]'], ['host', `/hosts/${site.hosts[0].id}`, '.card'], ['host-numa', `/hosts/${site.hosts[0].id}/numa`, '.tabpanel > *'], ['cluster', `/clusters/${site.hosts[0].cluster}`, '.card'],
    ['drs', `/clusters/${site.hosts[0].cluster}/drs`, '.hostswanted [data-host]'], ['rules', `/clusters/${site.hosts[0].cluster}/rules`, '[data-rule]'], ['what-if', `/clusters/${site.hosts[0].cluster}/what-if?lost=${site.hosts[0].id}`, '[data-test=verdict]'],
    ['pool', `/pools/${site.pools[0]}`, '.card'], ['deploy', '/vms/deploy', '.imagecards button'], ['new-vm', '/vms/new', '.createbody'], ['upload', '/images/upload', '.dropzone'],
  ]
  const start = async () => {
    site ??= await stillSite(makeSite)
    bench ??= await makeBench(browser)
  }
  const take = async (page) => {
    await settle(page)
    return bench.smaller(await page.screenshot())
  }
  const open = async (page, path, ready) => {
    await page.goto(site.url + path)
    await page.waitForSelector(ready)
    await quiet(page)
  }
  const walk = (language, theme) => [`the main pages look as they did, ${theme}`, async () => {
    await start()
    const page = await openPage(browser, site, { language, theme })
    page.allowed.push(/422/) // simulated hosts have no screen
    const said = []
    mkdirSync(FOLDER, { recursive: true })
    const letters = JSON.stringify(await lettersOf(page))
    if (process.env.UPDATE) writeFileSync(FONTS, letters + '\n')
    const most = readFileSync(FONTS, 'utf8').trim() === letters ? MOST : MOST_WITH_OTHER_FONTS
    if (most !== MOST) console.log(`# another browser or other fonts than those of the references: ${letters}`)
    for (const [name, path, ready] of pages().filter(([one]) => theme === 'light' || DARK.has(one))) {
      await open(page, path, ready)
      const file = join(FOLDER, `${name}-${theme}.png`)
      if (process.env.UPDATE) {
        writeFileSync(file, await take(page))
        continue
      }
      if (!existsSync(file)) {
        said.push(`${name}: no reference; UPDATE=1 makes it`)
        continue
      }
      // Figures come in after the page: it is right when it has come to look so.
      let share = 1
      const right = await until('it looks so', async () => (share = Math.min(share, await bench.differ(readFileSync(file), await take(page)))) <= most, LONG_MS).catch(() => false)
      if (process.env.TIMES) console.log(`# ${name} ${theme}: ${(100 * share).toFixed(2)} %`)
      if (!right) {
        const seen = join(process.env.SEEN ?? site.dir, `${name}-${theme}.png`)
        writeFileSync(seen, await page.screenshot())
        said.push(`${name}: ${(100 * share).toFixed(1)} % of it looks otherwise (at most ${100 * most} %)${process.env.SEEN ? `: ${seen}` : '; SEEN=folder keeps the picture'}`)
      }
    }
    await page.context().close()
    check(!said.length, said.join('\n'))
    same(page.wrong, [])
  }]
  return [
    walk('en', 'light'), walk('zh', 'dark'),
    ['what looks otherwise is seen: a part that is gone, a colour, a card that is too wide', async () => {
      await start()
      const page = await openPage(browser, site)
      page.allowed.push(/422/)
      await open(page, `/vms/${site.vms[0]}`, '.card')
      const before = await take(page)
      const harm = {
        'a card is gone': () => document.querySelector('.cards .card').style.setProperty('display', 'none'),
        'a colour is lost': () => document.querySelector('.header').style.setProperty('background', 'white'),
        'the tree is narrower': () => document.querySelector('.treepane').style.setProperty('width', '200px'),
      }
      for (const [what, act] of Object.entries(harm)) {
        await page.evaluate(act)
        const share = await bench.differ(before, await take(page))
        if (process.env.TIMES) console.log(`# ${what}: ${(100 * share).toFixed(2)} %`)
        check(share > 2 * MOST, `${what}: ${(100 * share).toFixed(2)} %`)
        await page.reload()
        await page.waitForSelector('.card')
        await quiet(page)
      }
      await page.context().close()
      await bench.close()
      await site.stop()
    }],
  ]
}
