// SPDX-License-Identifier: Apache-2.0
import { Button } from 'antd'
import { bytesOf, percent } from '../../kit/format'
import { Icon } from '../../kit/state/glyphs'
import { registerColumns } from '../../kit/table/columns'
import { registerVerbs } from '../../kit/verbs/forms'
import { withheld } from '../../kit/verbs/check'
import { may } from '../../live/session'
import { go } from '../../router'
import { t } from '../../texts'
import { registerAddress, registerPage } from '../registry'
import { networksOf } from './networksOf'
import { openConsole } from './openConsole'
import { part } from '../../kit/part'

const FIRST_DISK_BYTES = 10737418240

function Actions() {
  return (
    <>
      <Button disabled={!!withheld('vm.create')} title={withheld('vm.create')} icon={<Icon name="plus" size={13} />} onClick={() => go('/vms/new')} data-test="new-vm">{t('new_vm')}</Button>
      <Button disabled={!!withheld('vm.create')} title={withheld('vm.create')} icon={<Icon name="upload" size={13} />} onClick={() => go('/vms/deploy-table')} data-test="deploy-table">{t('from_table')}</Button>
      <Button type="primary" disabled={!!withheld('vm.create')} title={withheld('vm.create')} icon={<Icon name="images" size={13} />} onClick={() => go('/vms/deploy')} data-test="deploy">{t('deploy')}</Button>
    </>
  )
}

export function register() {
  registerAddress({ path: '/vms/deploy', page: part(() => import('./Deploy')), title: () => t('deploy_from_image') })
  registerAddress({ path: '/vms/deploy-table', page: part(() => import('./table/DeployTable')), title: () => t('deploy_from_table') })
  registerAddress({ path: '/vms/new', page: part(() => import('./Create')), title: () => t('new_vm') })
  registerPage({
    plural: 'vms', summary: part(() => import('./Summary')), parent: (o) => o.host, listActions: Actions, empty: () => <><p>{t('no_vms')}</p><Actions /></>, without: ['images'],
    tabs: [
      { key: 'console', label: () => t('console'), part: part(() => import('./ConsoleTab')), shown: () => may('vm.console') },
      { key: 'monitor', label: () => t('monitor'), part: part(() => import('./Monitor')) },
      { key: 'why', label: () => t('why_slow'), part: part(() => import('./Why')) },
      { key: 'devices', label: () => t('devices'), part: part(() => import('./Devices')) },
      { key: 'migrations', label: () => t('migrations'), part: part(() => import('./Migrations')) },
      { key: 'log', label: () => t('run_log'), part: part(() => import('./RunLog')), shown: () => may('vm.log') },
    ],
  })
  registerColumns('vms', {
    columns: ['name', 'power.state', 'host', 'guest.ips', 'cpu.vcpus', 'usage.cpu_percent', 'memory', 'os.variant', 'created'],
    cells: {
      memory: { title: () => t('memory'), width: 150, sort: 'memory_bytes', number: true, cell: (o) => bytesOf(o.power?.state === 'running' ? o.usage?.memory_used_bytes : undefined, o.memory_bytes) },
      'usage.cpu_percent': { title: () => 'CPU', width: 90, number: true, cell: (o) => (o.power?.state === 'running' ? percent(o.usage?.cpu_percent) : <span className="faint">-</span>) },
      name: { width: 210 }, host: { width: 170 }, 'power.state': { width: 140 }, 'cpu.vcpus': { width: 70 }, 'guest.ips': { width: 140 }, 'os.variant': { title: () => t('os'), width: 110 },
    },
  })
  registerVerbs('vms', {
    console: { main: 1, icon: 'console', shortcut: 'c', run: (objects) => openConsole(objects[0]!) }, start: { main: 2, icon: 'play' }, shutdown: { main: 3, icon: 'power' }, migrate: { main: 4, icon: 'migrations', shortcut: 'm', fields: part(() => import('./Migrate')), foretold: part(() => import('./Forecast')), each: (vm, { map, ...rest }) => ({ ...rest, networks: networksOf(vm, map) }) },
    resume: { main: 5, icon: 'play' }, restore: { main: 6, icon: 'restart' }, adopt: { main: 7, icon: 'plus' }, reboot: { main: 8, icon: 'restart' },
    delete: { fields: part(() => import('./Delete')), initial: () => ({ how: 'bin_with_volumes' }) },
    screenshot: { run: (objects) => go(`/vms/${objects[0]!.id}/console`) },
    send_keys: { run: (objects) => go(`/vms/${objects[0]!.id}/console`) },
    attach_nic: { initial: () => ({ nic: {} }), fields: part(() => import('./AttachNic')), ready: (value) => !!value.nic?.port_group }, attach_disk: { initial: () => ({ disk: { new_volume: { size_bytes: FIRST_DISK_BYTES } } }), fields: part(() => import('./AttachDisk')), ready: (value) => !!(value.disk?.volume || value.disk?.new_volume?.size_bytes) },
    migrate_storage: { fields: part(() => import('./MoveDisks')), foretold: part(() => import('./Forecast')), ready: (value) => !!value.pool || !!value.disks?.length },
    export: { initial: (objects) => ({ name: objects.length === 1 ? objects[0]!.name : undefined }) },
  })
}
