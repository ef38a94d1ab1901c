// SPDX-License-Identifier: Apache-2.0
// A VM at a glance: state, address, load, settings, disks, NICs, what happened last, all without scrolling.
import { useEffect, useState } from 'react'
import { Button } from 'antd'
import { post } from '../../api/client'
import { taskLabel, word } from '../../api/contract'
import { Spark } from '../../kit/chart/Spark'
import { Card, EditButton, Fact, Facts } from '../../kit/Details'
import { ErrorBox, tellFailure } from '../../kit/error/ErrorBox'
import { ago, bits, bytes, bytesOf, percent, rate } from '../../kit/format'
import { AlarmBoxes, LastEvents } from '../../kit/lists'
import { Name, Ref, To } from '../../kit/Name'
import { Icon, Glyph } from '../../kit/state/glyphs'
import { Value } from '../../kit/Value'
import { useSamples } from '../../live/samples'
import { may } from '../../live/session'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import type { TabProps } from '../registry'
import { openConsole } from './openConsole'

const SHOT_MS = 15000

export default function Summary({ object: vm }: TabProps) {
  return (
    <>
      <AlarmBoxes id={vm.id} />
      <Trouble vm={vm} />
      <div className="cards flow">
        <Screen vm={vm} />
        <Load vm={vm} />
        <Card title={t('guest')}>
          <Facts>
            <Fact label={t('ip_addresses')}><Value type="Vm" path="guest.ips" object={vm} /></Fact>
            <Fact label={t('host_name')}>{vm.guest?.hostname ?? '-'}</Fact>
            <Fact label={t('os')}>{vm.guest?.os_name ?? [vm.os?.family && word(vm.os.family), vm.os?.variant].filter(Boolean).join(' ')}</Fact>
            <Fact label={t('tools')}>{vm.guest?.agent ? word(vm.guest.agent) : '-'} <span className="faint">{vm.guest?.agent_version}</span></Fact>
          </Facts>
        </Card>
        <Card title={t('settings')} actions={<EditButton plural="vms" object={vm} only={['cpu', 'memory_bytes', 'memory_max_bytes', 'description', 'labels', 'autostart']} title={t('settings')} />}>
          <Facts>
            <Fact label={t('host')}><Ref id={vm.host} icon max={30} /></Fact>
            <Fact label="vCPU">{vm.cpu?.vcpus}{vm.cpu?.max_vcpus ? <span className="faint"> ({t('up_to', { n: vm.cpu.max_vcpus })})</span> : ''}</Fact>
            <Fact label={t('memory')}>{bytes(vm.memory_bytes)}</Fact>
            <Fact label={t('firmware')}>{[vm.architecture && word(vm.architecture), vm.machine, vm.firmware && word(vm.firmware)].filter(Boolean).join(' · ')}</Fact>
            <Fact label={t('image')}>{vm.image ? <Ref id={vm.image} max={30} /> : '-'}</Fact>
            <Fact label={t('created')}>{ago(vm.created)}</Fact>
            <Fact label={t('labels')}><Value type="Vm" path="labels" object={vm} /></Fact>
          </Facts>
          {vm.pending_restart?.length > 0 && <p className="waits">{t('waits_for_restart', { what: vm.pending_restart.join(', ') })}</p>}
        </Card>
        <Disks vm={vm} />
        <Card title={t('nics')} actions={<To to={`/vms/${vm.id}/devices`}>{t('devices')}</To>}>
          <ul className="short">
            {(vm.nics ?? []).map((nic: any) => (
              <li key={nic.key}>
                <Glyph name={nic.connected === false ? 'dash' : 'tick'} colour={nic.connected === false ? 'off' : 'ok'} title={nic.connected === false ? t('not_connected') : t('connected')} size={13} />
                <span className="mono">{nic.key}</span>
                <Ref id={nic.port_group} max={24} />
                <span className="grow" />
                <span className="faint mono">{nic.mac}</span>
              </li>
            ))}
            {!vm.nics?.length && <li className="faint">{t('none')}</li>}
          </ul>
        </Card>
        <Card title={t('last_events')}><LastEvents filter={`object=${vm.id}`} n={5} /></Card>
        {vm.description && <Card title={t('notes')} className="double"><p className="notes" dir="auto">{vm.description}</p></Card>}
      </div>
    </>
  )
}

/** Why it does not run, and what to do: the last task on it, when that failed. */
function Trouble({ vm }: { vm: any }) {
  const { rows } = useRows(may('task.read') ? 'tasks' : undefined, { filter: `target=${vm.id}`, sort: '-created' }, 1)
  const last = rows[0]
  if (!last || !['failed', 'rolled_back'].includes(last.state) || !last.error || vm.activity) return null
  return <div className="trouble"><ErrorBox what={`${taskLabel(last)}: ${word(last.state)} · ${ago(last.ended)}`} error={tellFailure(last.error, last.request_id)} actions={<To to={`/tasks/${last.id}`}>{t('open_task')}</To>} /></div>
}

function Screen({ vm }: { vm: any }) {
  const running = ['running', 'paused'].includes(vm.power?.state) && vm.management === 'managed' && vm.graphics !== 'none'
  const [shot, setShot] = useState<{ png: string; taken: string }>()
  const able = running && may('vm.console')
  useEffect(() => {
    if (!able) return setShot(undefined)
    let here = true
    const ask = () => document.hidden || void post(`/vms/${vm.id}/screenshot`).then((answer) => here && setShot(answer), () => clearInterval(timer))
    const timer = setInterval(ask, SHOT_MS)
    ask()
    return () => {
      here = false
      clearInterval(timer)
    }
  }, [vm.id, able])
  return (
    <Card title={t('console')} actions={able && <Button size="small" icon={<Icon name="external" size={12} />} onClick={() => openConsole(vm)}>{t('open')}</Button>} className="screencard">
      <To to={`/vms/${vm.id}/console`} className="screen" title={t('console')}>
        {shot ? <img src={`data:image/png;base64,${shot.png}`} alt={t('screen_of', { name: vm.name })} /> : <span className="noscreen"><Icon name="console" size={26} /><span>{running ? t('screen_not_seen') : t('is_off')}</span></span>}
      </To>
    </Card>
  )
}

function Load({ vm }: { vm: any }) {
  const samples = useSamples(vm.id, vm)
  const u = vm.power?.state === 'running' ? vm.usage ?? {} : {}
  const add = (a?: number, b?: number) => (a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0))
  return (
    <Card title={t('load_now')} actions={<To to={`/vms/${vm.id}/monitor`}>{t('monitor')}</To>}>
      <div className="sparks">
        <div><span>CPU</span><b>{percent(u.cpu_percent)}</b><Spark values={samples.map((s) => s.value.cpu_percent ?? 0)} max={100} /></div>
        <div><span>{t('memory')}</span><b>{bytesOf(u.memory_used_bytes, vm.memory_bytes)}</b><Spark values={samples.map((s) => s.value.memory_used_bytes ?? 0)} max={vm.memory_bytes} colour={1} /></div>
        <div><span>{t('disks')}</span><b>{rate(add(u.disk_read_bytes_per_s, u.disk_write_bytes_per_s))}</b><Spark values={samples.map((s) => add(s.value.disk_read_bytes_per_s, s.value.disk_write_bytes_per_s) ?? 0)} colour={2} /></div>
        <div><span>{t('network')}</span><b>{bits(add(u.net_rx_bytes_per_s, u.net_tx_bytes_per_s))}</b><Spark values={samples.map((s) => add(s.value.net_rx_bytes_per_s, s.value.net_tx_bytes_per_s) ?? 0)} colour={3} /></div>
      </div>
    </Card>
  )
}

function Disks({ vm }: { vm: any }) {
  const { rows } = useRows('volumes', { filter: `used_by=${vm.id}` }, 64)
  const of = (id: string) => rows.find((row) => row.id === id)
  return (
    <Card title={t('disks')} actions={<To to={`/vms/${vm.id}/devices`}>{t('devices')}</To>}>
      <ul className="short">
        {(vm.disks ?? []).map((disk: any) => {
          const volume = of(disk.volume)
          return (
            <li key={disk.key}>
              <Icon name="volumes" size={13} />
              <span className="mono">{disk.key}</span>
              {volume ? <To to={`/volumes/${volume.id}`}><Name text={volume.name} max={26} /></To> : <span className="faint">{disk.volume}</span>}
              <span className="grow" />
              <span className="nums">{volume ? bytesOf(volume.allocated_bytes, volume.size_bytes) : disk.source ?? ''}</span>
            </li>
          )
        })}
        {!vm.disks?.length && <li className="faint">{t('none')}</li>}
        {(vm.cdroms ?? []).map((cd: any) => <li key={cd.key}><Icon name="images" size={13} /> <span className="mono">{cd.key}</span> {cd.volume ? <Ref id={cd.volume} max={30} /> : <span className="faint">{t('empty')}</span>}</li>)}
      </ul>
    </Card>
  )
}

