// SPDX-License-Identifier: Apache-2.0
// What administrators do, each with the most clicks it may take. A journey that gets longer fails.
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { check, click, head, makeSheet, openPage, quiet, same, until } from '../kit.mjs'

const LONG = 260 // rows: more than a list reads at first
const fresh = (page) => (page.clicks = 0)
const most = (page, n) => check(page.clicks <= n, `${page.clicks} clicks, at most ${n}`)
const url = (page) => new URL(page.url()).pathname

async function good(page) {
  page.wrong = page.wrong.filter((w) => !/422/.test(w)) // simulated hosts have no screen
  same(page.wrong, [], 'what went wrong in the browser')
}

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    server.close(() => resolve(port))
  })
})

/** A machine's SSH server, which lets nobody in by the password that is tried here. */
async function sshServer(dir) {
  const key = join(dir, 'ssh_host_key')
  const port = await freePort()
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  mkdirSync('/run/sshd', { recursive: true })
  writeFileSync(join(dir, 'sshd_config'), `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${key}\nPidFile none\nUsePAM no\nPermitRootLogin yes\nStrictModes no\n`)
  const process = spawn('/usr/sbin/sshd', ['-D', '-f', join(dir, 'sshd_config')], { stdio: 'ignore' })
  return { port, fingerprint: execFileSync('ssh-keygen', ['-lf', key + '.pub']).toString().split(' ')[1], stop: () => process.kill() }
}

export function work(site, browser) {
  let page
  const at = async (path) => {
    page ??= await openPage(browser, site)
    page.wrong.length = 0
    await page.goto(site.url + path)
    await page.waitForSelector('.page > *')
    fresh(page)
    return page
  }
  return [
    ['a VM is found by its address without a click', async () => {
      const { ip, vm } = await until('a guest with an address', async () => {
        const found = (await site.call('GET', '/vms?filter=guest.ips!=""&limit=1')).items[0]
        return found && { ip: found.guest.ips[0], vm: found.id }
      })
      await at('/')
      await page.keyboard.press('/')
      await page.keyboard.type(ip)
      await page.waitForSelector('.hit .hitkind')
      await page.keyboard.press('Enter')
      await page.waitForURL(`**/vms/${vm}`)
      most(page, 0)
      await good(page)
    }],
    ['a machine is added over SSH: its key is shown before its password is sent', async () => {
      const server = await sshServer(site.dir)
      try {
        await at('/hosts')
        page.allowed = [/409/, /503/] // the key is not confirmed, the password is wrong; the server begins
        await click(page, '[data-test=create]')
        await page.click('[data-test=add-way] >> text=Over SSH')
        await page.fill('[data-test=ssh-address]', '127.0.0.1')
        await page.fill('input[aria-label=Port]', String(server.port))
        await page.fill('[data-test=ssh-password]', 'nobody has this one')
        await until('the machine shows its key', async () => {
          await click(page, '[data-test=ssh-go]')
          await page.waitForSelector('[data-test=ssh-fingerprint], .errorbox')
          return page.$('[data-test=ssh-fingerprint]')
        })
        same(await page.textContent('[data-test=ssh-fingerprint]'), server.fingerprint)
        await click(page, '[data-test=ssh-go]')
        await page.waitForSelector('.errorbox >> text=does not let root in')
        await good(page)
      } finally {
        server.stop()
      }
    }],
    ['twelve VMs are deployed from an image in two clicks, and the review says how', async () => {
      await at(`/vms/deploy?image=${site.images[0]}`)
      await page.fill('#deploy-name', 'shop')
      await page.fill('#deploy-count', '12')
      await page.waitForSelector('.review .checkok')
      check((await page.textContent('.review')).includes('12 VMs: shop-1, shop-2'), await page.textContent('.review'))
      const promised = await page.textContent('.review')
      await click(page, '[data-test=confirm]')
      await page.waitForURL('**/tasks/*')
      const task = url(page).split('/')[2]
      const ended = await site.task({ id: task })
      same(ended.state, 'done')
      await page.waitForSelector(head('done'))
      const made = (await site.call('GET', '/vms?filter=name%3Dshop-1')).items[0]
      check(promised.includes(`${made.cpu.vcpus} vCPU · ${made.memory_bytes / 1024 ** 2} MiB`), promised)
      most(page, 2)
      await good(page)
    }],
    ['VMs are deployed from a table in two clicks; each row that cannot be says why, by cell', async () => {
      const file = join(site.dir, 'vms.xlsx')
      await at('/vms/deploy-table')
      page.allowed = [/409/] // a row that cannot be
      await makeSheet(file, [['Name', 'Image', 'vCPU', 'Colour']])
      await page.setInputFiles('[data-test=file]', file)
      await page.waitForSelector('[data-test=sheet-faults] >> text=D1')
      await makeSheet(file, [
        ['Name *', 'Image *', 'vCPU', 'Memory (GiB)', 'Address with prefix', 'Gateway', 'Start afterwards'],
        ['table-1', 'debian-12-cloud', 2, 4, '10.20.0.11/24', '10.20.0.1', 'yes'],
        ['table-2', 'debian-12-cloud', 1, 2, '', '', 'no'],
        ['table-3', 'no such image', 1, 2, '', '', ''],
        ['table-4', 'debian-12-cloud', 2, 'much', '', '', ''],
        ['table-5', 'debian-12-cloud', 1, 9000, '', '', ''],
      ])
      fresh(page)
      await page.setInputFiles('[data-test=file]', file)
      await page.waitForSelector('[data-test=table-summary] >> text=2 rows can be deployed, 3 cannot')
      const rows = await page.locator('[data-test=orders] tbody tr').allTextContents()
      check(/B4: nothing is called no such image/.test(rows[2]) && /D5: a size .*much/.test(rows[3]) && /less memory in all/.test(rows[4]), rows.join('\n'))
      await click(page, '[data-test=confirm]')
      await page.waitForSelector('[data-test=table-summary] >> text=2 ordered, 3 not')
      const made = await until('both VMs', async () => {
        const found = (await site.call('GET', '/vms?filter=name~table-&sort=name')).items
        return found.length === 2 && found.every((vm) => !vm.activity) && found
      })
      same(made.map((vm) => [vm.name, vm.cpu.vcpus, vm.memory_bytes / 1024 ** 3, vm.power.state]), [['table-1', 2, 4, 'running'], ['table-2', 1, 2, 'off']])
      await until('both rows done', async () => (await page.locator('[data-test=orders] tr[data-state=sent] a:text-is("Done")').count()) === 2)
      most(page, 2)
      writeFileSync(file, 'no spreadsheet')
      await page.setInputFiles('[data-test=file]', file)
      await page.waitForSelector('.errorbox >> text=is not an Excel file')
      const [saved] = await Promise.all([page.waitForEvent('download'), page.click('[data-test=template]')])
      await saved.saveAs(file)
      await page.setInputFiles('[data-test=file]', file)
      await page.waitForSelector('[data-test=table-summary] >> text=0 rows can be deployed, 1 cannot') // its example names an image that is not here
      await good(page)
      page.allowed = []
    }],
    ['a deploy that cannot be says why before it is asked for, and keeps what was typed', async () => {
      await at(`/vms/deploy?image=${site.images[0]}`)
      await page.fill('#deploy-name', 'huge')
      await page.fill('#deploy-memory', '9 TiB')
      await page.waitForSelector('form .errorbox')
      check(/request/i.test(await page.textContent('form .errorbox .meta')), 'no request id')
      await page.reload()
      same(await page.inputValue('#deploy-name'), 'huge')
      page.wrong.length = 0
    }],
    ['a pool is added in three clicks', async () => {
      await at('/pools')
      await click(page, '[data-test=create]')
      await page.fill('#pool-name', 'Fast one')
      await page.click('.ant-modal .ant-select')
      page.clicks++
      await page.click(`.ant-select-item >> text=${site.hosts[0].name}`)
      await page.keyboard.press('Escape')
      check((await page.inputValue('#pool-path')).endsWith('/fast-one'), await page.inputValue('#pool-path'))
      await page.waitForSelector('.ant-modal [data-test=pool-said]') // its host has tried it
      await click(page, '[data-test=confirm]')
      await page.waitForSelector('.grid >> text=Fast one')
      most(page, 3)
      await good(page)
    }],
    ['a host is added in two clicks: a command without the token, and the host as it comes', async () => {
      await at('/hosts')
      await click(page, '[data-test=create]')
      await page.fill('.ant-modal input[aria-label="Host name"]', 'kvm-99')
      await click(page, '[data-test=confirm]')
      const token = (await page.textContent('[data-test=join-token]')).trim()
      check(!(await page.textContent('[data-test=join-command]')).includes(token), 'the token stands in a command line')
      const csr = execFileSync('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=x', '-keyout', '/dev/null'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString()
      await site.call('POST', '/enrol', { token, csr, hostname: 'kvm-99', architecture: 'x86_64' }, { token: null })
      await page.waitForSelector('.waitfor >> text=kvm-99')
      most(page, 2)
      await good(page)
    }],
    ['many are shut down at once with one summary; what cannot be is said before', async () => {
      await at('/vms?filter=shop')
      await page.waitForSelector('.row [role=gridcell]')
      const running = (await site.call('GET', '/vms?filter=name~shop and power.state=running'.replaceAll(' ', '%20'))).total
      const all = (await site.call('GET', '/vms?filter=name~shop')).total
      await click(page, '.head input')
      await click(page, '.pickedbar [data-verb=shutdown]')
      check((await page.textContent('.selection')).includes(`Will be done for ${running}`), await page.textContent('.selection'))
      if (all > running) check(/skipped/.test(await page.textContent('.selection')), 'nothing is said of the rest')
      await click(page, '[data-test=confirm]')
      await page.waitForSelector(`[data-test=batch-summary] >> text=${running} done`)
      most(page, 3)
      await page.keyboard.press('Escape')
      await good(page)
    }],
    ['a VM goes into the bin by its name, and comes back in three clicks', async () => {
      const vm = (await site.call('GET', '/vms?filter=name=shop-3')).items[0]
      await site.call('POST', `/vms/${vm.id}/power_off`, {}).then((t) => site.task(t), () => undefined)
      await at(`/vms/${vm.id}`)
      await page.waitForSelector(head('off'))
      await page.click('[data-test=more-verbs]')
      await page.click('.ant-dropdown:not(.ant-dropdown-hidden) [data-verb=delete]:not(:has(.why))')
      check(await page.isDisabled('[data-test=confirm]'), 'it can be deleted without its name')
      await page.fill('[data-test=confirm-name]', 'shop-3')
      await page.click('[data-test=confirm]')
      await page.waitForSelector(head('in_bin'))
      fresh(page)
      await click(page, '.header [data-test=nav-more]')
      await click(page, '.alllists >> text=Recycle bin')
      await page.click(`.row[data-id=${vm.id}]`, { button: 'right' })
      await click(page, '.ant-dropdown:not(.ant-dropdown-hidden) [data-verb=restore]:not(:has(.why))')
      await until('it is back', async () => (await site.call('GET', `/vms/${vm.id}`)).management === 'managed')
      most(page, 3)
      await good(page)
    }],
    ['a VM that is off is exported in four clicks, and the file is there to be fetched', async () => {
      const vm = await site.call('GET', `/vms/${(await site.do('POST', '/vms/deploy', { name: 'leaver', image: site.images[0], start: false })).result}`)
      const pool = (await site.call('GET', `/volumes/${vm.disks[0].volume}`)).pool
      const { name } = await site.call('GET', `/pools/${pool}`)
      await at(`/vms/${vm.id}`)
      await page.waitForSelector(head('off'))
      await click(page, '[data-test=more-verbs]')
      await click(page, '.ant-dropdown:not(.ant-dropdown-hidden) [data-verb=export]:not(:has(.why))')
      await click(page, '.ant-modal .ant-select')
      await page.click(`.ant-select-item >> text=${name}`)
      await page.waitForSelector('.ant-modal .checkok')
      await click(page, '[data-test=confirm]')
      const ova = await until('it is a volume', async () => (await site.call('GET', '/volumes?filter=kind=ova%20and%20state=ready')).items[0])
      most(page, 4)
      same([ova.name, ova.pool], ['leaver', pool])
      await at(`/volumes/${ova.id}`)
      await page.waitForSelector('.card >> text=Exported VM (OVA)')
      same(await page.getAttribute('[data-test=download]', 'href'), `/api/v1/volumes/${ova.id}/data`)
      await at(`/volumes/${vm.disks[0].volume}`)
      await page.waitForSelector('.card dl')
      await quiet(page)
      check(!(await page.$('[data-test=download]')), "a VM's own disk is offered")
      await site.do('DELETE', `/volumes/${ova.id}`, {})
      await site.do('DELETE', `/vms/${vm.id}`, { how: 'destroy' })
      await good(page)
    }],
    ['a host is emptied in two clicks, and what runs there is listed first', async () => {
      const host = site.hosts[1]
      const here = (await site.call('GET', `/vms?filter=host=${host.id}%20and%20power.state=running&sort=-memory_bytes`)).items
      await at(`/hosts/${host.id}`)
      await click(page, '[data-verb=enter_maintenance]')
      if (here.length) await page.waitForSelector(`.ant-modal .names >> text=${here[0].name}`)
      await page.click('.ant-modal .ant-select')
      await page.click('.ant-select-item >> text="Power off"')
      await click(page, '[data-test=confirm]')
      await page.waitForSelector(head('maintenance'))
      await click(page, '[data-verb=leave_maintenance]')
      await page.waitForSelector(head('connected'))
      most(page, 3)
      await good(page)
    }],
    ['a VM moves to another host in three clicks, and the log of moves has it', async () => {
      const vm = site.vms[2]
      if ((await site.call('GET', `/vms/${vm}`)).power.state === 'off') await site.do('POST', `/vms/${vm}/start`, {})
      const from = (await site.call('GET', `/vms/${vm}`)).host
      const to = site.hosts[site.hosts.findIndex((h) => h.id === from) ^ 1].id
      await at(`/vms/${vm}`)
      await click(page, '.verbs [data-verb=migrate]')
      await click(page, `.pickhost [data-host=${to}]`)
      await page.waitForSelector('.ant-modal .checkok')
      await click(page, '[data-test=confirm]')
      await until('it is there', async () => (await site.call('GET', `/vms/${vm}`)).host === to)
      await page.waitForSelector(`.crumbs a[href="/hosts/${to}"]`)
      most(page, 3)
      await page.click('[data-tab=migrations]')
      await page.waitForSelector('.row >> text="Done"')
      await good(page)
    }],
    ['a name is changed where it stands', async () => {
      await at(`/vms/${site.vms[3]}`)
      await page.hover('.objecthead h1')
      await click(page, '.rename')
      await page.fill('.objecthead input', 'db-replica-2')
      await page.keyboard.press('Enter')
      await page.waitForSelector('h1 >> text=db-replica-2')
      await until('the server knows', async () => (await site.call('GET', `/vms/${site.vms[3]}`)).name === 'db-replica-2')
      await page.waitForSelector('.tree >> text=db-replica-2')
      most(page, 1)
      await good(page)
    }],
    ['settings are changed with their number said, and only what differs is sent', async () => {
      await at(`/vms/${site.vms[5]}`)
      await click(page, '.card [aria-label^=Change]')
      await page.waitForSelector('.ant-modal textarea')
      await page.fill('.ant-modal textarea', 'Kept by the mail team')
      const sent = page.waitForRequest((r) => r.method() === 'PATCH')
      await click(page, '.ant-modal >> text=Save 1 change')
      same(JSON.parse((await sent).postData()), { description: 'Kept by the mail team' })
      await page.waitForSelector('.notes >> text=Kept by the mail team')
      await good(page)
    }],
    ['filter and sort stand in the address and survive a reload', async () => {
      await at('/vms')
      await page.fill('[data-test=filter]', 'state:running')
      await page.waitForURL(/filter=state/)
      await page.click('.head >> text=Memory')
      await page.waitForURL(/sort=memory_bytes/)
      await page.reload()
      await page.waitForSelector('.row [role=gridcell]')
      same(await page.inputValue('[data-test=filter]'), 'state:running')
      same(await page.getAttribute('.head .cell:has-text("Memory")', 'aria-sort'), 'ascending')
      same(await page.locator('.row .state:not([data-state=running])').count(), 0)
      await good(page)
    }],
    ['the whole list goes into a CSV, harmless to a spreadsheet', async () => {
      const evil = (await site.machines(['=1+1'], { start: false }))[0]
      await at('/vms')
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('[data-test=csv]')])
      const path = join(site.dir, 'vms.csv')
      await download.saveAs(path)
      const lines = readFileSync(path, 'utf8').trim().split('\r\n')
      const total = (await site.call('GET', '/vms?filter=management!=in_bin&limit=1')).total
      same(lines.length, total + 1)
      check(lines.some((l) => l.startsWith("'=1+1")), 'a formula stands in it')
      await site.do('DELETE', `/vms/${evil}`, { how: 'destroy' })
      await good(page)
    }],
    ['a file is checked against the pool before a byte is sent', async () => {
      await at('/images/upload')
      const path = join(site.dir, 'small.qcow2')
      writeFileSync(path, 'QFI\xfb')
      await page.setInputFiles('[data-test=file]', path)
      same(await page.inputValue('#image-name'), 'small')
      check((await page.textContent('.createbody')).includes('small.qcow2'), 'the file is not shown')
      await good(page)
    }],
    ['a task shows its steps and its log', async () => {
      await at('/')
      await click(page, '[data-test=tasks]')
      await click(page, '.taskrows .linklike')
      await page.waitForSelector('.taskdetail .steps li')
      await page.click('[data-test=tasks]')
      await good(page)
    }],
    ['a new volume is offered the kinds that can be made, and no other', async () => {
      await at('/volumes')
      await page.click('text=New Volume')
      await page.click('.ant-modal .grouphead')
      await page.click('.ant-modal .field:has(label:text-is("Kind")) .ant-select')
      await page.waitForSelector('.ant-select-item-option >> text=ISO')
      same(await page.locator('.ant-select-item-option').allTextContents(), ['Disk', 'ISO'])
      await page.keyboard.press('Escape')
      await good(page)
    }],
    ['choices are named by what they mean where they stand', async () => {
      await at(`/vms/${site.vms[5]}/configure`)
      await page.waitForSelector('.facts >> text=Shares')
      check(!(await page.textContent('.page')).includes('In service') && (await page.textContent('.page')).includes('Normal'), 'shares of a VM')
      await good(page)
    }],
    ['the tree says its views in full, and a list cuts no column off', async () => {
      await at('/tasks')
      await page.waitForSelector('.row [role=gridcell]')
      const cut = await page.evaluate(() => [...document.querySelectorAll('.treepane .ant-segmented-item-label')].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent))
      same(cut, [])
      const [whole, seen] = await page.evaluate(() => { const grid = document.querySelector('.grid'); return [grid.scrollWidth, grid.clientWidth] })
      check(whole <= seen, `${whole} of ${seen} pixels`)
      await good(page)
    }],
    ['keys go where the mouse goes', async () => {
      await at('/')
      for (const [keys, path] of [['gv', '/vms'], ['gh', '/hosts'], ['gs', '/']]) {
        await Promise.all([...keys].map((key) => page.keyboard.press(key))) // one right after the other
        await page.waitForURL(site.url + path)
      }
      await page.keyboard.press('?')
      await page.waitForSelector('.keys')
      await page.keyboard.press('Escape')
      await page.waitForSelector('.keys', { state: 'hidden' })
      await page.goto(site.url + '/vms')
      await page.waitForSelector('.row [role=gridcell]')
      await page.focus('.grid')
      for (const key of ['j', 'j', 'x', 'k', 'x']) await page.keyboard.press(key)
      await page.waitForSelector('.pickedbar >> text=2 selected')
      await page.keyboard.press('Enter')
      await page.waitForURL('**/vms/vm-*')
      most(page, 0)
      await quiet(page)
      await good(page)
    }],
    ['all of a long list are picked, those not read yet too', async () => {
      await at('/')
      const groups = await Promise.all(Array.from({ length: LONG }, (_, i) => site.call('POST', '/business-groups', { name: `long-${String(i).padStart(3, '0')}` })))
      try {
        await page.goto(site.url + '/business-groups?filter=long')
        await page.waitForSelector('.row [role=gridcell]')
        await page.click('.row:nth-child(1) input')
        await page.waitForSelector('.pickedbar >> text=1 selected')
        await page.click('[data-test=pick-all]')
        await page.waitForSelector(`.pickedbar >> text=${LONG} selected`)
        await page.click('.row:nth-child(2) input') // and may be picked out again
        await page.waitForSelector(`.pickedbar >> text=${LONG - 1} selected`)
        await good(page)
      } finally {
        await Promise.all(groups.map((group) => site.call('DELETE', `/business-groups/${group.id}`)))
      }
    }],
  ]
}
