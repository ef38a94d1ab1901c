#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// run.mjs LIVING-SITE: tests the console that run has built: its pure parts, then in a browser against a manager with simulated
// hosts. Prints TAP. ONLY=expression runs the tests whose names match it.
const program = process.argv[2]
if (!program) {
  console.error('usage: run LIVING-SITE')
  process.exit(2)
}
const { openBrowser, run, Site } = await import('./kit.mjs')
const { units } = await import('./unit.mjs')
const { first } = await import('./journeys/first.mjs')
const { around } = await import('./journeys/around.mjs')
const { work } = await import('./journeys/work.mjs')
const { live } = await import('./journeys/live.mjs')
const { late } = await import('./journeys/late.mjs')
const { doing } = await import('./journeys/doing.mjs')
const { drs } = await import('./journeys/drs.mjs')
const { looks } = await import('./journeys/looks.mjs')
const { pages } = await import('./journeys/pages.mjs')

const parts = await units()
const site = await (await Site.start(program, { hosts: 6 })).furnish()
await site.machines(['web-01', 'web-02', 'db-primary', 'db-replica', 'cache-01', 'mail', 'build-runner-1', 'build-runner-2', 'gitea', 'vpn', 'monitor', 'backup'])
const browser = await openBrowser()
const more = (options) => Site.start(program, { hosts: 2, ...options })
const failed = await run([
  ['the console builds and its types hold', () => undefined], ...parts.tests, ...pages(site, browser), ...first(more, browser), ...work(site, browser), ...around(site, browser), ...live(site, browser, more), ...late(site, browser), ...drs(more, browser), ...doing(more, browser), ...looks(more, browser),
])
await browser.close()
await site.stop()
await parts.close()
process.exit(failed ? 1 : 0)
