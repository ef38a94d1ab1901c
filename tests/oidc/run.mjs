// SPDX-License-Identifier: Apache-2.0
// run.mjs LIVING-SITE: logging in by a certified OpenID provider, in a real browser by the button of the login page. Prints TAP.
import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { check, openBrowser, openPage, run, same, Site, until } from '../web/kit.mjs'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const site = await Site.start(process.argv[2], { hosts: 1 })
const cert = join(site.dir, 'provider.crt')
const key = join(site.dir, 'provider.key')
execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=provider', '-addext', 'subjectAltName=IP:127.0.0.1', '-addext', 'basicConstraints=critical,CA:TRUE'], { stdio: 'ignore' })

/** A provider that knows one client, and what the manager must know of it. */
async function provide(client) {
  const whole = { client_id: 'winsphere', redirect_uris: [`${site.url}/login`], ...client }
  const process_ = spawn('node', [join(HERE, 'provider.mjs'), cert, key, JSON.stringify(whole)], { stdio: ['pipe', 'pipe', 'ignore'] })
  const issuer = await new Promise((resolve, reject) => {
    createInterface({ input: process_.stdout }).on('line', (line) => line.startsWith('issuer ') && resolve(line.slice(7)))
    process_.on('exit', () => reject(new Error('the provider does not start')))
  })
  return { process: process_, issuer, settings: { issuer, client_id: 'winsphere', client_secret: client.client_secret, ca_certificate: readFileSync(cert, 'utf8') } }
}

const secret = 'a secret of the client: + & ='
const real = await provide({ client_secret: secret, token_endpoint_auth_method: 'client_secret_basic' })
const signed = await provide({ token_endpoint_auth_method: 'none' })
const roles = (await site.call('GET', '/roles')).items
const ops = roles.find((role) => role.name === 'operations administrator').id
const company = await site.call('POST', '/identity-providers', { name: 'Company', create_users: true, group_roles: [{ group: 'ops', role: ops }], ...real.settings })
const open = await site.call('POST', '/identity-providers', { name: 'Open', ...signed.settings })
const browser = await openBrowser()

async function toProvider(page, provider, name) {
  await page.click(`[data-test=login-by-${provider.id}]`)
  await page.fill('input[name=login]', name)
  await page.fill('input[name=password]', 'anything')
  await page.click('button[type=submit]')
  await page.waitForSelector('text=Authorize')
}

const failed = await run([
  ['the button leads to the provider and back, logged in, where one wanted to go', async () => {
    const page = await openPage(browser, site, { login: false })
    await page.goto(site.url + '/hosts?sort=name')
    await toProvider(page, company, 'ada')
    await page.click('button[type=submit]')
    await page.waitForSelector('[data-test=user] >> text=ada')
    same(new URL(page.url()).pathname + new URL(page.url()).search, '/hosts?sort=name')
    const user = (await site.call('GET', '/users?filter=name=ada')).items[0]
    same([user.identity_issuer, user.identity_subject, user.full_name, user.roles], [real.issuer, 'ada', 'ada of the real provider', [ops]])
    check(!(await page.evaluate(() => document.cookie)), 'a script sees the cookie')
    await page.context().close()
  }],
  ['who says no there is told so on the login page, and may try again', async () => {
    const page = await openPage(browser, site, { login: false })
    await page.goto(site.url)
    await toProvider(page, company, 'bob')
    await page.click('text=Cancel')
    await page.waitForSelector('.login >> text=did not log you in')
    same(page.url(), `${site.url}/login`)
    await page.click(`[data-test=login-by-${company.id}]`)
    await page.waitForSelector('text=Authorize')
    await page.context().close()
  }],
  ['nobody is let in by a provider that makes no users, until an administrator links one', async () => {
    const page = await openPage(browser, site, { login: false, language: 'zh' })
    await page.goto(site.url)
    await toProvider(page, open, 'eve')
    await page.click('button[type=submit]')
    await page.waitForSelector('.login >> text=没有与之绑定的用户')
    const eve = await site.call('POST', '/users', { name: 'eve.local', password: 'a long word of hers', roles: [ops] })
    await site.call('POST', `/users/${eve.id}/link_identity`, { provider: open.id, subject: 'eve' })
    await page.click(`[data-test=login-by-${open.id}]`)
    await page.waitForSelector('[data-test=user] >> text=eve.local')
    await page.context().close()
  }],
  ['the address of a login that is over logs nobody in', async () => {
    const page = await openPage(browser, site, { login: false })
    await page.goto(site.url + '/login?state=made-up&code=made-up')
    await page.waitForSelector('.login >> text=not begun here')
    same(page.url(), `${site.url}/login`)
    await page.context().close()
  }],
])
await browser.close()
for (const provider of [real, signed]) {
  provider.process.stdin.end()
  await until('the end of a provider', () => provider.process.exitCode !== null)
}
await site.stop()
process.exit(failed ? 1 : 0)
