// SPDX-License-Identifier: Apache-2.0
// The first hour: from an empty system with one host to a running VM.
import { check, click, head, openPage, same, until } from '../kit.mjs'

export function first(makeSite, browser) {
  return [['an empty system leads to its first VM in eight clicks', async () => {
    const site = await makeSite({ hosts: 1 })
    const host = (await site.call('GET', '/hosts')).items[0]
    await site.do('POST', '/switches', { name: 'front', host: host.id })
    const page = await openPage(browser, site)
    page.allowed.push(/422/)
    await page.waitForSelector('[data-step=host][data-done=true]')
    await click(page, '[data-step=pool] button')
    await page.fill('#pool-name', 'local')
    await page.waitForSelector('.checkok')
    await click(page, '[data-test=confirm]')
    await page.waitForSelector('[data-step=pool][data-done=true]')
    await click(page, '[data-step=image] button')
    await page.waitForSelector('[data-test=file]')
    // The bytes of an upload need a real host (tests/lab); here they are there at once.
    await site.image('first-image', (await site.call('GET', '/pools')).items[0].id)
    page.clicks++
    await page.click('.header .brand')
    await page.waitForSelector('[data-step=image][data-done=true]')
    await click(page, '[data-step=vm] button')
    await page.fill('#deploy-name', 'first')
    await page.waitForSelector('.checkok')
    await click(page, '[data-test=confirm]')
    const vm = await until('the VM', async () => (await site.call('GET', '/vms?filter=name=first')).items[0])
    await page.goto(`${site.url}/vms/${vm.id}`)
    await page.waitForSelector(head('running'))
    const [console_] = await Promise.all([page.context().waitForEvent('page'), click(page, '[data-verb=console]')])
    await console_.waitForSelector('.consolebar')
    check(page.clicks <= 8, `${page.clicks} clicks`)
    same(page.wrong, [])
    await page.context().close()
    await site.stop()
  }]]
}
