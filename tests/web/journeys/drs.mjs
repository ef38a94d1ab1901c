// SPDX-License-Identifier: Apache-2.0
// Where VMs run: rules and what breaks them, advice of DRS with its reasons, and what would be if.
import { check, click, openPage, same, until } from '../kit.mjs'

/** Until what is there says so: names come after the ids that stand for them. */
const says = async (page, selector, wanted) => {
  let text
  await until(`${selector} says ${wanted}`, async () => {
    text = await page.textContent(selector)
    return typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text)
  }).catch((error) => { throw new Error(`${error.message}: ${text}`) })
}

const GIB = 1024 ** 3

/** Three hosts in a cluster, two of which see one pool; four VMs on the first, so that there is something to advise. */
export async function busyCluster(site) {
  await site.furnish({ image: false })
  const [one, two] = site.hosts
  const shared = await site.do('POST', '/pools', { name: 'shared', kind: 'shared_directory', hosts: [one.id, two.id], path: '/srv/shared' })
  site.cluster = one.cluster
  site.movers = []
  for (const name of ['web-1', 'web-2', 'db-1', 'db-2']) {
    const made = await site.do('POST', '/vms', { name, host: one.id, cpu: { vcpus: 16 }, memory_bytes: 12 * GIB, disks: [{ new_volume: { size_bytes: 20 * GIB, pool: shared.result ?? shared.target } }], nics: [{ port_group: site.groups[0] }] })
    site.movers.push(made.result ?? made.target)
  }
  await Promise.all(site.movers.map((id) => site.do('POST', `/vms/${id}/start`, {})))
  return site
}

export function drs(makeSite, browser) {
  let site
  let page
  const cluster = () => `/clusters/${site.cluster}`
  const at = async (path) => {
    site ??= await busyCluster(await makeSite({ hosts: 4 }))
    page ??= await openPage(browser, site)
    page.wrong.length = 0
    page.allowed = []
    await page.goto(site.url + (typeof path === 'function' ? path() : path))
    await page.waitForSelector('.tabpanel > *')
    page.clicks = 0
  }
  const most = (n) => check(page.clicks <= n, `${page.clicks} clicks, at most ${n}`)
  const good = () => same(page.wrong, [], 'what went wrong in the browser')
  const where = async (id) => (await site.call('GET', `/vms/${id}`)).host
  const firstAdvice = async () => {
    const row = page.locator('[data-advice][data-state=pending]').first()
    await until('advice', async () => {
      await page.click('[data-test=refresh]:not(.ant-btn-loading)')
      return row.waitFor({ timeout: 3000 }).then(() => true, () => false)
    })
    page.clicks = 0
    const id = await row.getAttribute('data-advice')
    return { id, advice: await site.call('GET', `/drs-recommendations/${id}`) }
  }
  return [
    ['a rule is made on the page of its cluster, and what breaks it is told', async () => {
      await at(() => `${cluster()}/rules`)
      await page.waitForSelector('.tabpanel >> text=No rules yet')
      await site.call('PATCH', cluster(), { drs: { level: 'manual', rules: 'manual', duration_s: 0, interval_s: 3600 } })
      await click(page, '[data-test=new-rule]')
      await page.waitForSelector('.ant-modal .field:has-text("Kind")')
      same(await page.locator('.ant-modal label >> text=Hosts').count(), 0, 'hosts are asked for before the kind wants them')
      await page.fill('.ant-modal .field:has-text("Name") input', 'webs apart')
      await click(page, '.ant-modal .field:has-text("Kind") .ant-select')
      await click(page, '.ant-select-item >> text=Keep apart')
      await click(page, '.ant-modal .field:has(label:text-is("VMs")) .ant-select')
      await click(page, '.ant-select-item >> text=web-1')
      await click(page, '.ant-select-item >> text=web-2')
      await page.keyboard.press('Escape')
      await click(page, '[data-test=confirm]')
      await page.waitForSelector('[data-rule] >> text=webs apart')
      most(7)
      const rule = (await site.call('GET', '/affinity-rules')).items[0]
      same([rule.kind, rule.cluster, rule.vms, rule.hosts ?? []], ['keep_apart', site.cluster, site.movers.slice(0, 2), []])
      await page.waitForSelector('[data-test=broken] >> text=web-1')
      await says(page, '[data-test=broken]', /web-[12] runs on .*kvm-01.* beside web-[12]/)
      await click(page, `[data-rule=${rule.id}] [aria-label^=Change]`)
      await page.fill('.ant-modal .field:has-text("Name") input', 'webs apart always')
      await click(page, '[data-test=confirm]')
      await page.waitForSelector('[data-rule] >> text=webs apart always')
      good()
    }],
    ['advice has its reason, figures and alternatives; a move is accepted in one click and stands in the history', async () => {
      await at(() => `${cluster()}/drs`)
      await until('the three hosts', async () => (await page.locator('.hostswanted [data-host]').count()) === 3)
      await page.waitForSelector('[data-test=broken] >> text=webs apart always')
      // A VM that is not measured yet stays where it is.
      const { id, advice } = await firstAdvice()
      same([advice.reason, advice.from, advice.to], ['rule', site.hosts[0].id, site.hosts[1].id])
      await click(page, `[data-advice=${id}] [data-test=explain]`)
      await page.waitForSelector('[data-test=why] >> text=breaks the rule webs apart always')
      await page.waitForSelector('[data-test=why] [data-test=forecast] >> text=/Takes/')
      for (const part of [/hardware threads/, /kvm-02[^:]*: processors [\d.]+ % before/, /Also weighed.*cannot take it/s]) await says(page, '[data-test=why]', part)
      await click(page, `[data-advice=${id}] [data-test=accept]`)
      await page.waitForSelector(`[data-test=drs-history] [data-advice=${id}][data-state=applied]`)
      most(2)
      same(await where(advice.vm), site.hosts[1].id)
      await says(page, `[data-test=drs-history] [data-advice=${id}]`, 'admin') // who accepted it
      await page.waitForSelector('.cards.drs >> text=Broken rules', { state: 'detached' })
      await page.click(`[data-test=drs-history] [data-advice=${id}] a`)
      await page.waitForSelector('[data-test=why] >> text=breaks the rule')
      good()
    }],
    ['all that is advised is accepted in one click', async () => {
      await site.call('POST', '/affinity-rules', { name: 'dbs apart', cluster: site.cluster, kind: 'keep_apart', vms: site.movers.slice(2) })
      await at(() => `${cluster()}/drs`)
      await until('advice', async () => {
        await page.click('[data-test=refresh]:not(.ant-btn-loading)')
        // What was advised for another reason before the rule was there gives way to this: accepted in that moment it is refused.
        const ofRule = (await site.call('GET', '/drs-recommendations')).items.find((advice) => advice.state === 'pending' && advice.reason === 'rule')
        return ofRule && page.locator(`[data-advice=${ofRule.id}]`).waitFor({ timeout: 3000 }).then(() => true, () => false)
      })
      page.clicks = 0
      await click(page, '[data-test=accept_all]:enabled')
      await until('both apart', async () => (await where(site.movers[2])) !== (await where(site.movers[3]))).catch(async (error) => {
        throw new Error(`${error.message}: ${JSON.stringify((await site.call('GET', '/drs-recommendations')).items.map(({ vm, to, state, reason, error: why }) => ({ vm, to, state, reason, why })))}`)
      })
      most(1)
      good()
    }],
    ['a rule spreads over racks: hosts say theirs, too many are refused, who shares one is told with the rack', async () => {
      const [one, two] = site.hosts
      const others = (await site.call('GET', '/affinity-rules')).items
      for (const rule of others) await site.call('PATCH', `/affinity-rules/${rule.id}`, { enabled: false })
      await site.call('PATCH', `/hosts/${two.id}`, { fault_domain: 'rack-7' })
      await at(`/hosts/${one.id}/configure`)
      await click(page, '[aria-label="Change Settings"]')
      await page.fill('.ant-modal .field:has-text("Fault domain") input', 'rack-7')
      await click(page, '[data-test=confirm]')
      await page.waitForSelector('.tabpanel >> text=rack-7')
      most(2)
      same((await site.call('GET', '/hosts?filter=fault_domain%3Drack-7')).items.map((host) => host.id).sort(), [one.id, two.id].sort())
      await at(() => `${cluster()}/rules`)
      await click(page, '[data-test=new-rule]')
      await page.waitForSelector('.ant-modal .field:has-text("Kind")')
      same(await page.locator('.ant-modal label >> text=Min domains').count(), 0, 'fault domains are asked for before the kind wants them')
      await page.fill('.ant-modal .field:has-text("Name") input', 'webs in racks')
      await click(page, '.ant-modal .field:has-text("Kind") .ant-select')
      await click(page, '.ant-select-item >> text=Must spread')
      same(await page.locator('.ant-modal label >> text=Hosts').count(), 0, 'hosts are asked for by a rule that spreads')
      await click(page, '.ant-modal .field:has(label:text-is("VMs")) .ant-select')
      await click(page, '.ant-select-item >> text=web-1')
      await click(page, '.ant-select-item >> text=web-2')
      await page.keyboard.press('Escape')
      await page.fill('.ant-modal .field:has-text("Min domains") input', '3')
      page.allowed = [/400/]
      await click(page, '[data-test=confirm]')
      await page.waitForSelector('.ant-modal >> text=no more fault domains than the hosts of the cluster make up: 2')
      await page.fill('.ant-modal .field:has-text("Min domains") input', '2')
      await click(page, '[data-test=confirm]')
      await page.waitForSelector('[data-rule] >> text=webs in racks')
      await page.waitForSelector('[data-rule] >> text=(2 at least)')
      await says(page, '[data-test=broken]', /web-[12] runs on .*kvm-0[12].*, in the fault domain rack-7 where web-[12] runs too/)
      const { id } = (await site.call('GET', '/affinity-rules?filter=kind%3Dmust_spread')).items[0]
      const clash = { name: 'together', cluster: site.cluster, kind: 'keep_together', vms: site.movers.slice(0, 2) }
      same(await site.call('POST', '/affinity-rules', clash).then(() => 'made', (error) => error.code), 'rule_conflict')
      await site.call('PATCH', `/hosts/${two.id}`, { fault_domain: null }) // a fault domain of its own
      await page.waitForSelector(`[data-rule=${id}] [data-test=rule-state] >> text=Kept`)
      await site.call('DELETE', `/affinity-rules/${id}`)
      await site.call('PATCH', `/hosts/${one.id}`, { fault_domain: null })
      for (const rule of others) await site.call('PATCH', `/affinity-rules/${rule.id}`, { enabled: true })
      good()
    }],
    ['DRS and DPM are set where they are seen, and only what differs is sent', async () => {
      await at(() => `${cluster()}/drs`)
      await page.waitForSelector('[data-test=dpm-says] >> text=DPM is off')
      await click(page, '[aria-label="Change DRS"]')
      await page.waitForSelector('.ant-modal .field:has-text("Condition")') // unfolded: there is nothing else in this form
      await page.fill('.ant-modal .field:has-text("CPU") input', '55')
      const sent = page.waitForRequest((r) => r.method() === 'PATCH')
      await click(page, '[data-test=confirm]')
      same(JSON.parse((await sent).postData()), { drs: { cpu_percent: 55 } })
      await page.waitForSelector('.card:has(h2:text-is("DRS")) >> text=55 %')
      most(2)
      good()
    }],
    ['a disk of a pool that is too full is moved in one click, and why is told', async () => {
      await at(() => `${cluster()}/storage-drs`)
      await page.waitForSelector('.tabpanel >> text=storage DRS is off')
      const [one, two] = site.hosts
      const shared = (await site.call('GET', '/pools')).items.find((pool) => pool.name === 'shared').id
      const wide = await site.do('POST', '/pools', { name: 'wide', kind: 'shared_directory', hosts: [one.id, two.id], path: '/srv/wide' })
      await site.command(`filled ${shared} 96`) // 80 GiB of disks
      await site.command(`filled ${wide.result ?? wide.target} 200`)
      for (const id of [shared, wide.result ?? wide.target]) await site.do('POST', `/pools/${id}/refresh`, {})
      await site.call('PATCH', cluster(), { storage_drs: { level: 'manual', duration_s: 0, interval_s: 3600 } })
      await page.waitForSelector(`[data-pool=${shared}]`)
      const { id, advice } = await firstAdvice()
      same([advice.kind, advice.reason, advice.from_pool, advice.to_pool], ['storage', 'space', shared, wide.result ?? wide.target])
      await click(page, `[data-advice=${id}] [data-test=explain]`)
      await page.waitForSelector('[data-test=why] >> text=shared is fuller than the threshold')
      await says(page, '[data-test=why]', /are copied\..*shared[^:]*: [\d.]+ % used before, [\d.]+ % after/s)
      await click(page, `[data-advice=${id}] [data-test=accept]`)
      await page.waitForSelector(`[data-test=drs-history] [data-advice=${id}][data-state=applied]`)
      most(2)
      same((await site.call('GET', `/volumes/${advice.volume}`)).pool, advice.to_pool)
      await page.goto(site.url + `${cluster()}/drs`)
      await page.locator('[data-test=drs-history] [data-advice]').or(page.getByText('Nothing has been moved yet')).first().waitFor()
      same(await page.locator(`[data-advice=${id}]`).count(), 0, 'a move of a disk among those of hosts')
      await page.goto(site.url + `/drs-recommendations/${id}`)
      await page.waitForSelector('.page >> text=Pools before and after')
      good()
    }],
    ['what if a host fails: one click, and the picture shows before and after', async () => {
      for (const rule of (await site.call('GET', '/affinity-rules')).items) await site.call('PATCH', `/affinity-rules/${rule.id}`, { enabled: false })
      await at(() => `${cluster()}/what-if`)
      const [one, two, three] = site.hosts
      await click(page, `[data-host=${one.id}] input`)
      await page.waitForSelector('[data-test=verdict][data-feasible=true]')
      most(1)
      const truth = await site.call('GET', `${cluster()}/what_if?lost=${one.id}&vcpus=2&memory_bytes=${4 * GIB}`)
      await says(page, '[data-test=verdict][aria-busy=false]', `${truth.restarted} virtual machine`)
      const vmsThen = truth.hosts.find((host) => host.host === two.id).vms
      await says(page, `[data-host=${two.id}]`, `→ ${vmsThen}`)
      await page.waitForSelector(`[data-host=${one.id}].lost`)
      // Both hosts that reach the pool: nobody else can take them.
      await click(page, `[data-host=${two.id}] input`)
      await page.waitForSelector('[data-test=verdict][data-feasible=false]')
      for (const name of ['web-1', 'web-2', 'db-1', 'db-2']) await page.waitForSelector(`[data-test=stranded] >> text=${name}`)
      await page.reload() // it can be sent to a colleague
      await page.waitForSelector('[data-test=stranded] >> text=web-1')
      check(await page.isChecked(`[data-host=${two.id}] input`), 'the question is not in the address')
      same(await page.isChecked(`[data-host=${three.id}] input`), false)
      await page.click('.whatif >> text=Start over')
      await page.waitForSelector('[data-test=verdict]', { state: 'detached' })
      good()
    }],
    ['what if there were more VMs or a rule more; how many fit', async () => {
      for (const rule of (await site.call('GET', '/affinity-rules')).items) await site.call('PATCH', `/affinity-rules/${rule.id}`, { enabled: true })
      await at(() => `${cluster()}/what-if`)
      await page.fill('#more-vms', '10000')
      await page.fill('#more-memory', '16 GiB')
      await page.waitForSelector('[data-test=verdict][data-feasible=false]')
      const truth = await site.call('GET', `${cluster()}/what_if?vms=10000&vcpus=2&memory_bytes=${16 * GIB}`)
      await says(page, '[data-test=verdict]', `${truth.placed} of 10000 new ones`)
      await says(page, '[data-test=stranded]', `${10000 - truth.placed} new`)
      const fit = await site.call('GET', `${cluster()}/fit?vcpus=2&memory_bytes=${16 * GIB}&hosts_lost=1`)
      await page.waitForSelector(`[data-test=fit] b >> text=/^${fit.fit.toLocaleString('en-US')}$/`)
      await page.fill('#more-vms', '')
      await click(page, '.field:has-text("A rule more") .ant-select')
      await click(page, '.ant-select-item >> text=Keep together')
      await click(page, '.field:has(label:text-is("VMs")) .ant-select')
      await click(page, '.ant-select-item >> text=web-1')
      await click(page, '.ant-select-item >> text=web-2')
      await page.keyboard.press('Escape')
      await page.waitForSelector('[data-test=verdict][data-feasible=false]') // a rule that stands keeps them apart
      most(5)
      good()
    }],
    ['who may only look is offered none of it, and told which right it takes', async () => {
      const role = await site.call('POST', '/roles', { name: 'looker', permissions: ['*.read'] })
      await site.call('POST', '/users', { name: 'looker', password: 'looker-looker', roles: [role.id] })
      const theirs = await openPage(browser, site, { user: 'looker', password: 'looker-looker', path: `${cluster()}/drs` })
      await theirs.waitForSelector('.hostswanted [data-host]')
      for (const what of ['[data-test=refresh]', '[data-test=accept_all]', '[aria-label="Change DRS"]', '[aria-label="Change DPM"]']) {
        check(await theirs.isDisabled(what), `${what} is offered`)
        check(/right/.test(await theirs.getAttribute(what, 'title')), `${what}: no reason`)
      }
      await theirs.goto(`${site.url}${cluster()}/rules`)
      await theirs.waitForSelector('[data-rule]')
      for (const what of ['[data-test=new-rule]', '[data-test=delete-rule]', '[data-rule] [aria-label^=Change]']) check(await theirs.locator(what).first().isDisabled(), `${what} is offered`)
      same(theirs.wrong, [])
      await theirs.context().close()
      await page.context().close()
      await site.stop()
    }],
  ]
}
