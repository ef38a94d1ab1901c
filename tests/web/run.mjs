#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// run LIVING-SITE: builds the console with its types checked, and tests it: its pure parts, then in a browser against a manager with simulated
// hosts. Prints TAP. ONLY=word runs the tests whose names hold the word.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const program = process.argv[2]
if (!program) {
  console.error('usage: run LIVING-SITE')
  process.exit(2)
}
const root = new URL('../../', import.meta.url).pathname
const built = spawnSync(join(root, 'scripts/build-web'), ['--check'], { stdio: ['ignore', 'inherit', 'inherit'] })
if (built.status !== 0) {
  console.log('1..1\nnot ok 1 the console builds and its types hold')
  process.exit(1)
}

const { openBrowser, run, Site } = await import('./kit.mjs')
const { units } = await import('./unit.mjs')
const { first } = await import('./journeys/first.mjs')
const { work } = await import('./journeys/work.mjs')
const { live } = await import('./journeys/live.mjs')
const { pages } = await import('./journeys/pages.mjs')

const parts = await units()
const site = await (await Site.start(program, { hosts: 6 })).furnish()
await site.machines(['web-01', 'web-02', 'db-primary', 'db-replica', 'cache-01', 'mail', 'build-runner-1', 'build-runner-2', 'gitea', 'vpn', 'monitor', 'backup'])
const browser = await openBrowser()
const more = (options) => Site.start(program, { hosts: 2, ...options })
const failed = await run([
  ['the console builds and its types hold', () => undefined], ...parts.tests, ...pages(site, browser), ...first(more, browser), ...work(site, browser), ...live(site, browser, more),
])
await browser.close()
await site.stop()
await parts.close()
process.exit(failed ? 1 : 0)
